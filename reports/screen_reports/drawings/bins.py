"""Values counted between edges, as histograms and sparklines draw them; round edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import numpy.typing as npt

from screen_reports.drawings.axes import LARGEST, limits, step_of
from screen_reports.drawings.svg import figure
from screen_reports.text import plural, share


@dataclass(frozen=True, slots=True)
class Bins:
    """`edges` (n + 1,) ascending, `counts` (n,): the last bin has its upper edge. The others are in no bin."""

    edges: Sequence[float]
    counts: Sequence[int]
    below: int = 0
    above: int = 0
    unseen: int = 0  # not finite, or as good as

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.counts) + 1 or any(b <= a for a, b in zip(self.edges, self.edges[1:])):  # noqa: B905
            raise ValueError("bins have one edge more than counts, and edges ascend")

    @property
    def total(self) -> int:
        """Every finite value, in a bin or beside them."""
        return sum(self.counts) + self.below + self.above

    @property
    def counted(self) -> bool:
        """Whether any bin holds a value."""
        return any(self.counts)

    def reach(self) -> tuple[float, float]:
        """From the first edge to the last between which values lie."""
        held = [at for at, count in enumerate(self.counts) if count]
        return self.edges[held[0]], self.edges[held[-1] + 1]

    def highest(self) -> str:
        """The bin with most values, in words."""
        return self.said(max(range(len(self.counts)), key=self.counts.__getitem__))

    def said(self, at: int) -> str:
        low, high = self.edges[at], self.edges[at + 1]
        held = plural(self.counts[at], "score")
        return f"{figure(low)} to {figure(high)}, {held} ({share(self.counts[at], self.total)})"

    @classmethod
    def of(cls, values: npt.ArrayLike, edges: Sequence[float] | None = None) -> Bins:
        """(n,) values counted between `edges`; without them, between round ones over all values. None is nan."""
        given = np.asarray(values, dtype=np.float64)
        known = given[np.abs(given) < LARGEST]
        if edges is None:
            edges = round_edges(float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        counts, _ = np.histogram(known, np.array(edges))
        below, above = int((known < edges[0]).sum()), int((known > edges[-1]).sum())
        return cls(tuple(edges), tuple(map(int, counts)), below, above, len(given) - len(known))


def round_edges(low: float, high: float, most: int = 40) -> tuple[float, ...]:
    """Edges of at most `most` + 1 bins of one round width, that cover `low` to `high`."""
    low, high = limits((low, high))
    step = step_of(low, high, most)
    first, last = floor(low / step), ceil(high / step)
    return tuple(at * step for at in range(first, last + 1))
