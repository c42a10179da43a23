"""What a run says of a dataset as a whole, and of its parts: means with intervals, and traits beside each other.

Single rows cannot show everything: on a teacher's number lists per-sample projections ranked nothing, while averages
over 64 rows and more showed a signal (METHOD section 4, subliminal data).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from screen.stats import Floating, bootstrap_mean, pearson

GROUP_LEAST = 64  # rows from which a group's mean is given


class GroupLine(TypedDict, total=False):
    """The rows of one group; a mean with its interval only where there are GROUP_LEAST of them."""

    group: str
    rows: int
    mean: float | None
    low: float | None
    high: float | None


class BetterExplainedLine(TypedDict):
    """Of the `of` rows flagged for `trait`, `rows` stand higher on `other`."""

    trait: str
    other: str
    rows: int
    of: int


def by_group(
    scores: Floating, clusters: npt.NDArray[np.int64], groups: Sequence[str], seed: int = 0
) -> list[GroupLine]:
    """A line a group, the largest first: name, rows, and mean, low, high where it has at least GROUP_LEAST rows."""
    names, inverse, counts = np.unique(
        np.asarray(groups, dtype=object).astype(str), return_inverse=True, return_counts=True
    )
    lines: list[GroupLine] = []
    for g in np.argsort(-counts, kind="stable").tolist():
        line: GroupLine = {"group": str(names[g]), "rows": int(counts[g])}
        if counts[g] >= GROUP_LEAST:
            inside = inverse == g
            mean, low, high = bootstrap_mean(scores[inside], clusters[inside], seed)
            line |= {"mean": mean, "low": _known(low), "high": _known(high)}
        lines.append(line)
    return lines


def correlations(scores: Mapping[str, Floating]) -> dict[str, dict[str, float | None]]:
    """Pearson's r of every trait with every other over the run's rows."""
    pairs: dict[str, dict[str, float | None]] = {}
    for a, x in scores.items():
        pairs[a] = {}
        for b, y in scores.items():
            both = ~(np.isnan(x) | np.isnan(y))
            pairs[a][b] = _known(pearson(x[both], y[both]))
    return pairs


def better_explained(
    z: Mapping[str, Floating], flagged: Mapping[str, npt.NDArray[np.bool_]]
) -> list[BetterExplainedLine]:
    """Traits most of whose flagged rows stand higher on another trait: trait, other, rows, of.

    z        trait -> (n,) robust z of its scores; flagged  trait -> (n,) bool
    """
    explained: list[BetterExplainedLine] = []
    for trait, rows in flagged.items():
        for other in z:
            if other == trait or not rows.any():
                continue
            higher = int((z[other][rows] > z[trait][rows]).sum())
            if 2 * higher > int(rows.sum()):
                explained.append({"trait": trait, "other": other, "rows": higher, "of": int(rows.sum())})
    return explained


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
