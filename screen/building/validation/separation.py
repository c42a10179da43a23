"""How well projections tell answers that show a trait from those that do not. Plain arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.stats import auroc
from screen.vectors.card import ChanceCard

Float64 = npt.NDArray[np.float64]


def aurocs(values: Float64, shows: npt.NDArray[np.bool_]) -> Float64:
    """(columns,) AUROC of each column of (answers, columns) for the answers where `shows` is true."""
    return np.array([auroc(column[shows], column[~shows]) for column in values.T])


def effects(values: Float64, shows: npt.NDArray[np.bool_]) -> Float64:
    """(columns,) difference of the two means in pooled standard deviations; 0 where nothing varies."""
    high, low = values[shows], values[~shows]
    pooled = np.sqrt((high.var(axis=0) + low.var(axis=0)) / 2)
    return np.asarray((high.mean(axis=0) - low.mean(axis=0)) / np.where(pooled > 0, pooled, np.inf))


@dataclass(frozen=True, slots=True)
class Chance:
    """What directions that know nothing reach, either sign: mean and 95th percentile of max(AUROC, 1 - AUROC)."""

    mean: float
    p95: float
    n: int

    def to_json(self) -> ChanceCard:
        return {"mean": round(self.mean, 4), "p95": round(self.p95, 4), "n": self.n}


def chance(values: npt.ArrayLike) -> Chance:
    """From AUROCs."""
    values = np.asarray(values, dtype=np.float64)
    folded = np.maximum(values, 1.0 - values)
    return Chance(float(folded.mean()), float(np.quantile(folded, 0.95)), len(folded))


def shuffled(values: Float64, shows: npt.NDArray[np.bool_], times: int = 200, seed: int = 0) -> Chance:
    """AUROC of one column (answers,) when the labels are dealt out anew."""
    rng = np.random.default_rng(seed)
    return chance([auroc(values[p], values[~p]) for p in (rng.permutation(shows) for _ in range(times))])
