"""Which rows a report shows: the highest by each trait, and a sample of the others from low to high."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SEED = 0


Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Chosen:
    """Row numbers, ascending; no row is in both. `of`: rows that have a score."""

    top: tuple[int, ...]
    sample: tuple[int, ...]
    of: int


def choose(
    rows: Rows,
    signs: npt.NDArray[np.int8],
    scores: Mapping[str, Floats],
    top: int,
    sample: int,
) -> Chosen:
    """rows, signs (n,) of the samples; scores: trait -> (n,), nan without one; the sample goes by the first trait.

    The `top` rows are shared out among the traits: each gives its highest, and of those that are trained away from its
    lowest, in turn until there are enough. The sample is seeded: equal runs show equal rows.
    """
    if not scores:
        return Chosen((), (), 0)
    heights = [np.where(signs < 0, -values, values) for values in scores.values()]
    once = bool((np.diff(rows) > 0).all())  # as in most runs: a sample a row
    first = _order(rows, heights[0], once)
    ranked = [first, *(_order(*_highest(rows, values, 2 * top), once=False) for values in heights[1:])]
    high: dict[int, None] = {}
    for place in range(max(map(len, ranked))):
        for order in ranked:
            if place < len(order) and len(high) < top:
                high.setdefault(int(order[place]), None)
        if len(high) >= top:
            break
    left = ranked[0][~np.isin(ranked[0], np.fromiter(high, np.int64, len(high)))]
    known = rows[~np.isnan(np.stack(heights)).all(axis=0)]
    return Chosen(tuple(sorted(high)), tuple(sorted(_sample(left, sample))), len(known if once else np.unique(known)))


def _highest(rows: Rows, values: Floats, most: int) -> tuple[Rows, Floats]:
    """The samples among which are the highest `most` and all that equal the last of them."""
    known = values[~np.isnan(values)]
    if len(known) <= most or not most:
        return rows, values
    high = values >= np.partition(known, -most)[-most]
    return rows[high], values[high]


def _order(rows: Rows, values: Floats, once: bool) -> Rows:
    """Rows from the highest value down, each once. `once`: no row has several samples."""
    scored = ~np.isnan(values)
    ordered = rows[scored][np.argsort(-values[scored], kind="stable")]
    if once:
        return ordered
    _, first = np.unique(ordered, return_index=True)
    return np.asarray(ordered[np.sort(first)])


def _sample(ordered: Rows, count: int) -> list[int]:
    """`count` rows, one from each of as many equal parts."""
    if len(ordered) <= count:
        return [int(row) for row in ordered]
    edges = np.linspace(0, len(ordered), count + 1).astype(np.int64)
    at = np.random.default_rng(SEED).integers(edges[:-1], edges[1:])
    return [int(row) for row in ordered[at]]
