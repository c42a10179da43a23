"""Neutral-text denoising: the top principal components of neutral answers, taken out of a direction.

Directions in which harmless answers vary most say more of topic and form than of character.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.errors import VectorError

SHARE = 0.5  # of the variance of neutral answers
_LEAST = 8


@dataclass(frozen=True)
class Basis:
    """`rows`: (n_layers + 1, k, d_model) float32, orthonormal at each layer; layer l has `counts[l]` of them, then
    zeros."""

    rows: npt.NDArray[np.float32]
    counts: tuple[int, ...]

    @property
    def sha256(self) -> str:
        """Hex digest of `rows`."""
        return hashlib.sha256(self.rows.tobytes()).hexdigest()

    def remove(self, direction: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(..., n_layers + 1, d_model) without its part in the subspace."""
        rows, v = self.rows.astype(np.float64), direction.astype(np.float64)
        inside = np.einsum("lkd,...ld->...lk", rows, v)
        return np.asarray(v - np.einsum("lkd,...lk->...ld", rows, inside)).astype(np.float32)


def principal(trait: str, states: npt.NDArray[np.float32], share: float = SHARE) -> Basis:
    """The fewest components that hold `share` of the variance, of (answers, n_layers + 1, d_model) float32.

    Raises VectorError, naming the trait, where there are too few answers.
    """
    if len(states) < _LEAST:
        raise VectorError(
            f"{trait}: only {len(states)} neutral answers were kept, {_LEAST} are needed to denoise",
            "build without --denoise, or check what the model answers without a system prompt",
        )
    components = []
    for layer in range(states.shape[1]):
        centred = states[:, layer].astype(np.float64)
        centred -= centred.mean(axis=0)
        _, sizes, rows = np.linalg.svd(centred, full_matrices=False)
        held = np.cumsum(sizes**2) / max(float((sizes**2).sum()), 1e-300)
        components.append(rows[: int(np.searchsorted(held, share)) + 1] if sizes[0] > 0 else rows[:0])
    counts = tuple(len(rows) for rows in components)
    padded = np.zeros((len(components), max(counts), states.shape[2]), dtype=np.float32)
    for layer, rows in enumerate(components):
        padded[layer, : len(rows)] = rows
    return Basis(padded, counts)
