"""Which scores are too high for clean data: empirical p-values, the false-discovery rate, the chance of a count."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from screen.stats import Floating

Float64 = npt.NDArray[np.float64]


def p_values(scores: Floating, reference: Floating) -> Float64:
    """(n,) p = (1 + reference scores at or above) / (1 + reference scores): valid for a clean row exchangeable with the
    reference. `reference` (m,) ascending. NaN for a NaN score."""
    at_or_above = len(reference) - np.searchsorted(reference, scores, side="left")
    out: Float64 = np.where(np.isnan(scores), np.nan, (1.0 + at_or_above) / (1.0 + len(reference)))
    return out


def benjamini_hochberg(p: Floating, q: float) -> float | None:
    """The largest p-value that is rejected at a false-discovery rate of `q` (Benjamini and Hochberg 1995), or None
    where none is. p-values against one reference are positively dependent, for which the procedure holds (Bates and
    others 2023)."""
    known = np.sort(p[~np.isnan(p)])
    if not len(known):
        return None
    under = np.flatnonzero(known <= q * np.arange(1, len(known) + 1) / len(known))
    return float(known[under[-1]]) if len(under) else None


def fdr_threshold(scores: Floating, reference: Floating, q: float) -> float | None:
    """The value above which scores are flagged at a false-discovery rate of `q`; None where no score is."""
    p = p_values(scores, reference)
    limit = benjamini_hochberg(p, q)
    if limit is None:
        return None
    lowest = np.float32(scores[p <= limit].min())
    # rows are flagged above a threshold, and the lowest of these is one of them
    return float(np.nextafter(lowest, np.float32(-np.inf)))


def exceeding(above: int, rows: int, share: float, clean: int) -> float:
    """Probability that `above` or more of `rows` clean rows lie above a threshold that `share` of `clean` rows exceed.

    Beta-binomial: the threshold is itself a quantile of a sample, so the true share is Beta-distributed about `share`.
    Exact up to 2,000 rows above; beyond that by the normal approximation.
    """
    a, b = share * clean + 0.5, (1 - share) * clean + 0.5
    if above > 2_000:
        p = a / (a + b)
        variance = rows * p * (1 - p) * (a + b + rows) / (a + b + 1)
        return float(0.5 * math.erfc((above - 0.5 - rows * p) / math.sqrt(2 * variance)))
    log = math.lgamma
    whole = log(rows + 1) - log(a + b + rows) + log(a + b) - log(a) - log(b)
    below = sum(
        math.exp(whole - log(j + 1) - log(rows - j + 1) + log(a + j) + log(b + rows - j))
        for j in range(min(above, rows + 1))
    )
    return max(0.0, 1.0 - below)
