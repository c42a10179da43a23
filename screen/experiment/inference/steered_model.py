"""A model with the vectors to add to it, and what judges its answers. Knows no files of questions and no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from screen.building.judges import Kind, judge_for
from screen.building.sampler import Sampler
from screen.building.validation.vector_files import trait_of
from screen.errors import UsageError
from screen.experiment.lesson import Lesson, mean_loss
from screen.judges import Judge, Judgement, MemoryCache
from screen.model.generate import Generator, Response, Sampling, eos_ids
from screen.model.load import BaseModel, load_model, resolve
from screen.pocket import MODEL_DIR
from screen.rendering.templates.chat_template import load_template
from screen.rendering.tokenizer import load_tokenizer
from screen.scan.instruments import model_facts
from screen.steering.given import SteeringVectors
from screen.steering.hook import Additions, steered
from screen.store.cache.answers import AnswerCache
from screen.traits.trait import Trait
from screen.vectors.fit import ModelFacts, check_fit

Ids = npt.NDArray[np.int32]
JudgedBy = Kind | Literal["none"]
_WARM = 4  # tokens that are generated before anything is timed


@dataclass(frozen=True)
class SteeredSpec:
    """What is opened. `traits`: given as files, where card and library do not hold them."""

    model: str = "pocket"
    template: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "cpu"
    judge: JudgedBy = "auto"
    traits: tuple[Trait, ...] = ()


class AskedPrompt(NamedTuple):
    """What is to be answered: a prompt by its tokens, and the question in it that a judge sees."""

    question: str
    prompt: Ids
    draw: int = 0


@dataclass(frozen=True)
class TimedAnswers:
    """Answers to some prompts, in their order. `seconds`: that they took together."""

    responses: tuple[Response, ...]
    texts: tuple[str, ...]
    seconds: float

    @property
    def tokens(self) -> int:
        return sum(len(r.ids) for r in self.responses)


@dataclass(frozen=True)
class SteeredModel:
    """`judges`: by trait; `unjudged`: trait -> why it has none."""

    sampler: Sampler
    steering: SteeringVectors
    additions: Additions
    judges: Mapping[str, Judge]
    unjudged: Mapping[str, str]
    eos: frozenset[int]
    facts: ModelFacts

    @property
    def model(self) -> BaseModel:
        return self.sampler.model

    def answer(
        self,
        asked: Sequence[AskedPrompt],
        sampling: Sampling,
        added: bool,
        step: Callable[[int, int], None] = lambda _answers, _tokens: None,
    ) -> TimedAnswers:
        """Answers with the vectors added, or without. Raises UsageError for a prompt that fills the context."""
        for one in asked:
            if len(one.prompt) >= self.model.context:
                raise UsageError(
                    f"with the question {one.question[:40]!a} a prompt takes {len(one.prompt):,} tokens, and the"
                    f" model's context is {self.model.context:,}",
                    "shorten it",
                )
        generator = Generator(self.model, self.eos, sampling)
        began = time.monotonic()
        with steered(self.model.blocks, self.additions) if added else nullcontext():
            made = generator.answer(
                [one.prompt for one in asked],
                lambda indices, answers: step(len(indices), sum(len(a.ids) for a in answers)),
                [one.draw for one in asked],
            )
        seconds = time.monotonic() - began
        responses = tuple(r for r in made if r is not None)
        texts = tuple(self.sampler.tokenizer.decode(r.ids).strip() for r in responses)
        return TimedAnswers(responses, texts, seconds)

    def warm(self, asked: Sequence[AskedPrompt], sampling: Sampling) -> None:
        """Answer in a few tokens both ways, so that what is done once is not in what is timed."""
        for added in (False, True):
            few = Sampling(min(_WARM, sampling.max_new_tokens), sampling.temperature, sampling.seed, sampling.rows)
            self.answer(asked[:1], few, added)

    def judge(self, trait: str, asked: Sequence[AskedPrompt], answers: TimedAnswers) -> list[Judgement]:
        """A judgement an answer. The judge is never steered, not even where it is this model."""
        pairs = [(one.question, text) for one, text in zip(asked, answers.texts, strict=True)]
        return self.judges[trait].judge(pairs)

    def loss(self, lessons: Sequence[Lesson], added: bool) -> float | None:
        """Mean negative log-likelihood, nats a token, with the vectors added or without."""
        with steered(self.model.blocks, self.additions) if added else nullcontext():
            return mean_loss(self.model, lessons)


def open_steered(spec: SteeredSpec, steering: SteeringVectors) -> SteeredModel:
    """Load everything, cheap failures first.

    Raises VectorError where a vector does not fit the model, ModelError for a model that cannot be used, UsageError
    where a judge was asked for that is not set up. A trait without a judge is no error: `unjudged` says why.
    """
    make = None if spec.judge == "none" else judge_for(spec.judge, spec.model)
    folder = resolve(spec.model, MODEL_DIR)
    tokenizer = load_tokenizer(str(folder))
    template = load_template(tokenizer, spec.template)
    facts = model_facts(spec.model, folder, tokenizer, template)
    check_fit(steering.chosen(facts.n_layers), facts)
    model = load_model(spec.model, folder, deepest=None, generate=True, dtype=spec.dtype, device=spec.device)
    eos = eos_ids(model, tokenizer.hf.eos_token_id)
    identity = {"config": facts.config, "weights": facts.weights, "tokenizer": facts.tokenizer}
    sampler = Sampler(model, tokenizer, template, eos, AnswerCache([]), identity)
    judges: dict[str, Judge] = {}
    unjudged: dict[str, str] = {}
    given = {trait.name: trait for trait in spec.traits}
    for vector in steering.vectors:
        if make is None:
            unjudged[vector.trait] = "no judge was asked for"
            continue
        try:
            judges[vector.trait] = make(trait_of(vector, given), sampler, MemoryCache())
        except UsageError as error:
            unjudged[vector.trait] = f"{error.message}; {error.next_step}"
    additions = {layer: addition.to(model.device) for layer, addition in steering.additions().items()}
    return SteeredModel(sampler, steering, additions, judges, unjudged, eos, facts)
