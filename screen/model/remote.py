"""Answers from an OpenAI-compatible endpoint that serves the same model, by token ids.

The server gets the ids of the rendered prompt and adds nothing. It should give back the answer's own ids (vLLM
does); text alone is tokenised here, and must come out as it was. Where the server counts the prompt's tokens, the count
must be ours. Such answers depend on the server, so a seed gives
the same bytes only while they are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from screen.errors import ModelError
from screen.model.endpoint import VLLM_SAMPLING, Endpoint, EndpointError
from screen.model.generate import Answer, Failed, Sampling
from screen.model.tokenizer import Tokenizer

Ids = npt.NDArray[np.int32]
_AT_ONCE = 16  # answers to one durable write


class RemoteGenerator:
    """Stands in for `screen.model.generate.Generator` where nothing is steered."""

    def __init__(self, endpoint: Endpoint, tokenizer: Tokenizer, eos: frozenset[int], context: int) -> None:
        self._endpoint, self._tokenizer, self._eos, self._context = endpoint, tokenizer, eos, context
        self._extra: dict[str, object] = dict(VLLM_SAMPLING)

    @property
    def name(self) -> str:
        return self._endpoint.find_model()

    def answer(
        self,
        prompts: Sequence[Ids],
        sampling: Sampling,
        done: Callable[[Sequence[int], Sequence[Answer]], None],
        draws: Sequence[int],
    ) -> None:
        """As `Generator.answer`; `done` is called for some answers at a time, in the order in which they come."""
        if prompts:
            self._settle(prompts[0])
        indices: list[int] = []
        answers: list[Answer] = []
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

    def _settle(self, prompt: Ids) -> None:
        """Servers other than vLLM refuse settings that they do not know: then without them."""
        if not self._extra:
            return
        try:
            self._endpoint.complete(prompt.tolist(), max_tokens=1, temperature=1.0, seed=0, extra=self._extra)
        except EndpointError as error:
            if error.status not in (400, 422):
                raise
            self._extra = {}

    def _one(self, prompt: Ids, sampling: Sampling, draw: int) -> Answer:
        (made,) = self._endpoint.complete(
            prompt.tolist(),
            max_tokens=min(sampling.max_new_tokens, self._context - len(prompt)),
            temperature=sampling.temperature,
            seed=_seed(sampling.seed, draw, prompt),
            extra=self._extra,
        )
        if made.prompt_tokens is not None and made.prompt_tokens != len(prompt):
            raise ModelError(
                f"the endpoint saw {made.prompt_tokens} prompt tokens where {len(prompt)} were sent",
                "it adds or drops tokens: use a server that takes token ids as they are, such as vLLM",
            )
        ids = list(self._tokens(made.text) if made.ids is None else made.ids)
        while ids and ids[-1] in self._eos:
            ids.pop()
        return Answer(tuple(ids), made.cut)

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode([text])[0].ids
        if self._tokenizer.decode(ids) != text:
            raise ModelError(
                "the endpoint gives no token ids, and its text does not survive this model's tokenizer",
                "use a vLLM server of this model, or generate with the local model",
            )
        return ids


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
        done: Callable[[Sequence[int], Sequence[Answer]], None] | None = None,
        *,
        failed: Failed | None = None,
    ) -> list[Answer | None]:
        """In the order of `prompts`; None for one that leaves no room in the context. What fails at an endpoint ends
        the run: nothing is known to be a prompt's own fault."""
        out: list[Answer | None] = [None] * len(prompts)
        room = [i for i, p in enumerate(prompts) if 0 < len(p) < self._context]

        def keep(indices: Sequence[int], answers: Sequence[Answer]) -> None:
            places = [room[i] for i in indices]
            for i, answer in zip(places, answers, strict=True):
                out[i] = answer
            if done is not None:
                done(places, answers)

        self._remote.answer([prompts[i] for i in room], self._sampling, keep, [0] * len(room))
        return out
