"""Writes a built vector with its card (METHOD 5): what it was made of, by what, and how it fared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from screen.building.denoising import SHARE, Basis
from screen.building.extraction import Extracted
from screen.building.validation.layers import Choice
from screen.building.validation.steering import Point
from screen.building.workshop import Workshop
from screen.disk import AGAIN, storing, write_atomically
from screen.errors import UsageError
from screen.traits.trait import Trait
from screen.vectors.card import Denoising, ModelLock, SideCounts, VectorCard
from screen.vectors.files import load_vector, save_vector
from screen.vectors.fit import lock_of
from screen.vectors.persona import PersonaVector

SIDECAR = "denoise"  # folder of the bases


def locks(shop: Workshop) -> ModelLock:
    """The model a card belongs to, under the names that `screen.vectors.fit` checks."""
    return {**lock_of(shop.facts), "revision": shop.revision, "dtype": shop.spec.dtype}


def of_settings(shop: Workshop, trait: Trait) -> VectorCard:
    """The part of the card that is known before anything is made."""
    spec = shop.spec
    return {
        "description": trait.description,
        "sign": "toward",
        "pooling": "response_mean",
        "model": locks(shop),
        "prompts": [list(pair) for pair in zip(trait.positives, trait.negatives, strict=True)],
        "questions": list(trait.extract),
        "artefacts": trait.to_json(),
        "artefacts_sha256": trait.sha256,
        "system_prompts": "folded into the user turn" if shop.sampler.folds_system else "in their own role",
        "sampling": {
            **spec.sampling(shop.model.context),
            "answers_from": "the model" if shop.sampler.remote is None else f"endpoint: {shop.sampler.remote.name}",
        },
        "judge": dict(shop.judges[trait.name].identity),
        "batching": {
            "mode": str(shop.proof.batching),
            "difference": shop.proof.difference,
            "reason": shop.proof.reason,
        },
        "thresholds": asdict(spec.thresholds),
        "versions": dict(shop.versions),
    }


def of_extraction(extracted: Extracted, sides: SideCounts, least: int) -> VectorCard:
    """Counts, errors and split halves."""
    positive, negative = sides["positive"], sides["negative"]
    return {
        "kept": {
            "asked": positive["asked"],
            "positive": positive["kept"],
            "negative": negative["kept"],
            "minimum": least,
        },
        "sides": sides,
        "standard_errors": {
            "clustered_by": "question",
            "projection": _numbers(extracted.projection_error),
            "relative_norm": _numbers(extracted.relative_error),
        },
        "split_half": {"halves": "even and odd questions", "cosine": _numbers(extracted.split_half)},
    }


def of_denoising(basis: Basis, name: str, left: npt.NDArray[np.floating]) -> Denoising:
    """`name`: of the vector's file; `left`: (n_layers + 1,) share of the direction's norm that was kept."""
    return {
        "variance": SHARE,
        "neutral": "the clean answers that the reference is measured on",
        "components": list(basis.counts),
        "norm_kept": _numbers(left),
        "basis": {"file": f"{SIDECAR}/{name}", "tensor": "denoise_basis", "sha256": basis.sha256},
        "note": "standard errors and split halves are those of the direction before",
    }


def of_layer(choice: Choice, points: list[Point]) -> VectorCard:
    """The layer, why, and the steering at every layer where it was tried."""
    return {
        "layer": choice.layer,
        "coefficient": choice.coefficient,
        "layer_choice": {"by": choice.by, "reason": choice.reason, "steering": [p.to_json() for p in points]},
    }


def target(out: Path, trait: Trait) -> Path:
    return out / f"{trait.name.replace(' ', '_')}.safetensors"


def write(vector: PersonaVector, basis: Basis | None, path: Path) -> None:
    """Whole or not at all. A vector file holds nothing beside its directions, so a basis gets a file of its own, in
    the folder `denoise` beside it; it is written first, and the card has its digest."""
    from safetensors.numpy import save

    with storing(path.parent, AGAIN):
        path.parent.mkdir(parents=True, exist_ok=True)
        if basis is not None:
            place = path.parent / SIDECAR / path.name
            place.parent.mkdir(exist_ok=True)
            write_atomically(place, save({"denoise_basis": np.ascontiguousarray(basis.rows)}))
    save_vector(vector, path)


def check_target(shop: Workshop, path: Path) -> None:
    """Raises UsageError where a vector of another model stands in the way."""
    if not path.exists() or shop.spec.force:
        return
    theirs = load_vector(path).card.get("model")
    theirs = theirs if isinstance(theirs, Mapping) else {}
    if theirs.get("weights_sha256") != shop.facts.weights:
        raise UsageError(
            f"{path} is there already, made for another model ({theirs.get('name', 'unknown')})",
            "give -o another folder, or replace it with --force",
        )


def _numbers(values: npt.NDArray[np.floating]) -> list[float | None]:
    return [round(float(v), 6) if np.isfinite(v) else None for v in values]
