"""plan.json: which vectors are added in training, where and how much, with what was measured to choose it.

`screen vaccinate` writes it, `PreventativeSteering.from_plan` reads it. The file is sealed: what was edited by hand was
not measured. A vector is named by its path and the digest of its directions; a path below the plan's folder is kept
relative to it, so that both can be moved together.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from screen.disk import write_atomically, writing
from screen.errors import UsageError, VectorError
from screen.foreign import JsonObject
from screen.pocket import VECTORS_DIR
from screen.seal import Broken, open_json, sealed_json
from screen.steering.given import SteeringVectors
from screen.vectors.card import ModelLock
from screen.vectors.files import load_vector
from screen.vectors.persona import PersonaVector

FORMAT = 1
_EMBEDDED = "pocket"  # the path of a vector that comes with this package
_ANEW = "write it anew: screen vaccinate"


@dataclass(frozen=True)
class SteeringPlan:
    """What is added in training. `model`: that the vectors are for and that all was measured on."""

    steering: SteeringVectors
    model: ModelLock


def directions_sha256(vector: PersonaVector) -> str:
    """Hex digest over the directions of every layer, as the vector's own card has it."""
    return hashlib.sha256(np.ascontiguousarray(vector.direction, dtype=np.float32).tobytes()).hexdigest()


def write_plan(path: Path, plan: SteeringPlan, measured: Sequence[JsonObject], recipe: JsonObject) -> None:
    """Write the plan whole or not at all. `measured`: a fine-tuning each; `recipe`: how they were made and chosen."""
    steering = plan.steering
    listed = [
        {
            "trait": vector.trait,
            "path": _stored(Path(vector.source), path.parent),
            "sha256": directions_sha256(vector),
            "layer": steering.layer_of(vector),
            "coefficient": coefficient,
            "layers": steering.layers,
        }
        for vector, coefficient in zip(steering.vectors, steering.coefficients, strict=True)
    ]
    body = {"format": FORMAT, "vectors": listed, "model": plan.model, "measured": list(measured), "recipe": recipe}
    with writing(path, "choose another -o"):
        write_atomically(path, sealed_json(body))


def read_plan(path: Path) -> SteeringPlan:
    """The plan with its vectors loaded. Raises UsageError for a file that is no plan or was changed, VectorError for a
    vector that is gone or is another one now."""
    try:
        body = open_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be read: {error.strerror}", "check its path") from None
    except Broken as error:
        raise UsageError(f"{path} is no plan, or was changed since it was written: {error}", _ANEW) from None
    if body.get("format") != FORMAT:
        raise UsageError(f"{path} is no plan of the format {FORMAT}", _ANEW)
    try:
        return _plan(path, body)
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{path} is no plan: its fields are not those of one", _ANEW) from None


def _plan(path: Path, body: JsonObject) -> SteeringPlan:
    listed = list(body["vectors"])
    (kind,) = {one["layers"] for one in listed}
    coefficients = tuple(float(one["coefficient"]) for one in listed)
    if kind not in ("one", "all") or not all(map(math.isfinite, coefficients)):
        raise ValueError("not a plan")
    vectors = tuple(_vector(path, one) for one in listed)
    at = {one["trait"]: int(one["layer"]) for one in listed if one["layer"] is not None}
    return SteeringPlan(SteeringVectors(vectors, coefficients, kind, at), cast(ModelLock, body["model"]))


def _vector(plan: Path, listed: JsonObject) -> PersonaVector:
    stored, trait = str(listed["path"]), str(listed["trait"])
    file = VECTORS_DIR / f"{trait}.safetensors" if stored == _EMBEDDED else plan.parent / stored
    vector = load_vector(file)
    if directions_sha256(vector) != listed["sha256"] or vector.trait != trait:
        raise VectorError(f"{file} is not the vector that {plan} was made with", f"restore that file, or {_ANEW}")
    return vector


def _stored(vector: Path, folder: Path) -> str:
    whole = vector.resolve()
    if whole.parent == VECTORS_DIR.resolve():
        return _EMBEDDED
    below = whole.is_relative_to(folder.resolve())
    return whole.relative_to(folder.resolve()).as_posix() if below else str(whole)
