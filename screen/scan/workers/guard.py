"""Keeps a process that runs the model, and starts another when it dies or hangs. Knows nothing of rows or scores."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from screen import errors
from screen.errors import ModelError
from screen.model.forward.proof import Proof
from screen.model.host import Loading
from screen.model.load import BaseModel
from screen.scan.workers.child import Child, How, Hung
from screen.scan.workers.serving import ModelSetup, Ready, serve

FLOOR = 30.0  # seconds that a forward pass may always take, once some were seen
FIRST = 60.0  # before that, and what is no forward pass
TIMES = 50  # of what its tokens took so far
_ALIVE = 20.0  # seconds that a fork may take to its first sum
_STUCK = set[int]()  # processes of ours a fork of which could not work: the threads that stood in its way stay
_PROOF = 400.0  # what the proof costs at least, in tokens: what they take is on the safe side
_STARTS = 2  # that may die
_NEXT = "free memory or lower --batch-tokens; --in-process shows what the model itself says"


@dataclass(frozen=True, slots=True)
class Death:
    """suspects: what was being worked on, by number, nothing where that is not known. how: in words."""

    suspects: tuple[int, ...]
    how: str
    hung: bool = False

    def named(self, names: Sequence[int]) -> Death:
        """The same, with the suspects' own numbers for their places."""
        return replace(self, suspects=tuple(names[i] for i in self.suspects))


class Guard:
    """One process at a time, which has one model loaded. Messages are those of `serving`."""

    def __init__(self) -> None:
        self._before = self.threads = torch.get_num_threads()
        torch.set_num_threads(1)  # what a fork inherits of torch must be without threads; here it runs nothing large
        self._how: How = "fork" if sys.platform == "linux" and os.getpid() not in _STUCK else "spawn"
        self._child: Child | None = None
        self._order: ModelSetup | None = None
        self._seconds, self._cost, self._measured = 0.0, 1.0, False  # spent so far, and on what
        self.killers: dict[tuple[bytes, ...], str] = {}  # what killed a process alone, and how: it is not run again
        self.starts = 0  # processes so far: what one was told, the next one does not know

    @property
    def facts(self) -> dict[str, object]:
        """For the record."""
        how = "forked" if self._how == "fork" else "started anew"
        return {"process": f"one of its own, {how}", "seconds_at_least": FLOOR, "times_expected": TIMES}

    def load(self, loading: Loading) -> tuple[BaseModel, Proof]:
        self.close()
        self._order = ModelSetup(loading, self.threads, os.getpid())
        ready = self._start()
        assert ready.proof is not None
        self._order = replace(self._order, batching=ready.proof.batching)
        self.threads = ready.threads
        self._seconds, self._cost, self._measured = ready.seconds, _PROOF, False
        return ready.model, ready.proof

    def close(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def end(self) -> None:
        """For good."""
        self.close()
        torch.set_num_threads(self._before)

    def ensure(self) -> None:
        """Have a process that can be asked."""
        if self._child is None:
            self._start()

    def call(
        self, operation: str, *arguments: object, cost: float = 0.0, on_message: Callable[..., None] | None = None
    ) -> Any:
        """What the operation gives, or a Death. Each message but the last goes to `on_message`."""
        self.ensure()
        assert self._child is not None
        child, self._child = self._child, None  # what is raised in between leaves it in the middle of something
        child.send((operation, *arguments))
        under_way: deque[tuple[Sequence[int], float]] = deque()
        since = time.monotonic()
        try:
            while True:
                message = self._next(child, sum(c for _, c in under_way) or cost)
                match message:
                    case None:
                        return Death(_all(under_way), child.end(patience=5.0))
                    case ("done", result):
                        self._child = child
                        return result
                    case ("failed", name, text, next_step):
                        self._child = child if name else None
                        raise _error(name, text, next_step)
                    case ("begin", things, of):
                        since = since if under_way else time.monotonic()
                        under_way.append((things, of))
                    case ("pass", things, of):
                        under_way = deque([(things, of)])
                    case _:
                        if message[0] == "step" and under_way:
                            now = time.monotonic()
                            self._learn(under_way.popleft()[1], now - since)
                            since = now
                        if on_message is not None:
                            on_message(*message)
        except Hung:
            child.end()
            seconds = self._limit(sum(c for _, c in under_way) or cost)
            return Death(_all(under_way), f"its process did not come back within {seconds:,.0f} seconds", hung=True)
        finally:
            if self._child is not child:
                child.end()

    def _next(self, child: Child, cost: float) -> Any:
        return child.receive(self._limit(cost))

    def _learn(self, cost: float, seconds: float) -> None:
        """How long forward passes take, from those that were seen, and from the proof until there is one."""
        if not self._measured:
            self._seconds, self._cost, self._measured = 0.0, 0.0, True
        self._seconds, self._cost = self._seconds + seconds, self._cost + cost

    def _limit(self, cost: float) -> float:
        """Seconds for a forward pass, or for what stands between two."""
        floor = FLOOR if self._measured and cost else FIRST
        return floor + TIMES * cost * self._seconds / max(self._cost, 1.0)

    def _start(self) -> Ready:
        assert self._order is not None
        died = 0
        while True:
            self.starts += 1
            child = Child(serve, self._how, self._order)
            if self._how == "fork" and not _alive(child):
                child.end()
                self._how = "spawn"
                _STUCK.add(os.getpid())
                continue
            message = child.receive()
            if message == ("alive",):
                message = child.receive()
            if message is not None:
                break
            died, how = died + 1, child.end(patience=5.0)
            if died == _STARTS:
                raise ModelError(f"the process that loads the model died {died} times: {how}", _NEXT)
        if message[0] == "failed":
            child.end()
            raise _error(*message[1:])
        self._child = child
        ready: Ready = message[1]
        return ready


def _alive(child: Child) -> bool:
    """Whether a fork can work: threads that torch had before are not in it, and would be waited for."""
    try:
        return child.receive(_ALIVE) in (("alive",), None)
    except Hung:
        return False


def _all(under_way: Sequence[tuple[Sequence[int], float]]) -> tuple[int, ...]:
    return tuple(sorted({i for things, _ in under_way for i in things}))


def _error(name: str, message: str, next_step: str) -> Exception:
    if not name:
        return RuntimeError(f"in the process that runs the model:\n{message}")
    error: Exception = getattr(errors, name)(message, next_step)
    return error
