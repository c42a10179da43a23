"""Steering: add a direction at one layer while the model answers the evaluation questions, then judge (METHOD 1.7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.building.rollouts import asks
from screen.building.sampler import Question, Steering
from screen.building.workshop import Workshop
from screen.model.generate import Sampling
from screen.traits.trait import Trait
from screen.vectors.card import SteeringPoint


@dataclass(frozen=True, slots=True)
class Point:
    """`coefficient` times the vector at `layer`. `score`, `coherence`: means, 0 to 100, an answer without a score
    counting 0; `error`: standard error of the score. `shown`: the share of answers that show the trait coherently."""

    layer: int
    coefficient: float
    score: float
    coherence: float
    shown: float
    error: float

    def to_json(self) -> SteeringPoint:
        return {
            "layer": self.layer,
            "coefficient": self.coefficient,
            "score": round(self.score, 3),
            "coherence": round(self.coherence, 3),
            "shown": round(self.shown, 4),
            "error": round(self.error, 3),
        }


def steer(
    shop: Workshop,
    trait: Trait,
    direction: npt.NDArray[np.float32],
    tries: Iterable[tuple[int, float]],
    stage: str,
    asked: Sequence[Question] | None = None,
) -> list[Point]:
    """One point for each (layer, coefficient). `direction`: (n_layers + 1, d_model) float32, used as it is. `asked`:
    instead of the trait's evaluation questions."""
    settings = shop.spec.steer
    wanted = asks([None], trait.evaluate, settings.samples) if asked is None else asked
    sampling = Sampling(min(settings.max_new_tokens, shop.sampling.max_new_tokens), 1.0, shop.spec.seed)
    tries = list(tries)
    points = []
    with shop.meter(f"{trait.name}: {stage}", len(tries) * len(wanted)) as meter:
        for layer, coefficient in tries:
            steering = Steering(layer, (coefficient * direction[layer]).astype(np.float32)) if coefficient else None
            responses = shop.sampler.answer(wanted, sampling, steering, step=meter.generated)
            judged = shop.judge(trait, responses)
            score = np.array([j.score or 0.0 for j in judged])
            coherence = np.array([j.coherence or 0.0 for j in judged])
            at = shop.spec.thresholds
            shown = (score >= at.positive) & (coherence >= at.coherence)
            error = float(score.std(ddof=1) / np.sqrt(len(score))) if len(score) > 1 else 0.0
            means = (float(score.mean()), float(coherence.mean()), float(shown.mean()))
            points.append(Point(layer, coefficient, *means, error))
            meter.done(len(wanted))
    return points
