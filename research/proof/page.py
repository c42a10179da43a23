"""docs/proof/index.md from the figures that lie beside it, and from nothing else: text and figures cannot disagree."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from screen.foreign import JsonObject

HEAD: Final = """\
# Does the screen predict what training does?

Made by `just proof`; every number on this page comes from a JSON file beside it.
"""
# pieces in the order of the page; each module has `section(found)`, where found is every piece's file by name
SECTIONS: Final = ("matrix", "baselines", "samples", "failures", "thirds", "filtering", "coverage")


def page(found: Mapping[str, JsonObject]) -> str:
    parts = [HEAD]
    for name in SECTIONS:
        if any(piece.partition("-")[0] == name for piece in found):
            parts.append(importlib.import_module(f"research.proof.{name}").section(found))
    return "\n".join(parts)


def read(docs: Path) -> dict[str, JsonObject]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(docs.glob("*.json"))}


def write_page(docs: Path) -> None:
    (docs / "index.md").write_text(page(read(docs)), encoding="utf-8")
