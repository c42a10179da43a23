"""When a monitor reads: every so many steps, or as often as a share of the training's time allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHARE = 0.02  # of the time that training takes, at most, goes into readings
SEVERAL = 50  # steps between readings where several processes train: the clock of one is not another's


class Spacing:
    """`every`: steps between readings. None: one at the end, and in between as many as SHARE of the time so far pays,
    the last and the first one included; what no share can pay are these two, in a training that ends at once."""

    def __init__(self, every: int | None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._every, self._clock = every, clock
        self._began = clock()
        self.spent = 0.0  # seconds
        self._longest = 0.0

    def due(self, step: int, last: bool) -> bool:
        """Whether to read after `step`; `last`: training ends with it."""
        if self._every is not None:
            return step % self._every == 0
        trained = self._clock() - self._began - self.spent
        return last or self.spent + 2 * self._longest <= SHARE * trained

    @contextmanager
    def reading(self) -> Iterator[None]:
        began = self._clock()
        yield
        took = self._clock() - began
        self.spent += took
        self._longest = max(self._longest, took)
