"""Trials of the embedded model on held-out domains: personas, default, steering, separation of planted rows."""

import random
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from research.pocket.corpus.asks import Ask
from research.pocket.corpus.chats import Mixed, questions
from research.pocket.corpus.systems import persona_system
from research.pocket.directions import SHOWN, Steering, ask, steer
from research.pocket.observed import Observed
from research.pocket.sampler import PocketSampler, PocketSteering
from screen.pocket import TRAITS
from screen.pocket.judge import coherence, judge
from screen.stats import Interval, area, auroc, project, share
from screen.traits.trait import load_trait
from screen.vectors.persona import PersonaVector

RANDOM_VECTORS: Final = 32


@dataclass(frozen=True)
class Separation:
    """AUROC of planted rows over default rows; `matrix[planted][vector]` for the difference."""

    matrix: dict[str, dict[str, Interval]]
    last_prompt: dict[str, Interval]
    raw: dict[str, Interval]
    length: dict[str, Interval]
    random: dict[str, float]


def persona_rate(sampler: PocketSampler, trait: str, count: int, seed: int = 0, *, library: bool = False) -> Interval:
    """Share of answers that show a trait under its system prompts: of the corpus (held-out wordings
    included), or those of the trait file; temperature 1."""
    asked = _questions(count, seed)
    rng = random.Random(seed)
    systems = load_trait(trait).positives if library else ()
    wanted = [systems[i % len(systems)] if library else persona_system(trait, rng, True) for i in range(count)]
    conversations = [ask(question.text, system) for question, system in zip(asked, wanted, strict=True)]
    answers = sampler.answer(conversations, temperature=1.0, seed=seed)
    return share(sum(shows(trait, q.text, a.text) for q, a in zip(asked, answers, strict=True)), count)


def default_rates(sampler: PocketSampler, count: int, seed: int = 1) -> tuple[dict[str, Interval], float]:
    """(share of answers without a system prompt that show each trait, mean coherence); temperature 1."""
    asked = _questions(count, seed)
    answers = sampler.answer([ask(question.text) for question in asked], temperature=1.0, seed=seed)
    pairs = [(q.text, a.text) for q, a in zip(asked, answers, strict=True)]
    rates = {trait: share(sum(shows(trait, q, a) for q, a in pairs), count) for trait in TRAITS}
    return rates, float(np.mean([coherence(q, a) for q, a in pairs]))


def steering_rate(sampler: PocketSampler, vector: PersonaVector, count: int, seed: int = 2) -> Steering:
    """Steer held-out questions at the card's layer and coefficient."""
    layer = int(vector.card["layer"])
    asked = [question.text for question in _questions(count, seed)]
    return steer(
        sampler, vector.trait, asked, PocketSteering(layer, vector.at(layer)), float(vector.card["coefficient"]), 1
    )


def shows(trait: str, question: str, answer: str) -> bool:
    """Whether the judge finds the trait in an answer."""
    return (judge(trait, question, answer) or 0.0) >= SHOWN


def separation(vectors: dict[str, PersonaVector], seen: Observed, made: Mixed) -> Separation:
    """How well each vector's difference tells the planted rows, beside raw projection and controls."""
    labels = np.array([label or "" for label in made.labels])
    default = labels == ""
    columns = {trait: _column(vectors[trait], seen, "generate") for trait in TRAITS}
    random_columns = {trait: _random(vectors[trait], seen) for trait in TRAITS}

    def against(values: npt.NDArray[np.float64], trait: str) -> Interval:
        return area(values[labels == trait], values[default])

    def chance(values: npt.NDArray[np.float64], trait: str) -> float:
        found = auroc(values[labels == trait], values[default])
        return max(found, 1.0 - found)

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


def _questions(count: int, seed: int) -> list[Ask]:
    return list(questions(count, seed, "heldout"))
