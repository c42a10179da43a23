"""How much of a score stands on few tokens. Delimiters can lie forty times as far along a direction as words do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

TRIM = 0.1  # of a turn's tokens, rounded down, are left out at either end of a trimmed mean
FEW = 2  # tokens
MOST = 0.5  # a row whose two highest tokens carry more than this share is told of ...
LEAST_TOKENS = 10  # ... unless it has so few that two are a large part of it anyway
Float32 = npt.NDArray[np.float32]


def extremes(tokens: Float32, offsets: npt.NDArray[np.int64]) -> tuple[Float32, Float32]:
    """For each segment and column, the trimmed mean and the two highest values.

    tokens   (n, k) float32 token projections, end to end
    offsets  (t + 1,) ascending from 0 to n; turn i is rows offsets[i] to offsets[i + 1], never empty

    Returns (t, k) float32 (summed in float64) and (t, k, 2) float32, highest first; -inf where there is one row only.
    """
    trimmed = np.empty((len(offsets) - 1, tokens.shape[1]), dtype=np.float32)
    highest = np.full((*trimmed.shape, FEW), -np.inf, dtype=np.float32)
    for i, (start, end) in enumerate(pairwise(offsets.tolist())):
        ordered = np.sort(tokens[start:end], axis=0)
        cut = int(TRIM * len(ordered))
        trimmed[i] = ordered[cut : len(ordered) - cut].mean(axis=0, dtype=np.float64)
        top = ordered[: -FEW - 1 : -1]  # the last FEW, highest first
        highest[i, :, : len(top)] = top.T
    return trimmed, highest


def trimmed_mean(tokens: Float32) -> Float32:
    """(k,): the trimmed mean of (n, k) token projections, n at least 1."""
    mean: Float32 = extremes(tokens, np.array([0, len(tokens)], dtype=np.int64))[0][0]
    return mean


def carried(
    tokens: Float32, offsets: npt.NDArray[np.int64], highest: Float32, centre: Float32, starts: npt.NDArray[np.intp]
) -> Float32:
    """(samples, k) float32: the share that the two highest tokens carry of what lies above the baseline.

    A score is a sum of contributions, one a token: its projection less the baseline, over its turn's tokens and the
    sample's turns. Those above 0 are summed, and the two largest divided by that sum: in (0, 1], at most their share of
    the score itself, as what lies below the baseline is not taken off. NaN where no token lies above.

    highest  (t, k, 2) of `extremes`; centre  (t, k) what the run subtracts; starts  (samples + 1,) over the turns
    """
    if len(starts) < 2:
        return np.zeros((0, tokens.shape[1]), dtype=np.float32)
    lengths = np.diff(offsets)[:, None]
    excess = np.maximum(tokens.astype(np.float64) - np.repeat(centre, lengths[:, 0], axis=0), 0.0)
    above = np.add.reduceat(np.add.reduceat(excess, offsets[:-1], axis=0) / lengths, starts[:-1], axis=0)
    top = np.maximum(highest.astype(np.float64) - centre[:, :, None], 0.0) / lengths[:, :, None]
    # of a sample of one turn the two highest are the turn's: only where there are several is anything sorted
    several = np.flatnonzero(np.diff(starts) > 1).tolist()
    largest = top[starts[:-1]].sum(axis=2)
    for i in several:
        candidates = np.moveaxis(top[starts[i] : starts[i + 1]], 1, 0).reshape(tokens.shape[1], -1)
        largest[i] = np.sort(candidates, axis=1)[:, -FEW:].sum(axis=1)
    share = np.where(above > 0, largest / np.where(above > 0, above, 1.0), np.nan)
    return share.astype(np.float32)


def few_tokens(
    shares: npt.NDArray[np.floating], tokens: npt.NDArray[np.integer], flagged: npt.NDArray[np.bool_]
) -> int:
    """How many flagged rows have more than MOST of their score on two tokens, of LEAST_TOKENS at least.

    shares (n,) the column `{trait}_top2`; tokens (n,) answer lengths; flagged (n,)
    """
    return int(np.count_nonzero((shares > MOST) & (tokens >= LEAST_TOKENS) & flagged))
