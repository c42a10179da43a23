"""Answers from an OpenAI-compatible endpoint that serves the same model, by token ids.

The server gets the ids of the rendered prompt and adds nothing. It should give back the answer's own ids (vLLM
does); text alone is tokenised here, and must come out as it was. Where the server counts the prompt's tokens, the count
must be ours. A server that takes no ids gets the text, where it is bound to tokenise it as we do and counts tokens.
Before its first answer a server is compared with the model here (`same_model`). Such answers depend on the server, so a
seed gives the same bytes only while they are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from screen.endpoint.client import VLLM_SAMPLING, Endpoint, EndpointError
from screen.endpoint.replies import Completion
from screen.endpoint.same_model import SameModel
from screen.errors import ModelError
from screen.model.generate import Failed, Response, Sampling
from screen.rendering.tokenizer import Tokenizer

Ids = npt.NDArray[np.int32]
_AT_ONCE = 16  # answers to one durable write
_REFUSED = frozenset({400, 404, 405, 415, 422, 500, 501})
_RECUT = 0.02  # share of answers as text whose tokens may be cut otherwise than the model wrote them
_NEEDED = (
    "needed is a server of this model with POST /completions that takes `prompt` as token ids (vLLM and others), or as"
    " text that it tokenises as this model's tokenizer does, with its counts in `usage` (transformers serve)"
)


class Dialect(NamedTuple):
    """How a server is spoken to: what goes into each request beside the usual, and whether prompts go as text."""

    extra: Mapping[str, object]
    text: bool


VLLM, PLAIN, TEXT = Dialect(VLLM_SAMPLING, False), Dialect({}, False), Dialect({}, True)


class RemoteGenerator:
    """Stands in for `screen.model.generate.Generator` where nothing is steered."""

    def __init__(
        self,
        endpoint: Endpoint,
        tokenizer: Tokenizer,
        eos: frozenset[int],
        context: int,
        same: SameModel | None = None,
    ) -> None:
        self._endpoint, self._tokenizer, self._eos, self._context = endpoint, tokenizer, eos, context
        self._same = same
        self._dialect: Dialect | None = None
        self._answered = self._recut = 0

    @property
    def name(self) -> str:
        return self._endpoint.find_model()

    def answer(
        self,
        prompts: Sequence[Ids],
        sampling: Sampling,
        done: Callable[[Sequence[int], Sequence[Response]], None],
        draws: Sequence[int],
    ) -> None:
        """As `Generator.answer`; `done` is called for some answers at a time, in the order in which they come."""
        if prompts and self._dialect is None:
            self._dialect = self._settled(prompts[0])
            if self._same is not None:
                self._same.check(self.name, lambda prompt, greedy: self._one(prompt, greedy, 0))
        if self._dialect is TEXT and sampling.temperature > 0:
            raise ModelError(
                f"the endpoint {self.name!r} takes prompts as text only and fills in sampling settings of its own",
                f"{_NEEDED}; or sample with the local model",
            )
        indices: list[int] = []
        answers: list[Response] = []
        pairs = list(zip(prompts, draws, strict=True))
        for index, answer in self._endpoint.each(pairs, lambda pair: self._one(pair[0], sampling, pair[1])):
            indices.append(index)
            answers.append(answer)
            if len(answers) == _AT_ONCE:
                done(indices, answers)
                indices, answers = [], []
        if answers:
            done(indices, answers)

    def greedy(self, sampling: Sampling) -> Greedy:
        """The same server as something that answers prompts as `Generator` does."""
        return Greedy(self, sampling, self._context)

    def _settled(self, prompt: Ids) -> Dialect:
        """Servers other than vLLM refuse settings that they do not know, some of them ids: then without them."""
        refused = ""
        for dialect in (VLLM, PLAIN, TEXT):
            try:
                self._endpoint.complete(
                    self._prompt(prompt, dialect), max_tokens=1, temperature=0.0, seed=0, extra=dialect.extra
                )
            except EndpointError as error:
                if error.status not in _REFUSED:
                    raise
                refused = error.message
            else:
                return dialect
        raise ModelError(f"the endpoint takes neither token ids nor text at /completions: {refused}", _NEEDED)

    def _prompt(self, prompt: Ids, dialect: Dialect) -> list[int] | str:
        return _as_text(prompt, self._tokenizer) if dialect.text else prompt.tolist()

    def _one(self, prompt: Ids, sampling: Sampling, draw: int) -> Response:
        dialect = self._dialect or VLLM
        (made,) = self._endpoint.complete(
            self._prompt(prompt, dialect),
            max_tokens=min(sampling.max_new_tokens, self._context - len(prompt)),
            temperature=sampling.temperature,
            seed=_seed(sampling.seed, draw, prompt),
            extra=dialect.extra,
        )
        if made.prompt_tokens != len(prompt) and (dialect.text or made.prompt_tokens is not None):
            seen = "no count of" if made.prompt_tokens is None else f"{made.prompt_tokens}"
            raise ModelError(f"the endpoint gives {seen} prompt tokens where {len(prompt)} were sent", _NEEDED)
        ids = list(self._tokens(made) if made.ids is None else made.ids)
        while ids and ids[-1] in self._eos:
            ids.pop()
        return Response(tuple(ids), made.truncated)

    def _tokens(self, made: Completion) -> list[int]:
        """The tokens of an answer that comes as text."""
        ids: list[int] = self._tokenizer.encode([made.text])[0].ids
        if self._tokenizer.decode(ids) != made.text:
            raise ModelError("the endpoint gives no token ids, and its text does not survive this tokenizer", _NEEDED)
        self._answered += 1
        self._recut += made.tokens is not None and made.tokens - len(ids) not in (0, 1)
        if self._recut > max(3, _RECUT * self._answered):
            raise ModelError(
                f"the endpoint gives no token ids, and {self._recut} of {self._answered} of its answers have another"
                " number of tokens than their text has here: it leaves some out, or has another tokenizer",
                _NEEDED,
            )
        return ids


def _as_text(prompt: Ids, tokenizer: Tokenizer) -> str:
    """The text that a server of this tokenizer turns into these ids, whether or not it adds the usual first ones."""
    before = tokenizer.prefix_ids
    bare = prompt[len(before) :] if tuple(prompt[: len(before)].tolist()) == before else prompt
    text = tokenizer.decode(bare.tolist())
    if list(tokenizer.hf(text)["input_ids"]) != prompt.tolist():
        raise ModelError(
            "the endpoint takes prompts as text only, and a prompt's text does not give its token ids again"
            f" ({text[-60:]!r})",
            _NEEDED,
        )
    return text


def _seed(seed: int, draw: int, prompt: Ids) -> int:
    """A seed of its own for each prompt and draw, below 2 ** 31."""
    content = b"%d %d " % (seed, draw) + np.ascontiguousarray(prompt, dtype="<i4").tobytes()
    return int.from_bytes(hashlib.sha256(content).digest()[:4], "little") >> 1


class Greedy:
    """Answers as `screen.model.generate.Generator.answer` gives them, from an endpoint."""

    def __init__(self, remote: RemoteGenerator, sampling: Sampling, context: int) -> None:
        self._remote, self._sampling, self._context = remote, sampling, context

    def answer(
        self,
        prompts: Sequence[Ids],
        done: Callable[[Sequence[int], Sequence[Response]], None] | None = None,
        *,
        failed: Failed | None = None,
    ) -> list[Response | None]:
        """In the order of `prompts`; None for one that leaves no room in the context. What fails at an endpoint ends
        the run: nothing is known to be a prompt's own fault."""
        out: list[Response | None] = [None] * len(prompts)
        room = [i for i, p in enumerate(prompts) if 0 < len(p) < self._context]

        def keep(indices: Sequence[int], answers: Sequence[Response]) -> None:
            places = [room[i] for i in indices]
            for i, answer in zip(places, answers, strict=True):
                out[i] = answer
            if done is not None:
                done(places, answers)

        self._remote.answer([prompts[i] for i in room], self._sampling, keep, [0] * len(room))
        return out
