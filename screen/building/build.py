"""READ FIRST of this room. A build: rollouts -> judge -> filter -> extract -> layer -> validation -> card.

`build_vectors` tells the story. Everything generated or judged is kept under `out`/.build as soon as it is there,
so a build that was stopped goes on where it was, and ends with the bytes of one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from screen.building import cards
from screen.building.denoising import Basis, principal
from screen.building.extraction import Extracted, QuestionMeans, finish
from screen.building.judges import JudgeFor
from screen.building.reference import clean_rows, reference, states
from screen.building.rollouts import RolloutSide, asks, check, counts, kept
from screen.building.spec import BuildSpec
from screen.building.validation.heldout import HeldOut
from screen.building.validation.layers import Choice, by_separation, by_steering
from screen.building.validation.steering import Point, steer
from screen.building.validation.validate import Candidate, curve, separate, validate
from screen.building.workshop import Workshop, open_workshop
from screen.endpoint.client import Endpoint
from screen.errors import VectorError
from screen.progress import Progress, Silent
from screen.traits.trait import Trait
from screen.vectors.card import VectorCard
from screen.vectors.persona import PersonaVector

P = ParamSpec("P")
T = TypeVar("T")
Directions = Mapping[str, npt.NDArray[np.float32]]  # trait -> (n_layers + 1, d_model)


@dataclass(frozen=True)
class BuiltVector:
    """A vector that was saved, with its card; `warnings` are on the card too."""

    vector: PersonaVector
    path: Path
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Built:
    """What was saved, and why the others were not."""

    vectors: tuple[BuiltVector, ...]
    refused: tuple[VectorError, ...]


@dataclass(frozen=True)
class VectorDraft:
    """One trait's vector on its way, with what is on its card so far."""

    trait: Trait
    extracted: Extracted
    card: VectorCard
    basis: Basis | None = None

    @property
    def candidate(self) -> Candidate:
        return Candidate(self.trait, self.extracted.direction, self.extracted.permuted)


class PlacedDraft(NamedTuple):
    """A draft with its layer, and the held-out answers that helped to choose it."""

    draft: VectorDraft
    held: HeldOut
    choice: Choice
    points: list[Point]  # steering at every layer, where it was tried


def build_vectors(
    spec: BuildSpec,
    out: Path,
    *,
    judge: JudgeFor,
    progress: Progress | None = None,
    answers_from: Endpoint | None = None,
) -> Built:
    """Make a vector for each trait of `spec` and save it as `out`/<trait>.safetensors.

    `answers_from`: an endpoint that serves the same model, to make the rollouts; the model is needed here too.

    A trait that the model does not show, or whose vector is no better than its controls, is refused with a
    VectorError that tells the figures; the others are saved all the same.
    """
    shop = open_workshop(spec, out, judge, progress or Silent(), answers_from)
    for trait in spec.traits:
        cards.check_target(shop, cards.target(out, trait))
    refused: list[VectorError] = []
    drafts = [d for trait in spec.traits for d in tried(refused, extract, shop, trait)]
    directions = {d.trait.name: d.extracted.direction for d in drafts}
    placed = [p for d in drafts for p in tried(refused, place, shop, d, directions)]
    layers = {p.draft.trait.name: p.choice.layer for p in placed}
    directions = {name: directions[name] for name in layers}
    saved = [v for p in placed for v in tried(refused, save, shop, p, layers, directions, out)]
    return Built(tuple(saved), tuple(refused))


