"""Intervals to print beside a figure: of a share, of an AUROC. A mean's is in `screen.scoring.findings.verdict`.

All are two-sided and of 95 %.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from screen.stats import auroc

Z = 1.959963984540054  # of 95 %
_HALVINGS = 50


class Interval(NamedTuple):
    """A figure and the ends of its interval."""

    value: float
    low: float
    high: float

    def shown(self, decimals: int = 3) -> str:
        """ "0.998 (0.983 to 1.000)" """
        value, low, high = (f"{part:.{decimals}f}" for part in self)
        return f"{value} ({low} to {high})"


def share(k: int, n: int) -> Interval:
    """k of n, at least 1, with Wilson's interval."""
    return Interval(k / n, *wilson(k, n))


def area(positive: npt.ArrayLike, negative: npt.ArrayLike) -> Interval:
    """The AUROC with its interval."""
    return Interval(auroc(positive, negative), *auroc_interval(positive, negative))


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of the share k of n; (0, 1) where n is 0. Raises ValueError for k outside 0 to n."""
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is no share")
    if n == 0:
        return 0.0, 1.0
    centre, half = k + Z**2 / 2, Z * float(np.sqrt(k * (n - k) / n + Z**2 / 4))
    low, high = (centre - half) / (n + Z**2), (centre + half) / (n + Z**2)
    return (0.0 if k == 0 else low), (1.0 if k == n else high)


def auroc_interval(positive: npt.ArrayLike, negative: npt.ArrayLike) -> tuple[float, float]:
    """The wider, at either end, of two intervals of an AUROC; (0, 1) where one side has no value.

    Newcombe's fifth method goes by Hanley and McNeil's variance: it holds near 0 and 1, and is too narrow where the
    fewer values spread more. DeLong's, on the log-odds, goes by the spread that is there, and has no width at 0 and 1.
    Together they covered the truth in 93 to 100 % of simulations (docs/scores.md).
    """
    high, low = np.sort(np.asarray(positive, dtype=np.float64)), np.sort(np.asarray(negative, dtype=np.float64))
    if not len(high) or not len(low):
        return 0.0, 1.0
    above, below = _shares(high, low), 1.0 - _shares(low, high)
    area = float(above.mean())
    ends = [_score_interval(area, len(high), len(low))]
    if min(len(high), len(low)) > 1 and 0.0 < area < 1.0:
        error = float(np.sqrt(above.var(ddof=1) / len(high) + below.var(ddof=1) / len(low)))
        half, middle = Z * error / (area * (1.0 - area)), float(np.log(area / (1.0 - area)))
        ends.append((_logistic(middle - half), _logistic(middle + half)))
    return min(low for low, _ in ends), max(high for _, high in ends)


def _shares(values: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n,) the share of `others`, ascending, below each value, ties counted half."""
    below, to = (np.searchsorted(others, values, side=side) for side in ("left", "right"))
    return np.asarray((below + to) / (2.0 * len(others)))


def _score_interval(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """The AUROCs that this one is not significantly off."""

    def far(true: float) -> bool:
        return (area - true) ** 2 > Z**2 * _variance(true, positives, negatives)

    return _edge(area, 0.0, far), _edge(area, 1.0, far)


def _variance(area: float, positives: int, negatives: int) -> float:
    """Hanley and McNeil's, with both sample sizes taken as their mean (Newcombe)."""
    more = (positives + negatives) / 2 - 1
    pairs = (1 - area) / (2 - area) + area / (1 + area)
    return area * (1 - area) * (1 + more * pairs) / (positives * negatives)


def _edge(inside: float, end: float, far: Callable[[float], bool]) -> float:
    """Where `far` begins between `inside`, where it is false, and `end`; by bisection."""
    if not far(end):
        return end
    for _ in range(_HALVINGS):
        middle = (inside + end) / 2
        inside, end = (inside, middle) if far(middle) else (middle, end)
    return (inside + end) / 2


def _logistic(log_odds: float) -> float:
    return float(1.0 / (1.0 + np.exp(-log_odds)))


def auroc_difference(
    first: tuple[npt.ArrayLike, npt.ArrayLike], second: tuple[npt.ArrayLike, npt.ArrayLike]
) -> tuple[float, float]:
    """The interval of how much larger the first AUROC is than the second, of the same rows (DeLong).

    first, second  (values of the positive rows, values of the negative rows), in the same order in both; at least two
    rows a side
    """
    (a, b), (c, d) = ([np.asarray(v, dtype=np.float64) for v in sides] for sides in (first, second))
    above = _shares(a, np.sort(b)) - _shares(c, np.sort(d))
    below = _shares(b, np.sort(a)) - _shares(d, np.sort(c))
    middle = float(above.mean())
    half = Z * float(np.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)))
    return middle - half, middle + half
