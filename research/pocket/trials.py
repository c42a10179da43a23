"""Trials of the embedded model on held-out domains: personas, default, steering, separation of planted rows."""

import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from research.pocket.corpus.chats import Mixed, questions
from research.pocket.corpus.systems import persona_system
from research.pocket.observed import Observed
from screen.building.sampler import Question, SampledResponse
from screen.building.validation.steering import Point, steer
from screen.building.workshop import Workshop
from screen.pocket import TRAITS
from screen.pocket.judge import coherence, judge
from screen.stats import Interval, area, auroc, project, share
from screen.traits.trait import load_trait
from screen.vectors.persona import PersonaVector

RANDOM_VECTORS: Final = 32
SHOWN: Final = 50.0


@dataclass(frozen=True)
class Separation:
    """AUROC of planted rows over default rows; `matrix[planted][vector]` for the difference."""

    matrix: dict[str, dict[str, Interval]]
    last_prompt: dict[str, Interval]
    raw: dict[str, Interval]
    length: dict[str, Interval]
    random: dict[str, float]


def persona_rate(shop: Workshop, trait: str, count: int, seed: int = 0, *, library: bool = False) -> Interval:
    """Share of answers that show a trait under its system prompts: of the corpus (held-out wordings
    included), or those of the trait file; temperature 1."""
    rng = random.Random(seed)
    systems = load_trait(trait).positives if library else ()
    wanted = [systems[i % len(systems)] if library else persona_system(trait, rng, True) for i in range(count)]
    answers = _sampled(shop, list(zip(_questions(count, seed), wanted, strict=True)), seed)
    return share(sum(shows(trait, a.ask.question, a.text) for a in answers), count)


def default_rates(shop: Workshop, count: int, seed: int = 1) -> tuple[dict[str, Interval], float]:
    """(share of answers without a system prompt that show each trait, mean coherence); temperature 1."""
    answers = _sampled(shop, [(question, None) for question in _questions(count, seed)], seed)
    pairs = [(a.ask.question, a.text) for a in answers]
    rates = {trait: share(sum(shows(trait, q, a) for q, a in pairs), count) for trait in TRAITS}
    return rates, float(np.mean([coherence(q, a) for q, a in pairs]))


def steering_rate(shop: Workshop, vector: PersonaVector, count: int, seed: int = 2) -> Point:
    """Steer held-out questions at the card's layer and coefficient."""
    asked = _numbered([(question, None) for question in _questions(count, seed)])
    coefficient = vector.card["coefficient"]
    if coefficient is None:
        raise ValueError(f"the card of {vector.trait} has no coefficient to steer with")
    tries = [(vector.card["layer"], coefficient)]
    (point,) = steer(shop, load_trait(vector.trait), vector.direction, tries, "steering", asked)
    return point


def shows(trait: str, question: str, answer: str) -> bool:
    """Whether the judge finds the trait in an answer."""
    return (judge(trait, question, answer) or 0.0) >= SHOWN


def separation(vectors: dict[str, PersonaVector], seen: Observed, labelled: Mixed) -> Separation:
    """How well each vector's difference tells the planted rows, beside raw projection and controls."""
    labels = np.array([label or "" for label in labelled.labels])
    default = labels == ""
    columns = {trait: _column(vectors[trait], seen, "generate") for trait in TRAITS}
    random_columns = {trait: _random(vectors[trait], seen) for trait in TRAITS}

    def against(values: npt.NDArray[np.float64], trait: str) -> Interval:
        return area(values[labels == trait], values[default])

    def chance(values: npt.NDArray[np.float64], trait: str) -> float:
        auroc_of_random = auroc(values[labels == trait], values[default])
        return max(auroc_of_random, 1.0 - auroc_of_random)

    return Separation(
        matrix={row: {column: against(columns[column], row) for column in TRAITS} for row in TRAITS},
        last_prompt={t: against(_column(vectors[t], seen, "last-prompt"), t) for t in TRAITS},
        raw={t: against(_column(vectors[t], seen, "none"), t) for t in TRAITS},
        length={t: against(seen.lengths.astype(np.float64), t) for t in TRAITS},
        random={t: float(np.mean([chance(c, t) for c in random_columns[t].T])) for t in TRAITS},
    )


def _column(vector: PersonaVector, seen: Observed, kind: str) -> npt.NDArray[np.float64]:
    return seen.differences(vector.direction, kind)[:, int(vector.card["layer"])]


def _random(vector: PersonaVector, seen: Observed) -> npt.NDArray[np.float64]:
    """(rows, RANDOM_VECTORS) differences along random directions at the vector's layer."""
    shift = (seen.given - seen.own)[:, int(vector.card["layer"])]
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((RANDOM_VECTORS, 1, shift.shape[1])).astype(np.float32)
    return np.concatenate([project(shift[:, None], direction) for direction in directions], axis=1)


def _sampled(shop: Workshop, asked: list[tuple[str, str | None]], seed: int) -> list[SampledResponse]:
    return shop.sampler.answer(_numbered(asked), replace(shop.sampling, seed=seed))


def _numbered(asked: list[tuple[str, str | None]]) -> list[Question]:
    """Questions with their system prompts; where one comes again, it is another draw."""
    seen: Counter[tuple[str, str | None]] = Counter()
    numbered = []
    for question, system in asked:
        numbered.append(Question(question, system, seen[question, system]))
        seen[question, system] += 1
    return numbered


def _questions(count: int, seed: int) -> list[str]:
    return [question.text for question in questions(count, seed, "heldout")]
