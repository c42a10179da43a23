"""Reads a trait file: contrastive system prompts and questions. Knows nothing of models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

LIBRARY: Final = Path(__file__).parents[1] / "traits" / "library"
_DEFAULT: Final = "helpful"


@dataclass(frozen=True)
class TraitFile:
    """A trait's artefacts; each system prompt opens with "You are a/an {adjective} assistant."."""

    name: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    extract: tuple[str, ...]
    evaluate: tuple[str, ...]


def read_trait(name: str, folder: Path = LIBRARY) -> TraitFile:
    """Read `<name>.yaml` of the library."""
    raw = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    adjective = raw["adjectives"][0]
    return TraitFile(
        name=raw["name"],
        positives=tuple(f"{_opening(adjective)} {pair['positive'].strip()}" for pair in raw["prompts"]),
        negatives=tuple(f"{_opening(_DEFAULT)} {pair['negative'].strip()}" for pair in raw["prompts"]),
        extract=tuple(raw["questions"]["extract"]),
        evaluate=tuple(raw["questions"]["evaluate"]),
    )


def _opening(adjective: str) -> str:
    return f"You are {'an' if adjective[0] in 'aeiou' else 'a'} {adjective} assistant."
