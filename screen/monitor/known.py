"""How clean rows score on each trait: what messages are compared with. Loads no model library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from screen.baselines.kind import Baseline
from screen.baselines.last_prompt import LastPrompt
from screen.baselines.table import kind_of
from screen.errors import InputError
from screen.scoring.findings.flags import DEFAULT_AT, TraitReference, reference_of, threshold
from screen.store.reference import Reference
from screen.vectors.fit import ModelFacts
from screen.vectors.persona import VectorSet

BASELINE: Final[Baseline] = LastPrompt()  # what is subtracted where nothing is generated
OF_CARD: Final = "the vector's card"


@dataclass(frozen=True, slots=True)
class Standard:
    """How clean rows score on a trait. `limit`: what clean scores rarely pass, their percentile `at`: the 99th, or the
    highest that they are enough for; None where there are too few."""

    reference: TraitReference
    limit: float | None
    at: str | None = None

    @classmethod
    def of(cls, reference: TraitReference) -> Standard:
        found = threshold(np.zeros(0, dtype=np.float32), reference, DEFAULT_AT)
        return cls(reference, found.value, found.at)

    @property
    def name(self) -> str:
        """Where it comes from."""
        return self.reference.get("name") or OF_CARD

    @property
    def sd(self) -> float | None:
        """Of clean scores; None where they have no spread, or are not said to have any."""
        sd = float(self.reference.get("sd") or 0.0)
        return sd if sd > 0 and self.reference.get("mean") is not None else None

    def sds(self, score: float) -> float | None:
        """How far above the mean of clean scores, in their standard deviations."""
        return None if self.sd is None else (score - float(self.reference["mean"])) / self.sd


def standards(references: Mapping[str, TraitReference | None]) -> dict[str, Standard]:
    """Of the traits that have one. Raises InputError where none has."""
    known = {trait: Standard.of(reference) for trait, reference in references.items() if reference is not None}
    if not known:
        raise InputError(
            "no vector's card has scores of clean rows for this layer and baseline, so nothing tells what is high",
            f"give --reference with a file of `screen reference build clean.jsonl --baseline {BASELINE.name}`",
        )
    return known


def check(vectors: VectorSet, reference: Path | None, baseline: Baseline) -> None:
    """What can be told before a model is loaded. Raises InputError where there is nothing to compare with, or it is of
    another kind of baseline; StoreError for a file that is no reference."""
    if reference is None:
        pairs = zip(vectors.vectors, vectors.layers, strict=True)
        standards({v.trait: reference_of(v.card, layer, baseline.reference) for v, layer in pairs})
        return
    kind = kind_of(Reference.load(reference).card["baseline"])
    if kind.reference != baseline.reference:
        raise InputError(
            f"the reference {reference} has scores of the baseline {kind.name}, and messages are scored with"
            f" {baseline.name}",
            f"build one with `screen reference build clean.jsonl --baseline {baseline.name}`, or give --baseline"
            f" {kind.name}",
        )


def of_reference(reference: Reference, vectors: VectorSet) -> dict[str, Standard]:
    """Raises InputError where it was made with other vectors, or at other layers."""
    theirs = reference.card["vectors"]
    other = [trait for trait, applied in vectors.identity().items() if theirs.get(trait) != applied]
    if other:
        raise InputError(
            f"the reference {reference.name} does not fit: the vector or layer of {other[0]} differs",
            "build one with these vectors: screen reference build",
        )
    return {trait: Standard.of(reference.as_card(trait)) for trait in vectors.traits}


def check_model(reference: Reference, model: ModelFacts) -> None:
    """Raises InputError where a reference is of another model."""
    theirs = reference.card["model"]
    ours = {"config": model.config, "weights": model.weights, "tokenizer": model.tokenizer}
    differing = [f"the model's {name}" for name, mine in ours.items() if theirs.get(name) != mine]
    if differing:
        raise InputError(
            f"the reference {reference.name} does not fit {model.name}: {', '.join(differing)} differs",
            "build one with this model: screen reference build",
        )
