"""How much of a score is length: the best known way to be fooled (METHOD section 4)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from screen.stats import Floating

Float64 = npt.NDArray[np.float64]
_BINS = 50
_BIN_LEAST = 20  # rows


def slope(scores: Floating, tokens: npt.NDArray[np.integer]) -> float:
    """Least-squares change of a score with the natural logarithm of the answer's length; 0 without spread."""
    x = np.log(np.maximum(tokens, 1).astype(np.float64))
    x -= x.mean()
    return float(x @ scores.astype(np.float64) / (x @ x)) if float(x @ x) > 0 else 0.0


def corrected(scores: Floating, tokens: npt.NDArray[np.integer]) -> Float64:
    """(n,) scores less what length explains of them; their mean is kept."""
    x = np.log(np.maximum(tokens, 1).astype(np.float64))
    out: Float64 = scores.astype(np.float64) - slope(scores, tokens) * (x - x.mean())
    return out


def without_length(heights: Floating, tokens: npt.NDArray[np.integer]) -> Float64:
    """Heights less the median of the rows of about their length: what no rule of length explains, straight or not."""
    bins = int(np.clip(len(heights) // _BIN_LEAST, 1, _BINS))
    edges = np.unique(np.quantile(tokens, np.linspace(0, 1, bins + 1)[1:-1]))
    where = np.searchsorted(edges, tokens, side="left")
    out = heights.astype(np.float64).copy()
    for b in np.unique(where):
        inside = where == b
        out[inside] -= np.median(out[inside])
    return out
