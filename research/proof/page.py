"""docs/proof/ from the figures that lie there, and from nothing else: text, drawings and figures cannot disagree."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

from screen.foreign import JsonObject

TEXT: Final = Path(__file__).parent / "texts" / "head.md"
# sections in their order, with the pieces that they show; each is a module with `section(found)`, and `drawings(found)`
# where it has some. `found`: every piece's file by name
SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "bars": (),
    "predicts": ("matrix-embedded", "matrix-organism", "doses-embedded", "doses-organism"),
    "narrow": ("matrix-embedded", "matrix-organism"),
    "thirds": ("thirds-embedded",),
    "filtering": ("filtering",),
    "vaccine": ("vaccine",),
    "nothing": ("nothing",),
    "baselines": ("baselines",),
    "coverage": ("coverage",),
    "samples": ("samples",),
    "failures": ("failures",),
    "costs": (),
}


def pages(found: Mapping[str, JsonObject]) -> dict[str, str]:
    """File name -> content: index.md and the drawings that it shows."""
    parts = [TEXT.read_text(encoding="utf-8")]
    drawn: dict[str, str] = {}
    for name, pieces in SECTIONS.items():
        if not pieces or any(piece in found for piece in pieces):
            module: ModuleType = importlib.import_module(f"research.proof.{name}")
            parts.append(module.section(found))
            if hasattr(module, "drawings"):
                drawn |= module.drawings(found)
    return {"index.md": "\n".join(parts), **drawn}


def read(docs: Path) -> dict[str, JsonObject]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(docs.glob("*.json"))}


def write_page(docs: Path) -> None:
    for name, text in pages(read(docs)).items():
        (docs / name).write_text(text, encoding="utf-8")
