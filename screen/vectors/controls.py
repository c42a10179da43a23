"""Control directions: directions that mean nothing, and how clean rows score along them (METHOD section 4).

Knows nothing of models or files. A trait is compared with these on the scale of clean rows, which no share of planted
rows in the data at hand can move.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from screen.stats import QUANTILES, ScoreSummary, unit
from screen.vectors.card import ControlDistribution

COUNT: Final = 32  # directions at a layer
ENERGY: Final = 0.99  # share of the states' variance that the subspace of the directions holds
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def directions(states: Float32, count: int = COUNT, seed: int = 0, without: Float32 | None = None) -> Float32:
    """(count, d) float32 unit vectors: random, spread evenly over the subspace in which the activations vary.

    states   (n, d) hidden states of answers. The directions are rotations of the principal components that hold 99 %
             of their variance, orthogonal as far as these go; with fewer than two states: plain random directions
    without  (k, d) directions that are taken out first: a control must not hold the trait that it controls for, and
             where a dataset is full of a trait its components do
    """
    rng = np.random.default_rng(seed)
    d = states.shape[1]
    varied = states.astype(np.float64) - states.mean(axis=0, dtype=np.float64) if len(states) > 1 else np.zeros((0, d))
    if without is not None and len(without):
        basis, _ = np.linalg.qr(without.astype(np.float64).T)
        varied = varied - (varied @ basis) @ basis.T
    components = _components(varied)
    if not len(components):
        plain = rng.normal(size=(count, d))
        return unit(plain).astype(np.float32)
    turns = -(-count // len(components))
    rotated = np.concatenate([_rotation(len(components), rng) for _ in range(turns)])[:count] @ components
    return np.asarray(rotated, dtype=np.float32)


def _components(varied: Float64) -> Float64:
    """(r, d) orthonormal rows: the fewest principal components of centred states that hold ENERGY of the variance."""
    if not varied.any():
        return varied[:0]
    _, sizes, rows = np.linalg.svd(varied, full_matrices=False)
    held = np.cumsum(sizes**2) / np.sum(sizes**2)
    rows = rows[: int(np.searchsorted(held, ENERGY)) + 1]
    one_sign: Float64 = rows * np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(1)])[:, None]
    return one_sign


def _rotation(r: int, rng: np.random.Generator) -> Float64:
    """(r, r) orthogonal, drawn evenly."""
    q, upper = np.linalg.qr(rng.normal(size=(r, r)))
    even: Float64 = q * np.sign(np.diag(upper))
    return even


def effective(scores: npt.NDArray[np.floating]) -> float:
    """How many independent directions (n, m) scores amount to: (sum of eigenvalues)^2 / sum of squares, of their
    correlation matrix (the participation ratio). m where they are uncorrelated, 1 where all are one."""
    spread = scores.std(axis=0)
    if len(scores) < 2 or not (spread > 0).any():
        return 1.0
    eigenvalues = np.linalg.eigvalsh(
        np.corrcoef(scores[:, spread > 0], rowvar=False).reshape(int((spread > 0).sum()), -1)
    )
    return float(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


def distribution(scores: npt.NDArray[np.floating], quantiles: Mapping[str, float] = QUANTILES) -> ControlDistribution:
    """What a card or a reference keeps of clean rows' (n, m) scores along m control directions: rows; effective, how
    many independent directions they amount to; and by quantile a list of m values."""
    return {
        "rows": len(scores),
        "effective": round(effective(scores), 2),
        "quantiles": {name: _rounded(np.quantile(scores, at, axis=0)) for name, at in quantiles.items()},
    }


def _rounded(values: npt.NDArray[np.floating]) -> list[float]:
    return [round(float(x), 6) for x in values]


def key(rows: Float32) -> str:
    """A name for a set of directions: the first 12 hex digits of its SHA-256."""
    return hashlib.sha256(np.ascontiguousarray(rows, dtype="<f4").tobytes()).hexdigest()[:12]


def quantile(known: ControlDistribution | ScoreSummary, name: str) -> Float64:
    """(m,) of a `distribution`."""
    return np.asarray(known["quantiles"][name], dtype=np.float64)
