"""Keeps the process that scores: starts it, tells it what is acknowledged, starts another when it dies.

What it died of is looked for: the exchanges that it was at are scored one by one, and one that ends a process alone is
left out, with the reason in the log. Knows nothing of requests.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, Final

from screen import errors
from screen.errors import ModelError, ScreenError
from screen.monitor.serve.scorer.snapshot import Snapshot
from screen.monitor.serve.settings import Order
from screen.scan.workers.child import Child, Hung

HUNG: Final = 600.0  # seconds that one pass may take
_PAUSES: Final = (0.0, 1.0, 5.0, 30.0)  # before it is started again; the last one for ever
_TICK: Final = 0.2
_LAST: Final = 2.0  # seconds for its last pass


def score(connection: Connection, parents_end: Connection | None, order: Order) -> None:
    """What the process does: imported there, as it takes a model library."""
    from screen.monitor.serve.scorer.worker import work

    work(connection, parents_end, order)


class Supervisor:
    """`scored` is told the position up to which the log has results, from a thread."""

    def __init__(
        self, order: Order, scored: Callable[[int], None], say: Callable[[str], None], work: Callable[..., None] = score
    ) -> None:
        self._work = work
        self.snapshot, self.starts, self.running = Snapshot(), 0, False
        self.facts: dict[str, Any] = {}
        self._order, self._scored, self._say = order, scored, say
        self._upto = self.position = 0  # acknowledged, in the log
        self._trying: tuple[int, int] | None = None
        self._stopping, self._ended = threading.Event(), threading.Event()
        self._child: Child | None = None
        self._sending = threading.Lock()
        self._passed_on, self._unanswered = 0, False

    def start(self) -> None:
        """Raises the ScreenError that keeps the process from scoring: vectors that do not fit, a damaged log."""
        child = Child(self._work, "spawn", replace(self._order, parent=os.getpid()))
        self.starts += 1
        try:
            message = child.receive()
        except BaseException:  # Ctrl-C while it loads
            child.end()
            raise
        if message is None:
            raise ModelError(
                f"the process that scores died at its start: {child.end(5.0)}", "free memory, and try again"
            )
        if message[0] == "failed":
            child.end()
            raise _error(*message[1:])
        self.facts = message[1]
        self.position = max(self.position, self.facts["position"])
        self._scored(self.position)
        with self._sending:
            self._child, self.running = child, True
            self._passed_on, self._unanswered = 0, False
            self._pass_on()

    def acknowledged(self, position: int) -> None:
        """From a thread of the journal's, which this never holds up."""
        with self._sending:
            self._upto = position
            self._pass_on()

    def _pass_on(self) -> None:
        """One such message at a time: more would fill the pipe while a pass is long."""
        if self._child is not None and not self._unanswered and self._upto > self._passed_on:
            self._child.send(("upto", self._upto))
            self._passed_on, self._unanswered = self._upto, True

    def watch(self) -> None:
        """Until `stop`: hear what it tells, and start another where it dies. To be run in one thread."""
        try:
            self._watch()
        finally:
            self._ended.set()

    def _watch(self) -> None:
        failures = 0
        while True:
            before = self.position
            why = self._listen()
            if self._stopping.is_set():
                return
            failures = 0 if self.position > before else failures + 1
            self._say(f"warning: the process that scores ended: {why}; requests go on, another is started")
            self._learn(why)
            while True:
                if self._stopping.wait(_PAUSES[min(failures, len(_PAUSES) - 1)]):
                    return
                try:
                    self.start()
                    break
                except (ScreenError, RuntimeError) as error:
                    failures += 1
                    self._say(f"warning: nothing is scored: {str(error).splitlines()[-1]}")

    def stop(self, seconds: float) -> None:
        """Let it score what is acknowledged for so many seconds, then end it."""
        until = time.monotonic() + seconds
        while self.position < self._upto and self.running and time.monotonic() < until:
            time.sleep(0.05)
        self._stopping.set()
        with self._sending:
            child = self._child
            if child is not None:
                child.send(("stop",))
        if child is not None and not self._ended.wait(max(_LAST, until - time.monotonic())):
            child.process.kill()
            self._ended.wait(_LAST)

    def _listen(self) -> str:
        """What it says, until it is dead: how it ended."""
        child = self._child
        assert child is not None
        since = time.monotonic()
        while True:
            try:
                message = child.receive(_TICK)
            except Hung:
                if self._trying is None or time.monotonic() - since < HUNG:
                    continue
                why = f"one pass took more than {HUNG:,.0f} seconds"
                break
            if message is None:
                why = ""
                break
            if message[0] == "failed":
                why = str(message[2]).strip().splitlines()[-1]
                break
            since = time.monotonic()
            self._heard(message)
        with self._sending:
            self._child, self.running = None, False
        how = child.end(5.0 if not why else 0.0)
        return why or how

    def _heard(self, message: tuple[Any, ...]) -> None:
        if message[0] != "trying":
            with self._sending:
                self._unanswered = False
                self._pass_on()
        match message:
            case ("trying", first, last):
                self._trying = (first, last)
            case ("logged", position):
                self._trying, self.position = None, position
                self._scored(position)
            case ("state", snapshot):
                self.snapshot = snapshot

    def _learn(self, why: str) -> None:
        if self._trying is None:
            return
        first, last = self._trying
        if first == last:
            self._order = replace(self._order, deadly={**self._order.deadly, first: why})
        self._order = replace(self._order, alone_to=max(self._order.alone_to, last))
        self._trying = None


def _error(name: str, message: str, next_step: str) -> Exception:
    if not name:
        return RuntimeError(f"in the process that scores:\n{message}")
    error: Exception = getattr(errors, name)(message, next_step)
    return error
