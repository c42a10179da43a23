"""Means of two runs beside each other, with intervals. Plain arrays.

Every interval is two-sided, of 95 %, by the normal distribution, and robust to clusters: rows of one prompt, and a row
that both runs have, are one piece of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.stats import Floating, Z

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, or a difference of means, with its interval; None where there is too little to tell."""

    value: float | None
    low: float | None
    high: float | None


NOTHING = Estimate(None, None, None)


def mean(values: Floating, clusters: Int64) -> Estimate:
    """values (n,), clusters (n,) a key a row."""
    if not len(values):
        return NOTHING
    x = values.astype(np.float64)
    middle = float(x.mean())
    return _with_interval(middle, (x - middle) / len(x), clusters)


def difference(first: Floating, second: Floating, clusters: tuple[Int64, Int64]) -> Estimate:
    """The second's mean less the first's. A row that both have stands in one cluster with itself, so that what it has
    in common cancels: with the same rows on both sides this is the paired interval, with none the unpaired one."""
    if not len(first) or not len(second):
        return NOTHING
    a, b = first.astype(np.float64), second.astype(np.float64)
    middles = float(a.mean()), float(b.mean())
    parts = np.concatenate([-(a - middles[0]) / len(a), (b - middles[1]) / len(b)])
    return _with_interval(middles[1] - middles[0], parts, np.concatenate(clusters))


def _with_interval(value: float, parts: npt.NDArray[np.float64], clusters: Int64) -> Estimate:
    """parts (n,): each row's share in how far the value is from what it estimates."""
    known, inverse = np.unique(clusters, return_inverse=True)
    if len(known) < 2:
        return Estimate(value, None, None)
    sums = np.bincount(inverse, parts)
    half = Z * float(np.sqrt((sums**2).sum() * len(known) / (len(known) - 1)))
    return Estimate(value, value - half, value + half)
