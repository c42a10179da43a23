"""The baseline responses, each prompt answered once and kept: by prompt ids, model and sampling.

Knows the store only as a `ResponseStore`: something that keeps token ids under a hexadecimal key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from screen.baselines.refusal import asks_back, refuses
from screen.baselines.response import BaselineResponse
from screen.errors import InputError
from screen.model.generate import Response
from screen.model.host import Answering
from screen.rendering.thinking import Thought

Ids = npt.NDArray[np.int32]


class ResponseStore(Protocol):
    def get(self, keys: Iterable[str]) -> Mapping[str, tuple[Sequence[int], bool]]:
        """key -> (token ids, whether it reached the length limit)"""
        ...

    def put(self, batch: Mapping[str, tuple[Sequence[int], bool]]) -> None: ...


class _Kept:
    def __init__(self, context: int) -> None:
        self._context = context

    def answer(
        self,
        prompts: Sequence[Ids],
        done: Callable[[Sequence[int], Sequence[Response]], None] | None = None,
        *,
        failed: Callable[[int, str], None] | None = None,
    ) -> Sequence[Response | None]:
        gone = sum(0 < len(p) < self._context for p in prompts)
        if gone:
            raise InputError(
                f"{gone:,} baseline responses of the run are not in the cache, and others would be other answers",
                "name the folder that the run kept them in with --cache",
            )
        return [None] * len(prompts)


class CachedAnswers:
    """Answers prompts, from the cache where it has them. `identity` names the model and the sampling."""

    def __init__(
        self,
        generator: Answering,
        decode: Callable[[Sequence[int]], str],
        cache: ResponseStore,
        identity: str,
        step: Callable[[int, int, int], None] = lambda _done, _of, _tokens: None,
        thinking: Callable[[Ids, Sequence[int]], Thought | None] = lambda _prompt, _answer: None,
    ) -> None:
        self._generator, self._decode, self._cache = generator, decode, cache
        self._identity = identity.encode()
        self._thinking = thinking  # where an answer's thought lies, in tokens
        self._step = step  # told (answers done, answers wanted, tokens just generated)
        self.generated = 0  # answers made by this process, the cache's not counted
        self.reused = 0

    def only_kept(self, context: int) -> None:
        """From now on answers come from the cache alone; one that is not there, to a prompt that leaves room in the
        context, raises InputError."""
        self._generator = _Kept(context)

    def known(self, prompts: Sequence[Ids]) -> list[bool]:
        """Whether each prompt's answer is in the cache."""
        keys = [self._key(p) for p in prompts]
        found = self._cache.get(keys)
        return [key in found for key in keys]

    def baseline_responses(self, prompts: Sequence[Ids]) -> list[BaselineResponse | str | None]:
        """In the order of `prompts`, (seq,) int32 each; None where a prompt leaves no room for an answer, and the
        reason as text where the model fails on it."""
        keys = [self._key(p) for p in prompts]
        known = {key: Response(tuple(ids), truncated) for key, (ids, truncated) in self._cache.get(keys).items()}
        missing = [i for i, key in enumerate(keys) if key not in known]
        self.reused += len(prompts) - len(missing)
        self._step(0, len(missing), 0)
        failures: dict[str, str] = {}

        def keep(indices: Sequence[int], answers: Sequence[Response]) -> None:
            # one durable write a batch: an interrupted run keeps what it has generated
            new = {keys[missing[i]]: a for i, a in zip(indices, answers, strict=True)}
            self._cache.put({key: (a.ids, a.truncated) for key, a in new.items()})
            known.update(new)
            self.generated += len(new)
            self._step(sum(keys[i] in known for i in missing), len(missing), sum(len(a.ids) for a in answers))

        def fail(index: int, why: str) -> None:
            failures[keys[missing[index]]] = why

        self._generator.answer([prompts[i] for i in missing], keep, failed=fail)
        answers = zip(prompts, keys, strict=True)
        return [failures.get(key) or self._own(prompt, known.get(key)) for prompt, key in answers]

    def _own(self, prompt: Ids, answer: Response | None) -> BaselineResponse | None:
        if answer is None:
            return None
        start, end, first = self._thinking(prompt, answer.ids) or Thought(0, 0, 0)
        said = self._decode(answer.ids[first:])
        text = self._decode(answer.ids) if first else said
        refused = refuses(said) or asks_back(said)
        return BaselineResponse(answer.ids, text, answer.truncated, refused, first, (start, end))

    def _key(self, prompt: Ids) -> str:
        return hashlib.sha256(self._identity + b"\0" + np.ascontiguousarray(prompt, dtype="<i4").tobytes()).hexdigest()
