"""The model's own clean answers: what a card's reference is measured on, and the neutral text of denoising.

A clean row is one sampled answer to a trait's question without a system prompt, judged not to show the trait; its
baseline is the model's greedy answer, as in a scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.baselines.generate import Generate
from screen.baselines.last_prompt import LastPrompt
from screen.baselines.none import NoBaseline
from screen.building.extraction import AnswerTokens
from screen.building.rollouts import RolloutSide, asks, kept
from screen.building.sampler import Question, SampledResponse
from screen.building.workshop import Workshop
from screen.model.generate import Sampling
from screen.stats import summary, unit
from screen.traits.trait import Trait
from screen.vectors import controls
from screen.vectors.card import CleanDistributions, CleanReference

Float64 = npt.NDArray[np.float64]
NEUTRAL = 160  # answers that denoising takes its directions from
BASELINE_TOKENS = 256  # as `screen run` has it


@dataclass(frozen=True)
class CleanRows:
    """Sampled answers and, by question, greedy ones. `side`: what became of those that were asked for."""

    sampled: list[SampledResponse]
    greedy: Mapping[str, SampledResponse]
    side: RolloutSide


def clean_rows(shop: Workshop, trait: Trait) -> CleanRows:
    """Both lists of questions, `spec.clean` sampled answers each: a thousand rows and more by default."""
    questions = [*trait.extract, *trait.evaluate]
    side = RolloutSide()
    wanted = asks([None], questions, shop.spec.clean)
    sampled = [s for chunk in kept(shop, trait, wanted, False, side, "clean answers") for s in chunk]
    plain = [Question(question) for question in questions]
    with shop.meter(f"{trait.name}: baseline responses", len(plain)) as meter:
        own = shop.sampler.answer(plain, Sampling(BASELINE_TOKENS), step=meter.generated)
        meter.done(len(plain))
    greedy = {s.ask.question: s for s in own if s.tokens.end > s.tokens.start}
    return CleanRows([s for s in sampled if s.ask.question in greedy], greedy, side)


def states(shop: Workshop, rows: CleanRows) -> npt.NDArray[np.float32]:
    """(rows, n_layers + 1, d_model) float32: mean states of the first NEUTRAL sampled answers."""
    means = [m.astype(np.float32) for m in shop.means.answer_means([s.tokens for s in rows.sampled[:NEUTRAL]])]
    shape = (0, shop.model.n_layers + 1, shop.model.d_model)
    return np.stack(means) if means else np.zeros(shape, dtype=np.float32)


@dataclass(frozen=True)
class _Seen:
    """(answers, n_layers + 1) float64 projections on the trait's unit directions; (answers, d_model) states at one
    layer."""

    projections: Float64
    states: Float64


def reference(
    shop: Workshop, rows: CleanRows, layer: int, directions: Mapping[str, npt.NDArray[np.float32]], trait: str
) -> tuple[CleanReference | None, npt.NDArray[np.float32] | None]:
    """The card's reference for each baseline kind and layer, and the control directions at `layer` that it measures
    too; (None, None) where there are fewer than two rows. `directions`: of every trait of the build."""
    if len(rows.sampled) < 2:
        return None, None
    given = _see(shop, (s.tokens for s in rows.sampled), directions[trait], layer)
    last = _see(shop, (_last(s.tokens) for s in rows.sampled), directions[trait], layer)
    greedy = _see(shop, (response.tokens for response in rows.greedy.values()), directions[trait], layer)
    at = {question: i for i, question in enumerate(rows.greedy)}
    own = [at[s.ask.question] for s in rows.sampled]
    nothing = _Seen(np.zeros_like(given.projections), np.zeros_like(given.states))
    baselines = {
        Generate.name: _Seen(greedy.projections[own], greedy.states[own]),
        LastPrompt.name: last,
        NoBaseline.name: nothing,
    }
    without = np.stack([direction[layer] for direction in directions.values()])
    random = controls.directions(given.states.astype(np.float32), seed=shop.spec.seed + layer, without=without)
    differences = {kind: given.projections - base.projections for kind, base in baselines.items()}
    states_apart = {kind: given.states - base.states for kind, base in baselines.items()}
    return {
        "rows": len(rows.sampled),
        "source": "the model's own sampled answers to the trait file's 40 questions, no system prompt, judged not to"
        " show the trait: narrower than clean data that other people wrote",
        "judged": rows.side.to_json(),
        **distributions(differences, states_apart, layer, random),
    }, random


def distributions(
    differences: Mapping[str, Float64],
    states_apart: Mapping[str, Float64],
    layer: int,
    random: npt.NDArray[np.float32],
) -> CleanDistributions:
    """How clean rows lie, for each kind of baseline, as a card has it.

    differences   kind -> (rows, n_layers + 1) projections less the baseline's, along the trait
    states_apart  kind -> (rows, d_model) mean states at `layer` less the baseline's
    random        (m, d_model) control directions at `layer`
    """
    along = {kind: states @ random.astype(np.float64).T for kind, states in states_apart.items()}
    return {
        "kinds": {
            kind: {str(at): summary(values[:, at]) for at in range(values.shape[1])}
            for kind, values in differences.items()
        },
        "controls": {
            "layer": layer,
            "key": controls.key(random),
            "kinds": {kind: controls.distribution(scores) for kind, scores in along.items()},
        },
    }


def _see(shop: Workshop, answers: Iterator[AnswerTokens], direction: npt.NDArray[np.float32], layer: int) -> _Seen:
    units = unit(direction)
    seen = [(np.einsum("ld,ld->l", mean, units), mean[layer]) for mean in shop.means.answer_means(answers)]
    return _Seen(np.stack([p for p, _ in seen]), np.stack([s for _, s in seen]).astype(np.float64))


def _last(tokens: AnswerTokens) -> AnswerTokens:
    """The last token before the answer."""
    return AnswerTokens(tokens.ids, tokens.start - 1, tokens.start)
