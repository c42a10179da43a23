"""A calibrated baseline: ridge regression from what the pass sees of a prompt to the generated baseline b (METHOD 2).

Penalties are chosen by cross-validation, a target at a time; all arithmetic is float64 and seeded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from screen.stats import Floating

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
FOLDS = 5
PENALTIES = np.logspace(-3, 5, 25)  # on standardised features
TAIL_LEAST = 40  # prompts whose errors say how heavy the tail is where scores are high
_LEVEL, _Z = 0.95, 1.96


@dataclass(frozen=True)
class Calibration:
    """A fit of m targets on f features of n prompts.

    mean, scale   (f,) of the features; weights  (f, m) on standardised features; intercept  (m,)
    penalty       (m,) the ridge penalty chosen
    r2            (m,) cross-validated share of variance explained
    residual      (m,) standard deviation of the cross-validated residuals, widened where their tails are heavy
    rotation      (f, r) and singular  (r,): of the standardised features, for leverages
    out_of_fold   (n, m) predictions by fits that did not see the prompt
    """

    mean: Float64
    scale: Float64
    weights: Float64
    intercept: Float64
    penalty: Float64
    r2: Float64
    residual: Float64
    rotation: Float64
    singular: Float64
    out_of_fold: Float64

    def predict(self, features: Floating) -> tuple[Float64, Float64]:
        """((n, m) values, (n, m) standard errors): the residual's spread, widened by how far the prompt lies out."""
        z = (features.astype(np.float64) - self.mean) / self.scale
        values = z @ self.weights + self.intercept
        along = (z @ self.rotation) ** 2
        n = len(self.out_of_fold)
        leverage = along @ (1.0 / (self.singular[:, None] ** 2 + self.penalty[None, :])) + 1.0 / n
        return values, self.residual * np.sqrt(1.0 + leverage)

    def widened(self, factors: Float64) -> Calibration:
        """The same with standard errors so many times as wide; factors (m,)."""
        return replace(self, residual=self.residual * factors)

    def to_arrays(self) -> dict[str, Float64]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Float64]) -> Calibration:
        return cls(**{name: arrays[name] for name in cls.__dataclass_fields__})


def fit(features: Floating, targets: Floating, seed: int = 0, folds: int = FOLDS) -> Calibration:
    """features (n, f), targets (n, m), n >= 2 * folds. Raises ValueError for fewer."""
    x, y = features.astype(np.float64), targets.astype(np.float64)
    n = len(x)
    if n < 2 * folds:
        raise ValueError(f"{n} prompts are too few for {folds} folds")
    fold = np.random.default_rng(seed).permutation(n) % folds
    guesses = np.empty((len(PENALTIES), n, y.shape[1]))
    for k in range(folds):
        out = fold == k
        guesses[:, out] = _path(x[~out], y[~out], x[out])
    errors = ((guesses - y) ** 2).sum(axis=1)
    best = errors.argmin(axis=0)
    columns = np.arange(y.shape[1])
    out_of_fold = guesses[best, :, columns].T
    penalty = PENALTIES[best]
    spread = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    r2 = np.where(spread > 0, 1.0 - errors[best, columns] / np.where(spread > 0, spread, 1.0), 0.0)
    mean, scale = x.mean(axis=0), _scale(x)
    u, s, vt = np.linalg.svd((x - mean) / scale, full_matrices=False)
    centre = y.mean(axis=0)
    shrunk = s[:, None] / (s[:, None] ** 2 + penalty[None, :])
    weights = vt.T @ (shrunk * (u.T @ (y - centre)))
    residual = np.sqrt(errors[best, columns] / n)
    return Calibration(mean, scale, weights, centre, penalty, r2, residual, vt.T.copy(), s, out_of_fold)


