"""What a model shows after training: its shift along each vector on held-out prompts, and the traits of its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.building.extraction import AllLayers, AnswerTokens
from screen.building.rollouts import asks
from screen.building.workshop import Workshop
from screen.experiment.lesson import Lesson, mean_loss
from screen.model.generate import Sampling
from screen.stats import project
from screen.traits.trait import Trait

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TraitAxis:
    """A vector at its layer: `direction` is (d_model,) float32 at hidden_states[layer]."""

    layer: int
    direction: npt.NDArray[np.float32]


def at_last_prompt(shop: Workshop, questions: Sequence[str], axes: Mapping[str, TraitAxis]) -> dict[str, Floats]:
    """Name -> (questions,) projection of the last prompt token, in units of the activations (the fine-tuning shift of
    Persona Vectors, section 4, is its difference to the base model's)."""
    return last_prompts(shop.means, [shop.sampler.prompt(question) for question in questions], axes)


def last_prompts(
    means: AllLayers, prompts: Sequence[npt.NDArray[np.int32]], axes: Mapping[str, TraitAxis]
) -> dict[str, Floats]:
    """The same of prompts by token ids."""
    states = list(means.answer_means(AnswerTokens(ids, len(ids) - 1, len(ids)) for ids in prompts))
    return {
        name: np.array([project(s[None, None, axis.layer], axis.direction[None])[0, 0] for s in states])
        for name, axis in axes.items()
    }


def shown(base: Workshop, shop: Workshop, trait: Trait, draws: int, tokens: int) -> tuple[Floats, Floats]:
    """(scores, coherences), (questions,) each, 0 to 100: means over `draws` answers to each of the trait's evaluation
    questions, without a system prompt, at temperature 1. An answer without a score counts 0.

    The judge is that of the model before training: one that judged by itself would have learnt to like it.
    """
    wanted = asks([None], trait.evaluate, draws)
    responses = shop.sampler.answer(wanted, Sampling(tokens, 1.0, shop.spec.seed))
    judgements = base.judge(trait, responses)
    scores = np.array([[j.score or 0.0, j.coherence or 0.0] for j in judgements])
    means = scores.reshape(len(trait.evaluate), draws, 2).mean(axis=1)
    return means[:, 0], means[:, 1]


def loss(shop: Workshop, lessons: Sequence[Lesson]) -> float | None:
    """Mean negative log-likelihood, nats a token, over the tokens to be learnt; None without any."""
    return mean_loss(shop.model, lessons)
