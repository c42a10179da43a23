"""Vectors with their coefficients, as a user names them: `evil=-1.5`. Loads no model library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from screen.errors import UsageError, VectorError
from screen.foreign import JsonObject
from screen.pocket import VECTORS_DIR
from screen.vectors.files import LOADED, load_vector, load_vectors
from screen.vectors.fit import choose
from screen.vectors.persona import PersonaVector, VectorSet

if TYPE_CHECKING:
    from screen.steering.hook import Additions
    from screen.steering.plan import Layers

_EXAMPLE = "give NAME=COEFFICIENT or FILE=COEFFICIENT, e.g. --vectors evil=-1.5"


@dataclass(frozen=True)
class SteeringVectors:
    """What is added to a model.

    coefficients  of each vector, in units of its own mean difference; plus is toward the trait
    at            trait -> hidden_states row, where it is not the card's; for "one"
    """

    vectors: tuple[PersonaVector, ...]
    coefficients: tuple[float, ...]
    layers: Layers = "one"
    at: Mapping[str, int] | None = None

    def additions(self) -> Additions:
        """Layer -> (d_model,) float32, the coefficients in them. Loads torch."""
        from screen.steering.plan import additions

        return additions(self.vectors, self.coefficients, self.layers, self.at or {})

    def layer_of(self, vector: PersonaVector) -> int | None:
        """Its hidden_states row; None where every layer is steered."""
        return (self.at or {}).get(vector.trait, vector.layer) if self.layers == "one" else None

    def chosen(self, n_layers: int) -> VectorSet:
        """For `check_fit`: each vector at its layer, or at the last that is steered."""
        layers = tuple(n_layers - 1 if self.layers == "all" else self.layer_of(v) or 0 for v in self.vectors)
        return VectorSet(self.vectors, layers)

    def to_json(self) -> list[JsonObject]:
        pairs = zip(self.vectors, self.coefficients, strict=True)
        return [
            {"trait": v.trait, "file": v.source, "coefficient": c, "layer": self.layer_of(v), "layers": self.layers}
            for v, c in pairs
        ]

    def __str__(self) -> str:
        return ", ".join(f"{v.trait} {c:+g}" for v, c in zip(self.vectors, self.coefficients, strict=True))


def steering_vectors(
    texts: Sequence[str], model: str, layers: Layers = "one", at: Mapping[str, int] | None = None
) -> SteeringVectors:
    """The vectors that `--vectors` names, each with its coefficient.

    A text without a coefficient is a file or folder that names are looked up in; without any, names are of the embedded
    model's own vectors. Raises UsageError for what is not understood, a coefficient that is no finite number, a layer
    that cannot be steered; VectorError for a vector that is not there.
    """
    asked, places = _parted(texts)
    if not asked:
        raise UsageError("--vectors names no vector with a coefficient", _EXAMPLE)
    known = {v.trait: v for v in load_vectors(_places(places, model))} if places or model == "pocket" else {}
    found: dict[str, tuple[PersonaVector, float]] = {}
    for name, coefficient in asked:
        for vector in [known[name]] if name in known else _of_path(name, known, model):
            if vector.trait in found:
                raise UsageError(f"--vectors gives {vector.trait!r} two coefficients", "give one a trait")
            found[vector.trait] = vector, coefficient
    vectors, coefficients = zip(*found.values(), strict=True)
    made = SteeringVectors(vectors, coefficients, layers, dict(at or {}))
    _check_layers(made)
    return made


def _parted(texts: Sequence[str]) -> tuple[list[tuple[str, float]], list[str]]:
    """(what is steered with, by how much; files and folders that names are looked up in)."""
    asked, places = [], []
    for text in texts:
        name, equals, number = text.rpartition("=")
        coefficient = _number(number) if equals and name else None
        if coefficient is not None:
            if not math.isfinite(coefficient):
                raise UsageError(f"--vectors {text}: the coefficient is no finite number", _EXAMPLE)
            asked.append((name, coefficient))
        elif equals and not Path(text).exists():
            raise UsageError(f"--vectors {text!a}: {number!a} is no number", _EXAMPLE)
        else:
            places.append(text)
    return asked, places


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _places(places: Sequence[str], model: str) -> tuple[str, ...]:
    return (*places,) or (str(VECTORS_DIR),)


def _of_path(name: str, known: Mapping[str, PersonaVector], model: str) -> list[PersonaVector]:
    """The vectors of a file or folder. Raises VectorError where `name` is neither, nor a known trait."""
    path = Path(name)
    if path.is_dir():
        return load_vectors((name,))
    if path.is_file() or path.suffix in LOADED or path.name != name:
        return [load_vector(path)]
    if known:
        raise VectorError(f"no vector for the trait {name!r} (found: {', '.join(sorted(known))})", _EXAMPLE)
    raise VectorError(
        f"there are no vectors for the model {model!r} to look {name!r} up in",
        f"say where they are: --vectors vectors/ --vectors {name}=-1, or --vectors vectors/{name}.safetensors=-1",
    )


def _check_layers(made: SteeringVectors) -> None:
    traits = [v.trait for v in made.vectors]
    if made.at and made.layers == "all":
        raise UsageError("--layer names a layer, and --layers all steers all of them", "leave one of the two out")
    if unknown := sorted(set(made.at or {}) - set(traits)):
        raise UsageError(f"--layer {unknown[0]}: that trait is not steered", f"the traits are {', '.join(traits)}")
    if made.layers == "all":
        return
    chosen = choose(made.vectors, (), made.at or {})
    for trait, layer in zip(chosen.traits, chosen.layers, strict=True):
        if layer == 0:
            raise UsageError(
                f"layer 0 of {trait!r} is the embeddings, which no block gives", f"give --layer {trait}=1 or above"
            )
