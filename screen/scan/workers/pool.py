"""Hands windows to workers and gives their tables back in the order of the windows, whichever worker was first.

A worker that dies costs its window one more try, in a fresh process. Where that dies too, the row that kills is looked
for by halving the window, and becomes a Skip; where no single row does, the run ends with an error. Knows nothing of
scores or of the store.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import TracebackType

from screen import errors
from screen.data.dataset import Window
from screen.data.sample import RawRow, Skip
from screen.errors import ModelError
from screen.scan.workers.child import Child
from screen.scan.workers.worker import WorkerSetup, from_bytes, work
from screen.scoring.shard import Tables

_AHEAD = 4  # windows a worker may be ahead of the oldest that is not done: what is held in memory
_MOST_KILLERS = 8  # rows of a run that may kill a process before the machine is to blame
_FRUITLESS = 2  # deaths of which no row is the cause, that a run stands
_MEMORY = "if it is memory, lower --batch-tokens, or name fewer --devices"


def reads_ahead(setup: WorkerSetup) -> bool:
    """Whether a worker is told which window probably comes next, to read it while its device works on this one."""
    return setup.device != "cpu"


class _Worker:
    def __init__(self, setup: WorkerSetup) -> None:
        self.setup, self.ready = setup, False
        self.job: Window | None = None
        self.hint: Window | None = None  # what it was told may come next
        self.alone = True  # nothing but its job can have killed it: it reads, and was reading, nothing ahead
        self.child = Child(work, "spawn", setup)  # it tokenises: that library's threads do not come with a fork

    @property
    def connection(self) -> Connection:
        connection: Connection = self.child.connection
        return connection

    def settle(self) -> None:
        """It has loaded its model."""
        self.ready = True

    def finish(self) -> None:
        """Its job is done."""
        self.job = None

    def give(self, window: Window, budget: int, hint: Window | None) -> None:
        self.alone = hint is None and (self.hint is None or self.hint is window)
        message = (None if window is self.hint else window, budget, hint)
        self.job, self.hint = window, hint
        self.child.send(message)


class Workers:
    """One worker a setup. `batching` is what the parent proved: a worker that finds otherwise is refused."""

    def __init__(
        self,
        setups: Sequence[WorkerSetup],
        batching: str,
        budget: Callable[[int], int],
        on_work: Callable[[str, int], None],
    ) -> None:
        """`budget(shard)`: its tokens a batch. `on_work("answered" | "scored", tokens)`: work of any worker since the
        last call."""
        self._batching, self._budget, self._on_work = batching, budget, on_work
        self._deaths: Counter[int] = Counter()  # by window, of processes that had nothing else
        self._suspects: set[int] = set()  # windows of which a process may have died: they are not read ahead
        self._loading: Counter[int] = Counter()  # deaths before a worker was ready, by its place
        self._killers = self._fruitless = 0
        self.workers = [_Worker(setup) for setup in setups]

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.child.end()

    def score(self, windows: Iterator[Window]) -> Iterator[tuple[Window, Tables, int]]:
        """Each window with its tables, in order. A killing row stands in the tables as skipped."""
        order: deque[Window] = deque()  # not given back yet, oldest first
        waiting: list[Window] = []  # of these, those that no worker has
        done: dict[int, tuple[Tables, int]] = {}
        left = True
        while left or order:
            idle = [w for w in self.workers if w.ready and w.job is None]
            wanted = 2 * len(self.workers) if any(reads_ahead(w.setup) for w in idle) else len(idle)
            while left and len(waiting) < wanted and len(order) < _AHEAD * len(self.workers):
                window = next(windows, None)
                left = window is not None
                if window is not None:
                    order.append(window)
                    waiting.append(window)
            for worker in idle:
                if waiting:
                    self._give(worker, self._pick(worker, waiting), waiting)
            if not order and not left:
                return
            for connection in wait([w.connection for w in self.workers]):
                at = next(i for i, w in enumerate(self.workers) if w.connection is connection)
                worker = self.workers[at]
                job = worker.job
                tables, dead = self._hear(at)
                if dead and worker.hint is not None:
                    self._suspects.add(worker.hint.number)
                if dead and job is not None:
                    waiting.insert(0, self._after_death(at, job) if worker.alone else self._suspected(job))
                elif tables is not None and job is not None:
                    done[job.number] = tables
            while order and order[0].number in done:
                window = order.popleft()
                yield (window, *done.pop(window.number))

    def _pick(self, worker: _Worker, waiting: list[Window]) -> Window:
        """The window that this worker has read ahead, else one that no other has, else the oldest."""
        at = [i for i, w in enumerate(waiting) if w is worker.hint]
        return waiting.pop((at or self._unread(worker, waiting) or [0])[0])

    def _unread(self, worker: _Worker, waiting: Sequence[Window]) -> list[int]:
        hints = [w.hint for w in self.workers if w is not worker]
        return [i for i, w in enumerate(waiting) if not any(w is hint for hint in hints)]

    def _give(self, worker: _Worker, window: Window, waiting: Sequence[Window]) -> None:
        """Where a process may have died of a window, reading ahead is left out: a death should be blamed on the right
        one."""
        hint = None
        if reads_ahead(worker.setup) and window.number not in self._suspects:
            unread = (waiting[i] for i in self._unread(worker, waiting))
            hint = next((w for w in unread if w.number not in self._suspects), None)
        worker.give(window, self._budget(window.number), hint)

    def _hear(self, at: int) -> tuple[tuple[Tables, int] | None, bool]:
        """(the tables of a window that is done, whether the worker died). A dead worker is replaced."""
        worker = self.workers[at]
        match worker.child.receive():
            case None:
                self._replace(at)
                return None, True
            case ("ready", batching):
                if batching != self._batching:
                    raise ModelError(
                        f"{worker.setup.device} runs the model {batching} and the first device {self._batching}:"
                        " the scores would differ by device",
                        "name --devices of one kind",
                    )
                worker.settle()
                self._loading[at] = 0
            case ("done", data, budget):
                worker.finish()
                return (from_bytes(data), budget), False
            case ("failed", name, message, next_step):
                if name:
                    raise getattr(errors, name)(message, next_step)
                raise RuntimeError(f"in the worker on {worker.setup.device}:\n{message}")
            case (stage, tokens):
                self._on_work(stage, tokens)
        return None, False

    def _replace(self, at: int) -> None:
        worker = self.workers[at]
        how = worker.child.end(patience=5.0)
        if not worker.ready:
            self._loading[at] += 1
            if self._loading[at] == 2:
                raise ModelError(f"a worker on {worker.setup.device} died twice before its first row ({how})", _MEMORY)
        self.workers[at] = _Worker(worker.setup)

    def _suspected(self, window: Window) -> Window:
        """The window to try again: what its process was reading ahead may as well have killed it."""
        self._suspects.add(window.number)
        return window

    def _after_death(self, at: int, window: Window) -> Window:
        """The window to try again: itself after a first death, without the row that kills after a second."""
        self._suspects.add(window.number)
        self._deaths[window.number] += 1
        if self._deaths[window.number] == 1:
            return window
        killer = self._search(at, window.entries, window)
        if killer is None and self._fruitless < _FRUITLESS:  # another process may be what is wrong
            self._fruitless += 1
            return window
        self._killers += 1
        if killer is None or self._killers > _MOST_KILLERS:
            rows = f"rows {window.first_row:,} to {window.end_row - 1:,}"
            why = "no half of them kills it alone" if killer is None else f"{_MOST_KILLERS} rows were left out already"
            raise ModelError(f"the process on {self.workers[at].setup.device} died twice on {rows}, and {why}", _MEMORY)
        skip = Skip(killer.place, "score", "worker_failed", "the process that scored it was killed, twice", killer.head)
        entries = [skip if e is killer else e for e in window.entries]
        return window._replace(entries=entries)

    def _search(self, at: int, entries: Sequence[RawRow | Skip], window: Window) -> RawRow | None:
        """The row that kills a process on its own, by halving `entries`, which are known to."""
        if len(entries) == 1:
            return entries[0] if isinstance(entries[0], RawRow) else None
        middle = len(entries) // 2
        for half in (entries[:middle], entries[middle:]):
            if self._dies(at, window._replace(entries=list(half))):
                return self._search(at, half, window)
        return None

    def _dies(self, at: int, window: Window) -> bool:
        """Whether a worker dies of these rows; what it makes of them is thrown away."""
        while not self.workers[at].ready:
            self._hear(at)
        self._give(self.workers[at], window, ())
        while True:
            tables, dead = self._hear(at)
            if dead or tables is not None:
                return dead
