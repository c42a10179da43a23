"""Statistics as plain arithmetic on NumPy arrays: ranks, robust scales, quantiles, AUROC, correlations, intervals.

Every interval is two-sided and of 95 %. Knows nothing of models, text or files.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Floating = npt.NDArray[np.floating]  # of whatever width
F = TypeVar("F", float, Floats)
QUANTILES: Final = {
    "p001": 0.001,
    "p01": 0.01,
    "p05": 0.05,
    "p10": 0.10,
    "p25": 0.25,
    "p50": 0.50,
    "p75": 0.75,
    "p90": 0.90,
    "p95": 0.95,
    "p99": 0.99,
    "p999": 0.999,
}
Z: Final = 1.959963984540054  # of 95 %
ROBUST_Z: Final = 3.0  # robust standard deviations from which a value stands out among its own kind
DRAWS: Final = 2000
_MAD_TO_SD: Final = 1.4826  # of a normal distribution, as the next
_QUARTILES_TO_SD: Final = 1.349
_HALVINGS: Final = 50
_AT_ONCE: Final = 2**22  # weights drawn at a time


def ranks(values: npt.NDArray[np.number]) -> Floats:
    """(n,) ranks from 0, ties sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: Floats = (ends - 1) - (counts - 1) / 2.0
    return means[inverse]


def auroc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    """Chance that a positive value lies above a negative one, ties counted half; from ranks."""
    high, low = np.asarray(positive, dtype=np.float64), np.asarray(negative, dtype=np.float64)
    places = ranks(np.concatenate([high, low])) + 1
    return float((places[: len(high)].sum() - len(high) * (len(high) + 1) / 2) / (len(high) * len(low)))


def pearson(a: npt.NDArray[np.number], b: npt.NDArray[np.number]) -> float:
    """NaN where either has no spread, or there are fewer than two."""
    if len(a) < 2:
        return float("nan")
    x, y = a.astype(np.float64) - a.mean(dtype=np.float64), b.astype(np.float64) - b.mean(dtype=np.float64)
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm > 0 else float("nan")


def spearman(a: npt.NDArray[np.number], b: npt.NDArray[np.number]) -> float:
    """Rank correlation; NaN where either has no spread."""
    return pearson(ranks(a), ranks(b))


def unit(direction: npt.NDArray[np.floating]) -> Floats:
    """Scale each row of (..., d_model) to length one, in float64; a zero row stays zero."""
    rows = direction.astype(np.float64)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1.0))


def project(means: Floats, direction: npt.NDArray[np.float32]) -> Floats:
    """Project (answers, layers, d_model) on (layers, d_model): (answers, layers) float64."""
    return np.asarray(np.einsum("nld,ld->nl", means, unit(direction)))


def robust_spread(values: npt.NDArray[np.number], middle: float | Floats) -> Floats:
    """(...) float64: the standard deviation of a normal distribution with this median distance from `middle`.

    values (n, ...), middle (...) their medians; a column at a time
    """
    return np.asarray(_MAD_TO_SD * np.median(np.abs(values - middle), axis=0).astype(np.float64))


def robust_z(values: npt.NDArray[np.number]) -> Floats:
    """(n, ...) distances from the median in robust standard deviations, a column at a time; 0 without spread."""
    x = values.astype(np.float64)
    middle = np.median(x, axis=0)
    spread = robust_spread(x, middle)
    return np.asarray(np.where(spread > 0, (x - middle) / np.where(spread > 0, spread, 1.0), 0.0))


def quartile_spread(p25: F, p75: F) -> F:
    """The standard deviation of a normal distribution with these quartiles."""
    return (p75 - p25) / _QUARTILES_TO_SD


class ScoreSummary(TypedDict):
    """`intervals`: 95 % intervals of the upper quantiles, by name; an end is None where the values do not reach it."""

    mean: float
    sd: float
    highest: float
    intervals: Mapping[str, Sequence[float | None]]
    quantiles: Mapping[str, float]


def summary(values: Floats, quantiles: Mapping[str, float] = QUANTILES) -> ScoreSummary:
    """Mean, sd, quantiles and the highest of (rows,) float64, as a card holds them; and the quantiles' intervals."""
    return {
        "mean": round(float(values.mean()), 6),
        "sd": round(float(values.std(ddof=1)), 6),
        "highest": round(float(values.max()), 6),
        "intervals": {name: quantile_interval(values, at) for name, at in quantiles.items() if at >= 0.9},
        "quantiles": {name: round(float(np.quantile(values, at)), 6) for name, at in quantiles.items()},
    }


def share_below(name: str) -> float:
    """The share of values below a quantile by its name: "p99" -> 0.99, "p999" -> 0.999, "p5" -> 0.05."""
    digits = name[1:]
    return float(int(digits) / 10 ** max(len(digits), 2))


