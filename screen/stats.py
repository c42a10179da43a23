"""Separation and projections as plain arithmetic. Knows nothing of models, text or files."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
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


def auroc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float:
    """Chance that a positive value lies above a negative one, ties counted half; from ranks."""
    high, low = np.asarray(positive, dtype=np.float64), np.asarray(negative, dtype=np.float64)
    ranks = _ranks(np.concatenate([high, low]))
    return float((ranks[: len(high)].sum() - len(high) * (len(high) + 1) / 2) / (len(high) * len(low)))


def unit(direction: npt.NDArray[np.float32]) -> Floats:
    """Scale each row of (layers, d_model) to length one, in float64; a zero row stays zero."""
    rows = direction.astype(np.float64)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1.0))


def project(means: Floats, direction: npt.NDArray[np.float32]) -> Floats:
    """Project (answers, layers, d_model) on (layers, d_model): (answers, layers) float64."""
    return np.asarray(np.einsum("nld,ld->nl", means, unit(direction)))


def summary(values: Floats, quantiles: Mapping[str, float] = QUANTILES) -> dict[str, object]:
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


def _binomial_below(n: int, p: float) -> Floats:
    """(n + 2,) P(K < r) for K ~ Binomial(n, p), r = 0..n + 1."""
    choose = np.concatenate([[0.0], np.cumsum(np.log(np.arange(n, 0, -1)) - np.log(np.arange(1, n + 1)))])
    k = np.arange(n + 1)
    return np.concatenate([[0.0], np.cumsum(np.exp(choose + k * np.log(p) + (n - k) * np.log1p(-p)))])


def _ranks(values: Floats) -> Floats:
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(1, len(values) + 1)
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.bincount(group, weights=ranks) / counts)[group])
