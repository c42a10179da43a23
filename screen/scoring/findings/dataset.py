"""What a run says of a dataset as a whole, and of its parts: means with intervals, and traits beside each other.

Single rows cannot show everything: on a teacher's number lists per-sample projections ranked nothing, while averages
over 64 rows and more showed a signal (METHOD section 4, subliminal data).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from screen.scoring.findings.lengths import pearson

GROUP_LEAST = 64  # rows from which a group's mean is given
DRAWS = 2000
_AT_ONCE = 2**22  # weights drawn at a time
Float64 = npt.NDArray[np.float64]


def bootstrap_mean(
    scores: npt.NDArray[Any], clusters: npt.NDArray[np.int64], seed: int = 0, draws: int = DRAWS
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
    means: list[Float64] = []
    block = max(1, _AT_ONCE // len(sums))
    for start in range(0, draws, block):
        weights = rng.poisson(1.0, size=(min(block, draws - start), len(sums))).astype(np.float64)
        total = weights @ counts
        means.append((weights @ sums)[total > 0] / total[total > 0])
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return mean, float(low), float(high)


def by_group(
    scores: npt.NDArray[Any], clusters: npt.NDArray[np.int64], groups: Sequence[str], seed: int = 0
) -> list[dict[str, Any]]:
    """A line a group, the largest first: name, rows, and mean, low, high where it has at least GROUP_LEAST rows."""
    names, inverse, counts = np.unique(
        np.asarray(groups, dtype=object).astype(str), return_inverse=True, return_counts=True
    )
    lines: list[dict[str, Any]] = []
    for g in np.argsort(-counts, kind="stable").tolist():
        line: dict[str, Any] = {"group": str(names[g]), "rows": int(counts[g])}
        if counts[g] >= GROUP_LEAST:
            inside = inverse == g
            mean, low, high = bootstrap_mean(scores[inside], clusters[inside], seed)
            line |= {"mean": mean, "low": _known(low), "high": _known(high)}
        lines.append(line)
    return lines


def correlations(scores: Mapping[str, npt.NDArray[Any]]) -> dict[str, dict[str, float | None]]:
    """Pearson's r of every trait with every other over the run's rows."""
    made: dict[str, dict[str, float | None]] = {}
    for a, x in scores.items():
        made[a] = {}
        for b, y in scores.items():
            both = ~(np.isnan(x) | np.isnan(y))
            made[a][b] = _known(pearson(x[both], y[both]))
    return made


def better_explained(
    z: Mapping[str, npt.NDArray[Any]], flagged: Mapping[str, npt.NDArray[np.bool_]]
) -> list[dict[str, Any]]:
    """Traits most of whose flagged rows stand higher on another trait: trait, other, rows, of.

    z        trait -> (n,) robust z of its scores; flagged  trait -> (n,) bool
    """
    found = []
    for trait, rows in flagged.items():
        for other in z:
            if other == trait or not rows.any():
                continue
            higher = int((z[other][rows] > z[trait][rows]).sum())
            if 2 * higher > int(rows.sum()):
                found.append({"trait": trait, "other": other, "rows": higher, "of": int(rows.sum())})
    return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