def quantile_interval(values: Floats, at: float) -> list[float | None]:
    """[low, high]: a 95 % interval of the `at` quantile of what (n,) values are a sample of, from order statistics.

    Whatever their distribution (David and Nagaraja 2003, section 7.1). None where n values do not reach that far: the
    0.99 quantile has an upper end from 368 values on.
    """
    n = len(values)
    ordered = np.sort(values)
    below = _binomial_below(n, at)  # P(fewer than r values lie below the quantile), r = 0..n + 1
    low = int(np.searchsorted(below, 0.025, side="right")) - 1  # the highest r with P <= 0.025
    high = int(np.searchsorted(below, 0.975, side="left"))  # the lowest r with P >= 0.975
    ends = (ordered[low - 1] if low >= 1 else None, ordered[high - 1] if high <= n else None)
    return [None if end is None else round(float(end), 6) for end in ends]


def most_above(n: int, rank: int, unsure: float) -> float:
    """The largest share of what n values were drawn from that may lie above the `rank`-th lowest of them (from 1): a
    one-sided bound that is too low for a share `unsure` of draws at most, whatever the distribution.

    Raises ValueError where there is no such value.
    """
    if not 1 <= rank <= n:
        raise ValueError(f"there is no value {rank} among {n}")
    low, high = 1.0 - rank / n, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2  # P(at least `rank` of n lie below its 1 - middle quantile)
        reached = 1.0 - float(_binomial_below(n, 1.0 - middle)[rank])
        low, high = (low, middle) if reached <= unsure else (middle, high)
    return high


def _binomial_below(n: int, p: float) -> Floats:
    """(n + 2,) P(K < r) for K ~ Binomial(n, p), r = 0..n + 1."""
    choose = np.concatenate([[0.0], np.cumsum(np.log(np.arange(n, 0, -1)) - np.log(np.arange(1, n + 1)))])
    k = np.arange(n + 1)
    return np.concatenate([[0.0], np.cumsum(np.exp(choose + k * np.log(p) + (n - k) * np.log1p(-p)))])


def bootstrap_mean(
    scores: npt.NDArray[np.number], clusters: npt.NDArray[np.int64], seed: int = 0, draws: int = DRAWS
) -> tuple[float, float, float]:
    """(mean, low, high): the mean and its 95 % percentile interval, whole clusters drawn together.

    scores (n,), clusters (n,) a key a row: rows of one prompt are no independent evidence. Seeded.
    """
    _, inverse = np.unique(clusters, return_inverse=True)
    sums = np.bincount(inverse, scores.astype(np.float64))
    counts = np.bincount(inverse).astype(np.float64)
    mean = float(scores.mean(dtype=np.float64))
    if len(sums) < 2:
        return mean, float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means: list[Floats] = []
    block = max(1, _AT_ONCE // len(sums))
    for start in range(0, draws, block):
        weights = rng.poisson(1.0, size=(min(block, draws - start), len(sums))).astype(np.float64)
        total = weights @ counts
        means.append((weights @ sums)[total > 0] / total[total > 0])
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return mean, float(low), float(high)


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


def _shares(values: Floats, others: Floats) -> Floats:
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


def hypergeometric_interval(k: int, n: int, population: int) -> tuple[int, int]:
    """(low, high): 95 % interval of how many of `population` items have a property, where k of n drawn ones have it.

    Exact (Clopper and Pearson's rule): it covers the truth in at least 95 % of draws without replacement. Raises
    ValueError where that is no draw.
    """
    if not 0 <= k <= n <= population:
        raise ValueError(f"{k} of {n} drawn from {population} is no draw")

    def at_most(seen: int, having: int) -> float:
        first = max(0, n - (population - having))
        whole = _log_choose(population, n)
        counts = range(first, min(seen, having) + 1)
        return math.fsum(
            math.exp(_log_choose(having, i) + _log_choose(population - having, n - i) - whole) for i in counts
        )

    low, high = k, population - (n - k)
    least = low if k == 0 else _first(low, high, lambda having: 1.0 - at_most(k - 1, having) > 0.025)
    most = high if k == n else _first(low, high, lambda having: at_most(k, having) <= 0.025) - 1
    return least, max(most, least)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _first(low: int, high: int, true: Callable[[int], bool]) -> int:
    """The first whole number from `low` to `high` of which `true` holds, which then holds of all behind it; else the
    one after them."""
    low, high = low, high + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if true(middle) else (middle + 1, high)
    return low


def square_and_add(parts: Sequence[Interval]) -> Interval:
    """The sum of independent estimates, with the interval that the parts' own give (Zou and Donner 2008).

    A part's interval needs no symmetry. Each end is as far off as the ends of the parts are, in squares.
    """
    value = math.fsum(part.value for part in parts)
    below = math.sqrt(math.fsum((part.value - part.low) ** 2 for part in parts))
    above = math.sqrt(math.fsum((part.high - part.value) ** 2 for part in parts))
    return Interval(value, value - below, value + above)
