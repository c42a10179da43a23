"""Which vectors are added in training, and how much of each: as a user gives it, resolved before training begins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from screen.errors import UsageError
from screen.foreign import JsonObject
from screen.steering.given import SteeringVectors
from screen.steering.plan import Layers, additions
from screen.steering.plan_file import directions_sha256
from screen.vectors.files import load_vectors
from screen.vectors.persona import PersonaVector

Given = str | Path | PersonaVector
Coefficient = float | Literal["auto"] | Mapping[str, float]
_EXAMPLE = 'give a number, "auto", or a number a trait: {"evil": 1.0}'


def dose_of(
    given: Given | Sequence[Given], coefficient: Coefficient, layers: Layers, layer: int | Mapping[str, int] | None
) -> SteeringVectors:
    """The vectors, loaded, with their coefficients. Raises UsageError and VectorError for what can be added to no
    model."""
    vectors = vectors_of(given)
    traits = [v.trait for v in vectors]
    if layers not in ("one", "all"):
        raise UsageError(f"layers={layers!r} is not understood", 'give layers="one" or layers="all"')
    if isinstance(coefficient, Mapping) and (unknown := sorted(set(coefficient) - set(traits))):
        raise UsageError(f"a coefficient for {unknown[0]!r}, which is not among the vectors", f"they are {traits}")
    at = dict(layer) if isinstance(layer, Mapping) else {} if layer is None else dict.fromkeys(traits, layer)
    dose = SteeringVectors(tuple(vectors), tuple(_coefficient(v, coefficient) for v in vectors), layers, at)
    if min(dose.additions()) < 1:
        raise UsageError("layer 0 is the embeddings, which no block gives", "give layer=1 or above")
    return dose


def vectors_of(given: Given | Sequence[Given]) -> list[PersonaVector]:
    """Vectors in memory, of files and of folders. Raises VectorError, and UsageError where none is named."""
    items = [given] if isinstance(given, (str, Path, PersonaVector)) else list(given)
    if not items:
        raise UsageError("no vector is given", "name a file or a folder of them")
    loaded = [v for item in items for v in ([item] if isinstance(item, PersonaVector) else load_vectors((str(item),)))]
    traits = [v.trait for v in loaded]
    if twice := sorted({t for t in traits if traits.count(t) > 1}):
        raise UsageError(f"two vectors for the trait {twice[0]!r}", "give one a trait")
    return loaded


def identity(dose: SteeringVectors) -> list[JsonObject]:
    """What decides the weights: a record a vector, with the digest of its directions and the hidden_states rows that
    they are added at."""
    return [
        {
            "trait": vector.trait,
            "sha256": directions_sha256(vector),
            "coefficient": coefficient,
            "layers": list(additions([vector], [1.0], dose.layers, _at(dose, vector))),
        }
        for vector, coefficient in zip(dose.vectors, dose.coefficients, strict=True)
    ]


def _at(dose: SteeringVectors, vector: PersonaVector) -> dict[str, int]:
    return {trait: layer for trait, layer in (dose.at or {}).items() if trait == vector.trait}


def _coefficient(vector: PersonaVector, given: Coefficient) -> float:
    value: object = given.get(vector.trait) if isinstance(given, Mapping) else given
    if value == "auto":
        value = vector.card.get("coefficient")
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise UsageError(
                f"the card of {vector.source or vector.trait} has no steering coefficient to take",
                "measure one with `screen vaccinate` and use from_plan, or give coefficient=1.0",
            )
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise UsageError(f"the coefficient of {vector.trait!r} is {value!r}, no finite number", _EXAMPLE)
    return float(value)