def tried(refused: list[VectorError], step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> list[T]:
    """What a step makes of one trait; nothing where it is refused, for the others go on."""
    try:
        return [step(*args, **kwargs)]
    except VectorError as error:
        refused.append(error)
        return []


def extract(shop: Workshop, trait: Trait) -> VectorDraft:
    """Rollouts, judge, filter and extraction, a chunk of answers at a time."""
    positive, negative = QuestionMeans(shop.means), QuestionMeans(shop.means)
    sides = (RolloutSide(), RolloutSide())
    for means, side, systems, wanted in (
        (positive, sides[0], trait.positives, True),
        (negative, sides[1], trait.negatives, False),
    ):
        stage = f"{'positive' if wanted else 'negative'} answers"
        for chunk in kept(shop, trait, asks(systems, trait.extract, shop.spec.rollouts), wanted, side, stage):
            means.add((response.ask.group, response.tokens) for response in chunk)
    least = shop.spec.least(sides[0].asked)
    shop.progress.note("kept", {"trait": trait.name, **counts(*sides)})
    check(trait, *sides, least)
    extracted = finish(positive, negative, seed=shop.spec.seed)
    card: VectorCard = {**cards.of_settings(shop, trait), **cards.of_extraction(extracted, counts(*sides), least)}
    draft = VectorDraft(trait, extracted, card)
    return denoised(shop, draft) if shop.spec.denoise else draft


def denoised(shop: Workshop, draft: VectorDraft) -> VectorDraft:
    """The draft without the directions in which the model's clean answers vary most."""
    basis = principal(draft.trait.name, states(shop, clean_rows(shop, draft.trait)))
    before = np.linalg.norm(draft.extracted.direction, axis=-1)
    extracted = replace(
        draft.extracted,
        direction=basis.remove(draft.extracted.direction),
        permuted=basis.remove(draft.extracted.permuted),
    )
    left = np.linalg.norm(extracted.direction, axis=-1) / np.where(before > 0, before, 1.0)
    card: VectorCard = {
        **draft.card,
        "denoise": cards.of_denoising(basis, cards.target(Path(), draft.trait).name, left),
    }
    return replace(draft, extracted=extracted, basis=basis, card=card)


def place(shop: Workshop, draft: VectorDraft, directions: Directions) -> PlacedDraft:
    """The layer, by the criterion of the spec; both curves go on the card."""
    held = separate(shop, draft.candidate, directions)
    auroc, effect = curve(held, draft.trait.name)
    if shop.spec.layer_by == "separation":
        return PlacedDraft(draft, held, by_separation(shop.steerable, auroc, effect), [])
    tries = [(layer, c) for layer in shop.steerable for c in shop.spec.steer.coefficients]
    points = steer(shop, draft.trait, draft.extracted.direction, tries, "steering every layer")
    choice = by_steering(points, auroc, effect, shop.spec.thresholds.steering_coherence)
    return PlacedDraft(draft, held, choice, points)


def save(
    shop: Workshop, placed: PlacedDraft, layers: Mapping[str, int], directions: Directions, out: Path
) -> BuiltVector:
    """Validate, complete the card, write. Raises VectorError, with nothing saved, for a vector that is no better
    than its controls."""
    draft, held, choice, points = placed
    name, direction = draft.trait.name, draft.extracted.direction
    result = validate(shop, draft.candidate, held, layers, directions)
    if result.failed and not shop.spec.force:
        raise VectorError(
            f"{name}: no better than its controls: AUROC {result.facts['auroc_at_layer']:.3f} on held-out answers at"
            f" layer {choice.layer}, beside {', '.join(result.failed)}",
            "try more --rollouts, another judge or other prompts; --force saves it, and says so on the card",
        )
    measured, controls = reference(shop, clean_rows(shop, draft.trait), choice.layer, directions, name)
    card: VectorCard = {
        **draft.card,
        **cards.of_layer(choice, points),
        "validation": {**result.facts, "forced": bool(result.failed)},
        "warnings": [f"no better than its controls, and built with --force: {', '.join(result.failed)}"]
        if result.failed
        else [],
        "reference": measured,
    }
    path = cards.target(out, draft.trait)
    vector = PersonaVector(name, direction, np.arange(len(direction)), card, str(path), controls=controls)
    cards.write(vector, draft.basis, path)
    return BuiltVector(vector, path, result.warnings)
