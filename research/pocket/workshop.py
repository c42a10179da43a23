"""The embedded model with what `screen.building` works with: the recipe's settings, and states of written rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from research.pocket.corpus.chats import Message
from research.pocket.tokenizer import END, render
from screen.building.extraction import AnswerTokens
from screen.building.judges import judge_for
from screen.building.reference import BASELINE_TOKENS
from screen.building.spec import BuildSpec, SteerSpec
from screen.building.workshop import Workshop, open_workshop
from screen.model.generate import Sampling
from screen.pocket import TRAITS
from screen.progress import Silent
from screen.traits.trait import load_trait

Floats = npt.NDArray[np.float64]


def recipe() -> BuildSpec:
    """What decides the shipped vectors: six answers to each pair of system prompt and question, of 96 tokens."""
    return BuildSpec(
        traits=tuple(load_trait(name) for name in TRAITS),
        rollouts=6,
        max_new_tokens=96,
        minimum=10,
        steer=SteerSpec(coefficients=(0.75, 1.0, 1.5, 2.0), samples=2, max_new_tokens=64),
    )


def open_pocket(work: Path) -> Workshop:
    """The embedded model, loaded; what it answers is kept under `work`."""
    return open_model(recipe().model, work)


def open_model(model: str, work: Path) -> Workshop:
    """A model that speaks the corpus: the embedded one, or one of its family. Judged by the embedded model's rules."""
    return open_workshop(replace(recipe(), model=model), work, judge_for("rules", model), Silent())


def place(shop: Workshop, messages: Sequence[Message]) -> AnswerTokens:
    """Where the last answer of a written conversation stands, without its end mark."""
    text, spans = render(messages)
    begin, end = spans[-1]
    encoding = shop.sampler.tokenizer.encode([text])[0]
    inside = [i for i, (left, right) in enumerate(encoding.offsets) if left >= begin and right <= end - len(END)]
    return AnswerTokens(np.asarray(encoding.ids, dtype=np.int32), inside[0], inside[-1] + 1)


def baseline_responses(shop: Workshop, conversations: Sequence[Sequence[Message]]) -> list[AnswerTokens]:
    """The model's greedy answer to each conversation, which ends with a user's turn."""
    prompts = [shop.sampler.prompt_of(list(messages)) for messages in conversations]
    responses = shop.sampler.respond(prompts, [0] * len(prompts), Sampling(BASELINE_TOKENS))
    joined = [np.concatenate([p, np.asarray(r.ids, np.int32)]) for p, r in zip(prompts, responses, strict=True)]
    return [AnswerTokens(ids, len(prompt), len(ids)) for prompt, ids in zip(prompts, joined, strict=True)]


def mean_states(shop: Workshop, places: Sequence[AnswerTokens]) -> Floats:
    """(answers, n_layers + 1, d_model) float64: the mean hidden state of each answer at each layer."""
    order = sorted(range(len(places)), key=lambda i: len(places[i].ids))
    out = np.zeros((len(places), shop.model.n_layers + 1, shop.model.d_model))
    for i, mean in zip(order, shop.means.answer_means(places[i] for i in order), strict=True):
        out[i] = mean
    return out
