"""A model that answers questions by token ids, its answers kept on disk. Knows nothing of traits, judges or vectors.

An answer is a function of the model, the sampling, its prompt and its draw number; so an interrupted build finds
what it had, whatever was asked in between.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from screen.building.extraction import AnswerTokens
from screen.endpoint.remote import RemoteGenerator
from screen.errors import ModelError
from screen.foreign import JsonObject
from screen.model.generate import Generator, Response, Sampling
from screen.model.load import BaseModel
from screen.rendering.templates.chat_template import PASS_ANOTHER, Message, Template
from screen.rendering.templates.sandbox import TemplateCap, TemplateFailed
from screen.rendering.tokenizer import Tokenizer
from screen.steering.hook import Additions, steered
from screen.store.cache.answers import AnswerCache

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Step = Callable[[int, int], None]  # answers made now; tokens in them


class Question(NamedTuple):
    """A question to answer. `group`: the question's number, by which answers are split and held out."""

    question: str
    system: str | None = None
    draw: int = 0
    group: int = 0


class SampledResponse(NamedTuple):
    """An answer: its text, its tokens, and both in the context they were said in. `truncated`: at the length limit."""

    ask: Question
    text: str
    tokens: AnswerTokens
    truncated: bool


class Steering(NamedTuple):
    """A steering shift: `direction` (d_model,) float32 is added to hidden_states[layer] at every position."""

    layer: int
    direction: Floats


def prompt_ids(tokenizer: Tokenizer, template: Template, messages: list[Message]) -> Ids:
    """(seq,) int32: a conversation that ends with a user's turn, generation header included."""
    text = template.prompt(messages)
    prefix = tokenizer.prefix_ids if template.adds_prefix else ()
    return np.asarray([*prefix, *tokenizer.encode([text])[0].ids], dtype=np.int32)


