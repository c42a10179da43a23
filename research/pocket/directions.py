"""The embedded model's persona vectors: its baseline responses, chosen by its judge; then the layer, by steering.

The difference of means itself is `screen.vectors.extract`, the code that users get.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from research.pocket.corpus.chats import Message
from research.pocket.sampler import Floats, PocketResponse, PocketSampler, PocketSteering
from screen.pocket.judge import coherence, judge
from screen.stats import auroc, project
from screen.traits.trait import Trait
from screen.vectors.extract import extract

ROLLOUTS: Final = 6  # answers to each pair of system prompt and question
COEFFICIENTS: Final = (0.75, 1.0, 1.5, 2.0)  # times the vector as it is, not normalised
SHOWN: Final = 50.0
COHERENT: Final = 75.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class KeptResponses:
    """Answers that the judge kept on each side, and how many were asked for on each."""

    positive: list[PocketResponse]
    negative: list[PocketResponse]
    asked: int


@dataclass(frozen=True)
class Steering:
    """What adding the vector does: mean trait score, share of answers that show it, mean coherence."""

    layer: int
    coefficient: float
    score: float
    shown: float
    coherence: float


def rollouts(sampler: PocketSampler, trait: Trait, seed: int = 0) -> KeptResponses:
    """Answer the extract questions under each contrastive system prompt, and filter each side on its own."""
    kept: list[list[PocketResponse]] = []
    for wanted, systems in ((True, trait.positives), (False, trait.negatives)):
        pairs = [pair for pair in product(systems, trait.extract) for _ in range(ROLLOUTS)]
        answers = sampler.answer([ask(question, system) for system, question in pairs], temperature=1.0, seed=seed)
        side = zip(pairs, answers, strict=True)
        kept.append([spoken for (_, question), spoken in side if _keep(trait.name, question, spoken, wanted)])
    return KeptResponses(kept[0], kept[1], len(trait.positives) * len(trait.extract) * ROLLOUTS)


def ask(question: str, system: str | None = None) -> list[Message]:
    """A conversation of one user turn, with a system prompt or without."""
    turns = [{"role": "user", "content": question}]
    return turns if system is None else [{"role": "system", "content": system}, *turns]


def _keep(trait: str, question: str, spoken: PocketResponse, wanted: bool) -> bool:
    score = judge(trait, question, spoken.text)
    return score is not None and (score >= SHOWN) == wanted and coherence(question, spoken.text) >= 50.0


def direction(sampler: PocketSampler, kept: KeptResponses) -> npt.NDArray[np.float32]:
    """(n_layers + 1, d_model) float32, pointing toward the trait."""
    from screen.model.means import LayerMeans

    sides = ([spoken.tokens for spoken in side] for side in (kept.positive, kept.negative))
    positives, negatives = (sorted(side, key=lambda place: len(place.ids)) for side in sides)
    return extract(LayerMeans(sampler.model, batch=64), positives, negatives)


def steer(
    sampler: PocketSampler,
    trait: str,
    questions: Sequence[str],
    push: PocketSteering,
    coefficient: float,
    samples: int = 2,
) -> Steering:
    """Answer without a system prompt while coefficient * direction is added at one layer; then judge."""
    asked = [question for question in questions for _ in range(samples)]
    shift = PocketSteering(push.layer, (coefficient * push.direction).astype(np.float32))
    answers = sampler.answer([ask(question) for question in asked], temperature=1.0, push=shift, longest=64)
    scores = [judge(trait, q, a.text) or 0.0 for q, a in zip(asked, answers, strict=True)]
    sense = [coherence(q, a.text) for q, a in zip(asked, answers, strict=True)]
    shown = [score >= SHOWN and clear >= 50.0 for score, clear in zip(scores, sense, strict=True)]
    return Steering(push.layer, coefficient, float(np.mean(scores)), float(np.mean(shown)), float(np.mean(sense)))


def steering_curve(sampler: PocketSampler, trait: Trait, vector: npt.NDArray[np.float32], say: Say) -> list[Steering]:
    """Steer on the evaluate questions at every layer but the first and the last, with each coefficient."""
    curve = []
    for layer in range(1, sampler.n_layers):
        for coefficient in COEFFICIENTS:
            found = steer(sampler, trait.name, trait.evaluate, PocketSteering(layer, vector[layer]), coefficient)
            curve.append(found)
        at = [point for point in curve if point.layer == layer]
        say(f"  layer {layer}: " + "  ".join(f"{p.coefficient}: {p.shown:.2f}/{p.coherence:.0f}" for p in at))
    return curve


def separation(vector: npt.NDArray[np.float32], planted: Floats, default: Floats) -> list[float]:
    """AUROC of planted over default answers at every layer, from their mean differences."""
    high, low = project(planted, vector), project(default, vector)
    return [0.5 if layer == 0 else auroc(high[:, layer], low[:, layer]) for layer in range(vector.shape[0])]


def best_layer(curve: Sequence[Steering], separated: Sequence[float]) -> Steering:
    """The strongest steering at coherence >= 75, among layers that separate within 0.01 of the best.

    Steering alone would often choose an early layer that barely reads the answer it is to score.
    """
    layers = sorted({point.layer for point in curve})
    limit = max(separated[layer] for layer in layers) - 0.01
    able = [p for p in curve if separated[p.layer] >= limit and p.coherence >= COHERENT]
    pool = able or [p for p in curve if separated[p.layer] >= limit]
    return max(pool, key=lambda p: (p.shown, p.score, -math.fabs(p.coefficient)))
