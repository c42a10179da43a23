"""Figures of gates, and how they stand to their limits, in words."""

from __future__ import annotations

from typing import Final

from screen.select.gates.figures import Measurement
from screen.select.gates.tree import Condition, Figure, OfReference

_THAN: Final = {">": "more than", ">=": "at least", "<": "less than", "<=": "at most"}
_SIDE: Final = {">": "above", ">=": "above", "<": "below", "<=": "below"}
SHARES: Final = ("share", "group", "skipped")


def shown(figure: Figure, value: float | str | None) -> str:
    """A limit, in the figure's unit."""
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{100 * value:g} %" if figure.kind in SHARES else _number(value)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value + 0.0:.4g}"


def _percent(value: float) -> str:
    """Two decimals, more where there would be nothing left."""
    return f"{100 * value:.2f}" if value == 0 or value >= 0.001 else f"{100 * value:.2g}"


def _with_interval(figure: Figure, measured: Measurement) -> str:
    assert isinstance(measured.value, int | float)
    plain, unit = (_percent, " %") if figure.kind in SHARES else (_number, "")
    if measured.low is None or measured.high is None:
        return f"{plain(measured.value)}{unit}"
    return f"{plain(measured.value)}{unit} ({plain(measured.low)} to {plain(measured.high)}{unit})"


def measured_words(figure: Figure, measured: Measurement) -> str:
    value = _with_interval(figure, measured)
    match figure.kind:
        case "share" | "count":
            return f"{value} of {_many(measured, 'sample')} are flagged"
        case "group":
            return f"{value} of {_many(measured, 'sample')} of {figure.group!a} are flagged"
        case "skipped" | "skipped-count":
            return f"{value} of {_many(measured, 'row')} were skipped"
    return f"the {'highest score' if figure.kind == 'max' else 'mean'} is {value}"


def _many(measured: Measurement, noun: str) -> str:
    return f"{measured.n:,} {noun}" + ("" if measured.n == 1 else "s")


def limit_words(measured: Measurement, condition: Condition, holds: bool, limit: Measurement, whose: str) -> str:
    """`limit` of `whose` clean rows; a number where `whose` is empty."""
    figure, negation = condition.figure, "" if holds else "not "
    value = shown(figure, limit.value)
    if not isinstance(condition.limit, OfReference):
        return f"{negation}{_THAN[condition.op]} {value}"
    if condition.limit.percentile is None:
        clean = _with_interval(figure, limit)
        return f"{negation}{_SIDE[condition.op]} the mean of {whose}, {clean}, by more than chance"
    chance = 1 - (condition.limit.percentile / 100) ** (measured.n or 0)
    return (
        f"{negation}{_THAN[condition.op]} {value}, p{condition.limit.percentile:g} of {whose}"
        f" (so many clean samples have one above it with probability {chance:.2g})"
    )
