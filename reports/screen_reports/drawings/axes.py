"""Axes: limits, nice ticks, their labels, and where a value stands. Knows nothing of SVG or of what is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

LARGEST = 1e300  # the span of such values overflows


def drawable(value: float | None) -> TypeGuard[float]:
    """Whether a value has a place on an axis: neither missing nor infinite."""
    return value is not None and abs(value) < LARGEST


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, drawn from `start` to `end` (upwards where `end` is the smaller)."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value stands; the end of the axis for what lies beyond it."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * share

    def on(self, start: float, end: float) -> Axis:
        return Axis(self.low, self.high, start, end)


def limits(values: Iterable[float | None], room: float = 0.0) -> tuple[float, float]:
    """The lowest and the highest drawable value with `room` (a share) on both sides; apart even where all are equal."""
    known = [value for value in values if drawable(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-290):
        apart = abs(low) / 2 or 0.5
        return low - apart, high + apart
    return low - room * (high - low), high + room * (high - low)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most `most` + 1 round values (1, 2 or 5 times a power of ten apart) from `low` to `high`."""
    step = step_of(low, high, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [at * step for at in range(first, last + 1)]


def step_of(low: float, high: float, most: int) -> float:
    """The smallest round step of which `high` - `low` has at most `most`."""
    least = (high - low) / most
    power = math.floor(math.log10(least))
    return next(s for s in (m * 10.0**power for m in (1, 2, 5, 10, 20)) if s >= least * (1 - 1e-9))


def tick_labels(values: Sequence[float], percent: bool = False) -> list[str]:
    """With the decimals that tell them apart; shares of 1 as percent."""
    shown = [100 * value for value in values] if percent else list(values)
    step = min((b - a for a, b in pairwise(shown)), default=abs(shown[0]) if shown else 1.0) or 1.0
    largest = max(map(abs, shown), default=0.0)
    if largest >= 1e9 or step < 1e-4:
        digits = max(1, math.floor(math.log10(largest) + 1e-9) - math.floor(math.log10(step) + 1e-9))
        return [f"{value:.{digits}e}" for value in shown]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{value + 0.0:,.{decimals}f}{' %' if percent else ''}" for value in shown]
