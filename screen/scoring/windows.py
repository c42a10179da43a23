"""The highest windows: where in an answer a trait shows most."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

TOP = 3  # windows kept a turn


def highest_windows(
    tokens: npt.NDArray[np.float32], offsets: npt.NDArray[np.int64], width: int, top: int = TOP
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """For each segment and column the `top` highest means of `width` consecutive rows that share no row.

    tokens   (n, k) float32 token projections of all scored turns, end to end
    offsets  (t + 1,) ascending from 0 to n; turn i is rows offsets[i] to offsets[i + 1], never empty;
             a turn of fewer than `width` rows is one window

    Returns (t, k, top) float32 means (summed in float64) and (t, k, top) int64 first rows within the segment, highest
    first; of equal windows the first wins. Where a segment has no further window: NaN and -1.
    """
    n, k = tokens.shape
    sums = np.zeros((k, n + 1), dtype=np.float64)  # a row a column: running along memory is ten times as fast
    np.cumsum(tokens.T.astype(np.float64, order="C"), axis=1, out=sums[:, 1:])
    edges = offsets.tolist()
    best = np.full((len(edges) - 1, k, top), np.nan, dtype=np.float64)
    first = np.full((len(edges) - 1, k, top), -1, dtype=np.int64)
    columns = np.arange(k)
    # one turn at a time: whole-shard index arrays cost five times as much in memory traffic
    for i, (start, end) in enumerate(pairwise(edges)):
        w = min(width, end - start)
        windows = sums[:, start + w : end + 1] - sums[:, start : end - w + 1]
        at = windows.argmax(axis=1)
        first[i, :, 0], best[i, :, 0] = at, windows[columns, at] / w
        if end - start < 2 * w:  # no room for another
            continue
        places = np.arange(windows.shape[1])
        for rank in range(1, top):
            windows[np.abs(places - at[:, None]) < w] = -np.inf  # those that share a row with the last one taken
            at = windows.argmax(axis=1)
            value = windows[columns, at]
            any_left = value > -np.inf
            first[i, any_left, rank], best[i, any_left, rank] = at[any_left], value[any_left] / w
            if not any_left.any():
                break
    return best.astype(np.float32), first
