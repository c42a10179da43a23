"""Repeatable flags of the form name=value."""

from __future__ import annotations

import re
from collections.abc import Sequence

from screen.errors import UsageError


def pairs(option: str, given: Sequence[str], example: str) -> dict[str, str] | None:
    """("evil=20",) -> {"evil": "20"}; None where nothing is given."""
    made: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise UsageError(f"{option} {text!a} is not of the form name=value", f"give {option} {example}")
        made[key.strip()] = value.strip()
    return made or None


def layers(given: Sequence[str]) -> dict[str, int] | None:
    found = pairs("--layer", given, "evil=20")
    for trait, layer in (found or {}).items():
        if not re.fullmatch(r"\d{1,4}", layer):
            raise UsageError(f"--layer {trait}={layer}: a layer is a whole number", "give --layer evil=20")
    return {trait: int(layer) for trait, layer in found.items()} if found else None