def tail_factors(
    exact: Floating,
    guess: Floating,
    se: Floating,
    above: npt.NDArray[np.int64],
) -> Float64:
    """(k,) how much wider standard errors must be for 1.96 of them to cover 95 % of exact scores where these are high.

    On average over prompts they do anyway; errors are heavier-tailed where a score is high, by its estimate or in
    truth, and there flags are decided. The factor is the 95 % quantile (conformal) of |error| / se among the prompts
    highest by either, in units of 1.96; never below 1.

    exact, guess, se  (n, k) scores of the answered prompts: exact, by the fits that did not see them, and the errors
    above             (k,) how many of the exact ones lie above the threshold: so many count, TAIL_LEAST at least
    """
    factors = np.ones(exact.shape[1])
    ratios = np.abs(exact - guess) / np.where(se > 0, se, 1.0)
    for j, many in enumerate(np.maximum(above, TAIL_LEAST).tolist()):
        for scores in (exact[:, j], guess[:, j]):
            tail = np.sort(ratios[np.argsort(-scores, kind="stable")[:many], j])
            place = min(int(np.ceil((len(tail) + 1) * _LEVEL)), len(tail))
            factors[j] = max(factors[j], tail[place - 1] / _Z)
    return factors


def _path(x: Float64, y: Float64, unseen: Float64) -> Float64:
    """(penalties, unseen rows, m): predictions along the whole path of penalties, from one decomposition."""
    mean, scale, centre = x.mean(axis=0), _scale(x), y.mean(axis=0)
    u, s, vt = np.linalg.svd((x - mean) / scale, full_matrices=False)
    along, onto = ((unseen - mean) / scale) @ vt.T, u.T @ (y - centre)
    return np.stack([(along * (s / (s**2 + p))) @ onto + centre for p in PENALTIES])


def _scale(x: Float64) -> Float64:
    scale: Float64 = x.std(axis=0)
    return np.where(scale > 1e-12 * np.maximum(np.abs(x).max(axis=0), 1e-300), scale, 1.0)


def features(
    projections: Floating,
    prompt_tokens: npt.NDArray[np.int64],
    source: npt.NDArray[np.int64],
    sources: int,
) -> Float32:
    """(n, f): projections of the last prompt token, the prompt's length (log and its square), one column a source.

    projections (n, q); prompt_tokens (n,); source (n,) from 0 to sources - 1, or -1 for one that was not sampled
    """
    length = np.log(np.maximum(prompt_tokens, 1).astype(np.float64))
    one_hot = (source[:, None] == np.arange(sources)[None, :]) if sources > 1 else np.zeros((len(source), 0))
    return np.concatenate([projections, length[:, None], length[:, None] ** 2, one_hot], axis=1).astype(np.float32)


def sample(
    hashes: npt.NDArray[np.uint64], strata: npt.NDArray[np.int64], size: int, seed: int = 0
) -> npt.NDArray[np.intp]:
    """Ascending indices of a seeded sample of distinct prompts: in each stratum those whose seeded hash is lowest, in
    proportion to its size, at least one. All of them where `size` is no smaller."""
    if len(hashes) <= size:
        return np.arange(len(hashes))
    key = b"%d" % seed
    order = np.array(
        [int.from_bytes(hashlib.blake2b(h.tobytes(), key=key, digest_size=8).digest(), "little") for h in hashes],
        dtype=np.uint64,
    )
    chosen: list[npt.NDArray[np.intp]] = []
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        take = max(1, round(size * len(members) / len(hashes)))
        chosen.append(members[np.argsort(order[members], kind="stable")[:take]])
    return np.sort(np.concatenate(chosen))


def control_variate_mean(
    exact: Floating, predicted: Floating, everywhere: Floating
) -> tuple[float, float, float, float]:
    """A dataset's mean with its 95 % interval, the prediction as a control variate.

    exact       (m,) exact scores of the sampled rows; predicted  (m,) their estimates by fits that did not see them
    everywhere  (n,) estimates of all rows

    Returns (mean, low, high, saved): `saved` is how many further exact answers a plain mean of the same width needs.
    """
    m = len(exact)
    difference = exact.astype(np.float64) - predicted.astype(np.float64)
    mean = float(everywhere.mean(dtype=np.float64) + difference.mean())
    variance = difference.var(ddof=1) / m + everywhere.astype(np.float64).var() / len(everywhere)
    half = 1.96 * float(np.sqrt(variance))
    noise = float(difference.var(ddof=1))
    plain = float(exact.astype(np.float64).var(ddof=1))
    saved = max(0.0, m * (plain / noise - 1.0)) if noise > 0 else float("inf")
    return mean, mean - half, mean + half, saved
