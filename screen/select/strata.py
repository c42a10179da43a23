"""Rows by how far above a trait's cut they lie: the strata that are drawn from, and how many rows from each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.select.scores import score_column
from screen.store import index
from screen.store.labels.record import DrawnStratum, LabelRecord
from screen.store.scan import Scan

NEAR = 20  # rows at least that count as close below the cut, where so many are
SPLIT = 8  # rows from which a side of the cut is two strata
NEAR_SHARE = 0.3  # of the rows below that are drawn: from those close to the cut


@dataclass(frozen=True, slots=True)
class RowMargins:
    """(rows,) each: number, ascending; how far above the cut its highest sample lies; that sample's score."""

    rows: npt.NDArray[np.int64]
    margins: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]

    def inside(self, stratum: DrawnStratum) -> npt.NDArray[np.bool_]:
        low = -np.inf if stratum.low is None else stratum.low
        high = np.inf if stratum.high is None else stratum.high
        return (self.margins > low) & (self.margins <= high)


def margins(scan: Scan, trait: str, cut: float, away: float | None) -> RowMargins:
    """Of every row with a score. A row is flagged where its margin is above 0, as the view `flagged` has it."""
    column = score_column(scan, trait)
    table = index.read(scan.folder, ["row", "sign", column])
    scores = table[column].to_numpy(zero_copy_only=False).astype(np.float64)
    signs = table["sign"].fill_null(1).to_numpy()
    limit = np.nan if away is None else away
    over = np.where(signs > 0, scores - cut, limit - scores)
    over[(signs < 0) & np.isnan(over) & ~np.isnan(scores)] = -np.inf  # trained away from, and never flagged
    kept = ~np.isnan(over)
    row, over, scores = table["row"].to_numpy()[kept], over[kept], scores[kept]
    order = np.lexsort((-over, row))
    numbers, first = np.unique(row[order], return_index=True)
    return RowMargins(numbers, over[order][first], scores[order][first])


def strata_around(space: RowMargins, record: LabelRecord, trait: str) -> tuple[DrawnStratum, ...]:
    """The two halves above the cut; below it, about as many rows close to it as lie above, and the others."""
    above = np.sort(space.margins[space.margins > 0])[::-1]
    below = np.sort(space.margins[space.margins <= 0])[::-1]
    near = min(max(len(above), NEAR), len(below) // 2)
    inner = _bound(above, len(above) // 2)
    outer = _bound(below, near)
    bounds: list[tuple[str, float | None, float | None]] = [("above", 0.0, None), ("below", None, 0.0)]
    if inner is not None:
        bounds[:1] = [("far above", inner, None), ("just above", 0.0, inner)]
    if outer is not None:
        bounds[-1:] = [("just below", outer, 0.0), ("far below", None, outer)]
    made = []
    for name, low, high in bounds:
        inside = space.inside(DrawnStratum(name, low, high, 0, (), ()))
        rows = space.rows[inside]
        known = tuple(row for row in rows.tolist() if record.of(row, trait)) if record.current else ()
        if len(rows):
            made.append(DrawnStratum(name, low, high, len(rows), known, ()))
    return tuple(made)


def _bound(descending: npt.NDArray[np.float64], first: int) -> float | None:
    """The margin that parts the `first` highest from the others, equal ones together; None where one stratum does."""
    if len(descending) < SPLIT or not 0 < first < len(descending):
        return None
    value = float(descending[first])
    return value if np.isfinite(value) and descending[0] > value else None


def allocate(frame: Sequence[DrawnStratum], spare: list[int], count: int) -> list[int]:
    """Rows to draw from each stratum: half a side, what one side lacks from the other."""
    above = [at for at, s in enumerate(frame) if s.low is not None and s.low >= 0]
    below = [at for at in range(len(frame)) if at not in above]
    room_above, room_below = (sum(spare[at] for at in side) for side in (above, below))
    top = min(-(-count // 2), room_above)
    bottom = min(count - top, room_below)
    top = min(count - bottom, room_above)
    made = [0] * len(frame)
    for side, total, first in ((above, top, 0.5), (below, bottom, NEAR_SHARE)):
        if len(side) == 1:
            made[side[0]] = total
        elif side:
            one, two = side
            made[one] = min(max(round(total * first), total - spare[two]), spare[one])
            made[two] = total - made[one]
    return made
