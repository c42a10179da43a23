"""Tables and figures as the page has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from screen.stats import Interval


def table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in body)])


def interval(value: Interval, digits: int = 3) -> dict[str, float]:
    return {name: round(float(getattr(value, name)), digits) for name in ("value", "low", "high")}


def told(value: Mapping[str, float], digits: int = 1) -> str:
    """A figure with its 95 % interval."""
    return f"{value['value']:.{digits}f} ({value['low']:.{digits}f} to {value['high']:.{digits}f})"
