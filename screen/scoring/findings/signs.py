"""Which scores stand out, given the sign of the training signal (METHOD section 4).

A trainer pushes toward most rows, and a high score there adds to the trait. It pushes away from others (KTO label
false, the rejected side of a pair, a negative weight): there a high score takes the trait away, and a low one adds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def flagged(
    scores: npt.NDArray[np.floating],
    signs: npt.NDArray[np.number],
    threshold: float | None,
    threshold_away: float | None = None,
) -> npt.NDArray[np.bool_]:
    """(n,) bool: above `threshold` where the sign is 1, below `threshold_away` where it is -1; None flags nothing.

    scores  (n,) floats, NaN where there is none: never flagged
    signs   (n,) 1 or -1
    """
    over = np.zeros(len(scores), dtype=bool)
    if threshold is not None:
        over |= (signs > 0) & (scores > threshold)
    if threshold_away is not None:
        over |= (signs < 0) & (scores < threshold_away)
    return over
