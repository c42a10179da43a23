"""Controls: what directions that mean nothing would have given on the same rows (METHOD section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from screen.scoring.lengths import spearman

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def directions(states: Float32, count: int, seed: int = 0, without: Float32 | None = None) -> Float32:
    """(count, d) float32 unit vectors, random and with the covariance of the activations.

    states   (n, d) hidden states of answers; each direction is a random combination of these, centred, so that it
             varies as much over answers as a direction of the model does. With fewer than two: plain random directions.
    without  (k, d) directions that are taken out of each: a control must not hold the trait that it controls for, and
             where a dataset is full of a trait its covariance does
    """
    rng = np.random.default_rng(seed)
    n, d = states.shape
    if n < 2:
        made = rng.normal(size=(count, d))
    else:
        made = rng.normal(size=(count, n)) @ (states.astype(np.float64) - states.mean(axis=0, dtype=np.float64))
    if without is not None and len(without):
        basis, _ = np.linalg.qr(without.astype(np.float64).T)
        made -= (made @ basis) @ basis.T
    norms = np.linalg.norm(made, axis=1, keepdims=True)
    made = np.where(norms > 0, made / np.where(norms > 0, norms, 1.0), rng.normal(size=(count, d)) / np.sqrt(d))
    return made.astype(np.float32)


TOP_SHARE = 0.01  # of the rows: how far these stand out is the upper tail
TOP_LEAST = 5
STANDS_OUT = 3.0  # standard deviations of the controls, and above every one of them
_BINS = 50
_BIN_LEAST = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """How a trait's scores stand beside its controls, on this dataset.

    tail   mean robust z of the top 1 % of rows; shift  the median score in robust standard deviations
    Each with the mean and the highest of the random directions' (either sign). `corrected`: the tail once what the
    answers' length explains is taken out. `reason`: why not informative; `note`: a doubt that does not decide.
    """

    informative: bool
    reason: str
    note: str
    tail: float
    tail_random: float
    tail_random_highest: float
    shift: float
    shift_random: float
    shift_random_highest: float
    corrected: float
    layer0: float | None
    length_correlation: float


def robust_z(values: npt.NDArray[Any]) -> Float64:
    """(n, ...) distances from the median in units of 1.4826 MAD, a column at a time; 0 where there is no spread."""
    x = values.astype(np.float64)
    centred = x - np.median(x, axis=0)
    spread = 1.4826 * np.median(np.abs(centred), axis=0)
    out: Float64 = np.where(spread > 0, centred / np.where(spread > 0, spread, 1.0), 0.0)
    return out


def tail(values: npt.NDArray[Any]) -> Float64:
    """Mean robust z of the top rows, a column at a time."""
    n = max(TOP_LEAST, int(TOP_SHARE * len(values)))
    top: Float64 = np.sort(robust_z(values), axis=0)[-n:].mean(axis=0)
    return top


def shift(values: npt.NDArray[Any]) -> Float64:
    """Median in units of 1.4826 MAD, a column at a time: where most of the rows lie, whatever a few do."""
    middle = np.median(values.astype(np.float64), axis=0)
    spread = 1.4826 * np.median(np.abs(values - middle), axis=0)
    out: Float64 = np.where(spread > 0, middle / np.where(spread > 0, spread, 1.0), 0.0)
    return out


def without_length(scores: npt.NDArray[Any], tokens: npt.NDArray[Any]) -> Float64:
    """Scores less the median of the rows of about their length: what no rule of length explains, straight or not."""
    bins = int(np.clip(len(scores) // _BIN_LEAST, 1, _BINS))
    edges = np.unique(np.quantile(tokens, np.linspace(0, 1, bins + 1)[1:-1])) if bins > 1 else np.zeros(0)
    where = np.searchsorted(edges, tokens, side="left")
    out = scores.astype(np.float64).copy()
    for b in np.unique(where):
        inside = where == b
        out[inside] -= np.median(out[inside])
    return out


def standing(
    scores: npt.NDArray[Any],
    random: npt.NDArray[Any],
    tokens: npt.NDArray[Any],
    layer: int,
    layer0: npt.NDArray[Any] | None = None,
) -> Standing | None:
    """Whether a trait says more about these rows than directions that mean nothing; None for fewer than 20 rows.

    scores (n,) of the run; random (n, 32) the same kind of score on random directions; tokens (n,) answer lengths;
    layer  where the trait is read; layer0 (n,) the score of its direction at layer 0

    Informative: the top rows stand out, or the median is shifted, by more than for every random direction and by more
    than three of their standard deviations; and, for the rows, still so without what length explains. A vector that is
    read at layer 0 sees words alone and is never informative.
    """
    if len(scores) < 20 or not random.shape[1]:
        return None
    own, moved = float(tail(scores)), abs(float(shift(scores)))
    tails, shifts = np.maximum(tail(random), tail(-random)), np.abs(shift(random))
    left = _left(scores, without_length(scores, tokens))
    words = None if layer0 is None or np.isnan(layer0).any() else float(max(tail(layer0), tail(-layer0)))
    rows_stand_out, moves = _beyond(own, tails), _beyond(moved, shifts)
    still = _beyond(left, tails)
    reason = ""
    if layer == 0:
        reason = "it is read at layer 0, before the model has read anything: words alone"
    elif not rows_stand_out and not moves:
        reason = f"its highest rows stand out ({own:.1f}) no more than those of random directions ({tails.max():.1f})"
    elif not still and not moves:
        reason = f"what stands out ({own:.1f}) is the answers' length: without it {left:.1f}"
    note = "words alone (layer 0) stand out as far" if words is not None and words >= own and not reason else ""
    return Standing(
        informative=not reason,
        reason=reason,
        note=note,
        tail=own,
        tail_random=float(tails.mean()),
        tail_random_highest=float(tails.max()),
        shift=float(shift(scores)),
        shift_random=float(shifts.mean()),
        shift_random_highest=float(shifts.max()),
        corrected=left,
        layer0=words,
        length_correlation=spearman(scores, tokens),
    )


def _left(scores: npt.NDArray[Any], rest: Float64) -> float:
    """The tail of what is left of the scores, in units of the scores' own spread: the rest may have next to none."""
    n = max(TOP_LEAST, int(TOP_SHARE * len(scores)))
    spread = 1.4826 * float(np.median(np.abs(scores - np.median(scores))))
    return float(np.sort(rest)[-n:].mean()) / spread if spread > 0 else 0.0


def _beyond(value: float, controls: Float64) -> bool:
    return bool(value > controls.max() and value > controls.mean() + STANDS_OUT * controls.std())


def would_flag(
    scores: npt.NDArray[Any], threshold: float, random: npt.NDArray[Any], tokens: npt.NDArray[Any]
) -> dict[str, float] | None:
    """How many rows the controls would have flagged at the same robust z: the random directions' mean and highest
    count, and by the answers' length alone. None where the scores have no spread."""
    x = scores.astype(np.float64)
    spread = 1.4826 * float(np.median(np.abs(x - np.median(x))))
    if spread == 0.0 or not random.shape[1]:
        return None
    z = (threshold - float(np.median(x))) / spread
    counts = (robust_z(random) > z).sum(axis=0)
    by_length = int((robust_z(np.log(np.maximum(tokens, 1))) > z).sum())
    return {"random": float(counts.mean()), "random_highest": int(counts.max()), "length": by_length}
