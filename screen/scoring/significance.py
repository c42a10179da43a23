"""Which scores are too high for clean data: empirical p-values and the false-discovery rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


def p_values(scores: npt.NDArray[Any], reference: npt.NDArray[Any]) -> Float64:
    """(n,) p = (1 + reference scores at or above) / (1 + reference scores): valid for a clean row exchangeable with the
    reference. `reference` (m,) ascending. NaN for a NaN score."""
    at_or_above = len(reference) - np.searchsorted(reference, scores, side="left")
    out: Float64 = np.where(np.isnan(scores), np.nan, (1.0 + at_or_above) / (1.0 + len(reference)))
    return out


def benjamini_hochberg(p: npt.NDArray[Any], q: float) -> float | None:
    """The largest p-value that is rejected at a false-discovery rate of `q` (Benjamini and Hochberg 1995), or None
    where none is. p-values against one reference are positively dependent, for which the procedure holds (Bates and
    others 2023)."""
    known = np.sort(p[~np.isnan(p)])
    if not len(known):
        return None
    under = np.flatnonzero(known <= q * np.arange(1, len(known) + 1) / len(known))
    return float(known[under[-1]]) if len(under) else None


def fdr_cut(scores: npt.NDArray[Any], reference: npt.NDArray[Any], q: float) -> float | None:
    """The value above which scores are flagged at a false-discovery rate of `q`; None where no score is."""
    p = p_values(scores, reference)
    limit = benjamini_hochberg(p, q)
    if limit is None:
        return None
    lowest = np.float32(scores[p <= limit].min())
    return float(np.nextafter(lowest, np.float32(-np.inf)))
