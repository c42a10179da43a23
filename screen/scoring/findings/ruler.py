"""The scale of a trait or a control direction: how clean rows score along it, or, without those, the run's own rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from screen.scoring.findings.flags import TraitControls, TraitReference, opposite
from screen.stats import ROBUST_Z, Floating, quartile_spread, robust_spread
from screen.vectors.controls import quantile

Float64 = npt.NDArray[np.float64]


class Ruler:
    """How clean rows score along some directions: the middle, the spread, and how far the threshold lies above."""

    def __init__(self, middle: Float64, spread: Float64, high: Float64, low: Float64, rows: int) -> None:
        """(m,) each; `rows`: that it was measured on, 0 for the run itself."""
        self.middle, self.spread, self.rows = middle, spread, rows
        self.reach, self.reach_low = high - middle, middle - low

    @classmethod
    def of_reference(cls, known: TraitReference | TraitControls, at: str) -> Ruler:
        """From a reference's quantiles, of one direction or of many; `at`: the threshold's percentile, "p99"."""
        p25, p50, p75, high, low = (np.atleast_1d(quantile(known, q)) for q in ("p25", "p50", "p75", at, opposite(at)))
        return cls(p50, quartile_spread(p25, p75), high, low, int(known["rows"]))

    @classmethod
    def of_run(cls, values: Floating) -> Ruler:
        """From (n, m) scores of the run itself: ROBUST_Z stands for the threshold."""
        x = values.astype(np.float64)
        middle = np.median(x, axis=0)
        spread = robust_spread(x, middle)
        return cls(middle, spread, middle + ROBUST_Z * spread, middle - ROBUST_Z * spread, 0)

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """(m,) whether clean rows vary along the direction at all."""
        return (self.spread > 0) & (self.reach > 0) & (self.reach_low > 0)

    def kept(self, chosen: npt.NDArray[np.bool_]) -> Ruler:
        return Ruler(
            self.middle[chosen],
            self.spread[chosen],
            (self.middle + self.reach)[chosen],
            (self.middle - self.reach_low)[chosen],
            self.rows,
        )

    def heights(self, values: Floating) -> Float64:
        """(n, m): 0 at the clean median, 1 at the threshold."""
        heights: Float64 = (values - self.middle) / self.reach
        return heights

    def depths(self, values: Floating) -> Float64:
        """(n, m): the same downwards."""
        depths: Float64 = (self.middle - values) / self.reach_low
        return depths

    def both(self, values: Floating, sign: Float64) -> tuple[Float64, Float64]:
        """Heights and depths, which change places where `sign` (n, 1) is negative."""
        up, down = self.heights(values), self.depths(values)
        return np.where(sign > 0, up, down), np.where(sign > 0, down, up)

    def z(self, values: Floating) -> Float64:
        """(n, m): standard deviations from the clean median."""
        z: Float64 = (values - self.middle) / self.spread
        return z
