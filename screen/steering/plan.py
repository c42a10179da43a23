"""Which layers are steered, and by how much.

A coefficient counts in units of the trait's own mean difference: 1 is the vector as it is on disk, not normalised; plus
is toward the trait, minus away from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from screen.errors import UsageError, VectorError
from screen.steering.hook import Additions
from screen.vectors.persona import PersonaVector

Layers = Literal["one", "all"]
Float32 = npt.NDArray[np.float32]


def additions(
    vectors: Sequence[PersonaVector], coefficients: Sequence[float], layers: Layers, at: Mapping[str, int] = {}
) -> Additions:
    """What is added where, summed over the vectors.

    "one": each vector at its card's layer, or `at` its trait. "all": at every layer from 1 to the last but one what the
    vector gains there, v[l] - v[l-1] (v[1] at layer 1), so that the residual stream carries v[l] at layer l.

    Raises UsageError for a coefficient that is no finite number, a trait of `at` that is not among the vectors, or `at`
    with "all"; VectorError for a layer that a vector does not have or state.
    """
    unknown = sorted(set(at) - {v.trait for v in vectors})
    if unknown:
        raise UsageError(f"a layer for {unknown[0]!r}, which is not steered", "check the traits")
    if at and layers == "all":
        raise UsageError("a layer was given, and all of them are to be steered", "leave one of the two out")
    total: dict[int, Float32] = {}
    for vector, coefficient in zip(vectors, coefficients, strict=True):
        if not math.isfinite(coefficient):
            raise UsageError(f"the coefficient of {vector.trait!r} is {coefficient}", "give a finite number")
        for layer, step in _steps(vector, layers, at).items():
            with np.errstate(over="ignore", invalid="ignore"):
                total[layer] = total.get(layer, np.float32(0)) + np.float32(coefficient) * step
            if not np.isfinite(total[layer]).all():
                raise UsageError(
                    f"the coefficient {coefficient:g} of {vector.trait!r} makes numbers too large to add",
                    "coefficients count in the trait's own mean difference: most are between -3 and 3",
                )
    return {layer: torch.from_numpy(np.ascontiguousarray(total[layer])) for layer in sorted(total)}


def _steps(vector: PersonaVector, layers: Layers, at: Mapping[str, int]) -> dict[int, Float32]:
    """layer -> (d_model,) what one unit of the vector adds there."""
    if layers == "all":
        rows = {layer: vector.at(layer) for layer in range(1, _depth(vector))}
        return {layer: row - rows[layer - 1] if layer > 1 else row for layer, row in rows.items()}
    layer = at.get(vector.trait, vector.layer)
    if layer is None:
        raise VectorError(f"{vector.source}: the file does not say which layer {vector.trait!r} has", "state it")
    return {layer: vector.at(layer)}


def _depth(vector: PersonaVector) -> int:
    """The model's number of blocks, as the card has it; else the file's deepest row."""
    lock = vector.card.get("model")
    stated = lock.get("n_layers") if isinstance(lock, Mapping) else None
    return stated if type(stated) is int else int(vector.hs_index.max())