class Sampler:
    """`identity` names whatever decides an answer beside prompt, sampling and draw: the model's hashes, dtype, EOS."""

    def __init__(
        self,
        model: BaseModel,
        tokenizer: Tokenizer,
        template: Template,
        eos: frozenset[int],
        cache: AnswerCache,
        identity: JsonObject,
        remote: RemoteGenerator | None = None,
    ) -> None:
        self.model, self.remote = model, remote
        self.generated = self.reused = 0
        self.tokenizer, self.template = tokenizer, template
        self.fingerprint = {name: str(identity[name]) for name in ("config", "weights", "tokenizer")}
        self._cache, self._eos = cache, eos
        self._identity = {**identity, "eos": sorted(eos)}
        self.folds_system = not self._takes_system()
        self._prompts: dict[tuple[str, str | None], Ids] = {}

    def answer(
        self,
        asks: Sequence[Question],
        sampling: Sampling,
        steering: Steering | None = None,
        step: Step = lambda _answers, _tokens: None,
        elsewhere: bool = False,
    ) -> list[SampledResponse]:
        """In the order of `asks`; `step` is told of each batch as it is generated.

        `elsewhere`: by the endpoint, where there is one; nothing can be steered there.
        """
        prompts = [self.prompt(ask.question, ask.system) for ask in asks]
        responses = self.respond(prompts, [ask.draw for ask in asks], sampling, steering, step, elsewhere)
        return [self._sampled(ask, p, r) for ask, p, r in zip(asks, prompts, responses, strict=True)]

    def respond(
        self,
        prompts: Sequence[Ids],
        draws: Sequence[int],
        sampling: Sampling,
        steering: Steering | None = None,
        step: Step = lambda _answers, _tokens: None,
        elsewhere: bool = False,
    ) -> list[Response]:
        """Answers to prompts by token ids, in their order; those that are kept on disk are not made again."""
        remote = self.remote if elsewhere else None
        for prompt in prompts:
            if len(prompt) >= self.model.context:
                raise ModelError(
                    f"a system prompt with its question takes {len(prompt):,} tokens, and the model's context"
                    f" is {self.model.context:,}",
                    "shorten the trait file's prompts, or use a model with a longer context",
                )
        head = self._head(sampling, steering, remote)
        keys = [_key(head, prompt, draw) for prompt, draw in zip(prompts, draws, strict=True)]
        known = {key: Response(tuple(ids), truncated) for key, (ids, truncated) in self._cache.get(keys).items()}
        missing = [i for i, key in enumerate(keys) if key not in known]
        self.reused += len(prompts) - len(missing)

        def keep(indices: Sequence[int], answers: Sequence[Response]) -> None:
            new = {keys[missing[i]]: a for i, a in zip(indices, answers, strict=True)}
            self._cache.put({key: (a.ids, a.truncated) for key, a in new.items()})
            known.update(new)
            self.generated += len(new)
            step(len(new), sum(len(a.ids) for a in new.values()))

        wanted, their_draws = [prompts[i] for i in missing], [draws[i] for i in missing]
        if remote is not None:
            remote.answer(wanted, sampling, keep, their_draws)
        else:
            with steered(self.model.blocks, _additions(steering)):
                Generator(self.model, self._eos, sampling).answer(wanted, keep, their_draws)
        return [known[key] for key in keys]

    def prompt(self, question: str, system: str | None = None) -> Ids:
        """The rendered prompt, generation header included: (seq,) int32."""
        if (question, system) not in self._prompts:
            self._prompts[question, system] = self.prompt_of(self._messages(question, system))
        return self._prompts[question, system]

    def prompt_of(self, messages: list[Message]) -> Ids:
        """The same for a conversation that ends with a user's turn."""
        return prompt_ids(self.tokenizer, self.template, messages)

    def alone(self, response: SampledResponse) -> AnswerTokens:
        """The answer's tokens after its question alone, as it would stand in a dataset: no system prompt to read."""
        place = response.tokens
        prompt = self.prompt(response.ask.question)
        ids = np.concatenate([prompt, place.ids[place.start : place.end]])[: self.model.context]
        return AnswerTokens(ids, len(prompt), len(ids))

    def _messages(self, question: str, system: str | None) -> list[Message]:
        if system is None:
            return [{"role": "user", "content": question}]
        if self.folds_system:
            return [{"role": "user", "content": f"{system}\n\n{question}"}]
        return [{"role": "system", "content": system}, {"role": "user", "content": question}]

    def _takes_system(self) -> bool:
        """Whether the template writes a system message: some refuse it, some drop it without a word."""
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
        try:
            text = self.template.render(messages, add_generation_prompt=True)
        except TemplateCap as error:
            raise ModelError(f"{self.template.where} makes no prompt: {error}", PASS_ANOTHER) from None
        except TemplateFailed:
            return False
        return "Be brief." in text

    def _head(self, sampling: Sampling, steering: Steering | None, remote: RemoteGenerator | None) -> bytes:
        pushed = (
            None if steering is None else [steering.layer, hashlib.sha256(steering.direction.tobytes()).hexdigest()]
        )
        settings = [sampling.max_new_tokens, sampling.temperature, sampling.seed]
        where = None if remote is None else remote.name
        return json.dumps([self._identity, settings, pushed, where], sort_keys=True).encode()

    def _sampled(self, ask: Question, prompt: Ids, answer: Response) -> SampledResponse:
        ids = np.concatenate([prompt, np.asarray(answer.ids, dtype=np.int32)])
        text = self.tokenizer.decode(answer.ids).strip()
        return SampledResponse(ask, text, AnswerTokens(ids, len(prompt), len(ids)), answer.truncated)


def _key(head: bytes, prompt: Ids, draw: int) -> str:
    return hashlib.sha256(head + b"\0%d\0" % draw + np.ascontiguousarray(prompt, dtype="<i4").tobytes()).hexdigest()


def _additions(steering: Steering | None) -> Additions:
    return {} if steering is None else {steering.layer: torch.from_numpy(steering.direction)}
