"""One trait's directions for one model, with its card; and the set that a run applies.

Sign: every direction points **toward** the trait. Layer: `layer` l means `hidden_states[l]` of a Hugging Face
model (0 = embeddings, l = output of block l, counted from 1). Knows nothing of files or models.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from screen.errors import VectorError
from screen.vectors.card import VectorCard

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PersonaVector:
    """`direction`: (n, d_model) float32, not normalised; `hs_index`: (n,) the hidden_states row of each.

    `controls`: (m, d_model) float32 unit vectors that mean nothing, at the layer that the card's reference names; how
    clean rows score along them is in that reference (screen.vectors.controls).
    """

    trait: str
    direction: Float32
    hs_index: npt.NDArray[np.int64]
    card: VectorCard = field(default_factory=VectorCard)
    source: str = ""  # the file it came from, for messages
    warnings: tuple[str, ...] = ()
    controls: Float32 | None = None

    @property
    def d_model(self) -> int:
        return int(self.direction.shape[1])

    @property
    def layer(self) -> int | None:
        """The layer its card recommends, if it does."""
        value = self.card.get("layer")
        return int(value) if value is not None else None

    def at(self, layer: int) -> Float32:
        """The direction at `layer`: (d_model,) float32. Raises VectorError where the file has none."""
        rows = np.flatnonzero(self.hs_index == layer)
        if len(rows) == 0:
            have = f"{self.hs_index.min()} to {self.hs_index.max()}"
            raise VectorError(
                f"{self.source or self.trait}: no direction for layer {layer} (it has {have})",
                f"choose one it has, e.g. --layer {self.trait}={int(self.hs_index.max()) // 2}",
            )
        row: Float32 = self.direction[int(rows[0])]
        return row

    def unit(self, layer: int) -> Float32:
        """v_hat = v / ||v|| at `layer`, (d_model,) float32; the norm is taken in float64."""
        v = self.at(layer).astype(np.float64)
        norm = float(np.linalg.norm(v))
        if norm == 0.0 or not np.isfinite(norm):
            raise VectorError(
                f"{self.source or self.trait}: the direction at layer {layer} is zero or not finite",
                "choose another --layer, or rebuild the vector",
            )
        return (v / norm).astype(np.float32)

    def digest(self, layer: int) -> str:
        """SHA-256 of the direction applied at `layer`: what a resumed run must match."""
        return hashlib.sha256(self.at(layer).tobytes()).hexdigest()


class AppliedVector(TypedDict):
    """What a run stores of a vector: the screened layer, and the digest of its direction there."""

    layer: int
    sha256: str


@dataclass(frozen=True, slots=True)
class VectorSet:
    """The vectors one run applies: one model, fixed column order (the order of `vectors`)."""

    vectors: tuple[PersonaVector, ...]
    layers: tuple[int, ...]  # the screened layer of each

    @property
    def traits(self) -> tuple[str, ...]:
        return tuple(v.trait for v in self.vectors)

    def matrix(self) -> Float32:
        """(k, d_model) float32, row j the unit vector of trait j at its layer."""
        return np.stack([v.unit(layer) for v, layer in zip(self.vectors, self.layers, strict=True)])

    def identity(self) -> dict[str, AppliedVector]:
        """What decides the scores: layer and digest a trait, in column order."""
        return {
            v.trait: {"layer": layer, "sha256": v.digest(layer)}
            for v, layer in zip(self.vectors, self.layers, strict=True)
        }
