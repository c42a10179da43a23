"""What passed, kept on disk until it is scored: files of sealed lines, each record with its position.

A record is *written* once the operating system has it, which a killed process does not undo, and *acknowledged* once
the disk has it. Positions count from 1 and never come again; a file is named by its first. What does not fit is dropped
and counted by reason, and the count is a record itself, so that it outlives the process. Two threads write and sync;
`offer` never waits. Knows nothing of scores.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from screen import seal
from screen.disk import DISK, Disk, truncate_durably
from screen.errors import StoreError
from screen.foreign import JsonObject
from screen.monitor.serve.exchange import Taken, read

JOURNAL: Final = "journal"  # the folder, in that of the proxy
SEGMENT_BYTES: Final = 8 << 20
_NAME: Final = re.compile(r"[0-9]{12}\.jsonl")
_TICK: Final = 0.25  # seconds between two looks at what is idle
_PAUSE: Final = 0.5  # after the disk refused


@dataclass(frozen=True, slots=True)
class Bounds:
    """messages: waiting to be scored; queued, queued_bytes: waiting to be written. More is dropped."""

    messages: int = 10_000
    queued: int = 1_000
    queued_bytes: int = 64 << 20


@dataclass(slots=True)
class _Offered:
    taken: Taken
    written: Callable[[], None]


def segments(folder: Path) -> list[Path]:
    """The journal's files, the oldest first."""
    return [folder / name for name in DISK.names(folder) if _NAME.fullmatch(name)]


def first_of(path: Path) -> int:
    """The position of a file's first record."""
    return int(path.stem)


@dataclass
class Journal:
    """One writer a folder. `scored` is to be told up to which position the log has results: those files go."""

    folder: Path
    bounds: Bounds = field(default_factory=Bounds)
    acknowledged_to: Callable[[int], None] = lambda _position: None  # told from a thread of the journal's
    disk: Disk = DISK

    def __post_init__(self) -> None:
        self.dropped: Counter[str] = Counter()  # by reason, since the start
        self.acknowledged = self.accepted = 0  # exchanges, since the start
        self._queue: list[_Offered] = []
        self._queued_bytes = 0
        self._untold: Counter[str] = Counter()  # drops without a record of their own yet
        self._scored = 0
        self._wake = threading.Condition()
        self._dirty = threading.Condition()  # guards the file, and what follows
        self._unsynced = 0  # exchanges
        self._renew = False  # go on in a new file
        self._closing = False
        self.disk.make_folder(self.folder)
        self.written, self.synced, self._path, self._good = self._recovered()
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._write, self._sync)]

    def start(self, scored: int) -> None:
        """Begin, where the log has results up to this position."""
        if self.written < scored:  # its files were taken away
            self.written = self.synced = scored
            self._renew = True
        self.scored(scored)
        for thread in self._threads:
            thread.start()

    def _recovered(self) -> tuple[int, int, Path, int]:
        """(last position written, the same, file, its bytes). A torn last line is cut off: nobody was told of it."""
        last = max(segments(self.folder), default=None)
        if last is None:
            return 0, 0, self._begin(1), 0
        data = self.disk.read(last)
        try:
            found = seal.open_lines(data)
        except seal.BrokenLine as error:
            raise StoreError(
                f"{last} is damaged at line {error.number}: {error.why}",
                "move it away: what it holds and the log has not is lost",
            ) from error
        if len(found.data) < len(data):
            truncate_durably(last, len(found.data), self.disk)
        self.disk.fsync_file(last)
        position = first_of(last) - 1 + len(found.values)
        return position, position, last, len(found.data)

    @property
    def waiting(self) -> int:
        """Exchanges that passed and have no result yet."""
        return len(self._queue) + max(0, self.written - self._scored)

    def offer(self, taken: Taken, written: Callable[[], None]) -> bool:
        """Have it kept; `written` is called, from another thread, once it is. False: it is dropped, and counted."""
        with self._wake:
            if self._closing:
                reason = "closing"
            elif self.waiting >= self.bounds.messages:
                reason = "scoring_behind"
            elif len(self._queue) >= self.bounds.queued or self._queued_bytes + len(taken) > self.bounds.queued_bytes:
                reason = "disk_behind"
            else:
                self._queue.append(_Offered(taken, written))
                self._queued_bytes += len(taken)
                self._wake.notify()
                return True
            self._drop(reason)
            return False

    def drop(self, reason: str) -> None:
        with self._wake:
            self._drop(reason)

    def _drop(self, reason: str, count: int = 1) -> None:
        self.dropped[reason] += count
        self._untold[reason] += count

    def scored(self, position: int) -> None:
        """The log has results up to this position."""
        with self._wake:
            self._scored = max(self._scored, position)

    def close(self) -> None:
        """Write and sync what is queued, then stop. Nothing is accepted from here on."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._threads[0].join()
        with self._dirty:
            self._dirty.notify_all()
        self._threads[1].join()

    def _write(self) -> None:
        while True:
            with self._wake:
                if not self._queue and not self._closing:
                    self._wake.wait(_TICK)
                batch, self._queue, self._queued_bytes = self._queue, [], 0
                untold, self._untold = self._untold, Counter()
                closing = self._closing
            if batch or untold:
                kept = self._write_batch(batch, untold)
                for offered in batch:
                    offered.written()
                if not kept:
                    with self._wake:
                        self._untold += untold
                        self._drop("disk", len(batch))
                    if closing:
                        return
                    time.sleep(_PAUSE)
            elif closing:
                return
            else:
                self._tidy()

    def _write_batch(self, batch: list[_Offered], untold: Counter[str]) -> bool:
        """False where the disk refused."""
        records: list[JsonObject] = [{"exchange": read(offered.taken).to_json()} for offered in batch]
        if untold:
            records.append({"dropped": dict(untold), "time": time.time()})
        with self._dirty:
            lines = [seal.sealed_line({"at": self.written + i, **record}) for i, record in enumerate(records, 1)]
            data = b"".join(lines)
            try:
                if self._renew or (self._good and self._good + len(data) > SEGMENT_BYTES):
                    self._next_segment()
                self.disk.append(self._path, data)
            except OSError:
                self._renew = True  # the file may end in a part of `data`
                return False
            self._good += len(data)
            self.written += len(lines)
            self._unsynced += len(batch)
            self.accepted += len(batch)
            self._dirty.notify_all()
        return True

    def _next_segment(self) -> None:
        """Go on in a new file, once what was written is on disk. Not where a sync of it failed: see `_sync`."""
        if self.written != self.synced:
            self.disk.fsync_file(self._path)
        self._path = self._begin(self.written + 1)
        self._good, self._renew = 0, False

    def _begin(self, position: int) -> Path:
        """A new file; one of that name holds no whole record."""
        path = self.folder / f"{position:012d}.jsonl"
        if path.exists():
            truncate_durably(path, 0, self.disk)
        else:
            self.disk.write_new(path, b"")
            self.disk.fsync_dir(self.folder)
        return path

    def _sync(self) -> None:
        while True:
            with self._dirty:
                while self.synced == self.written:
                    if not self._threads[0].is_alive():
                        return
                    self._dirty.wait(_TICK)
                path, position, unsynced = self._path, self.written, self._unsynced
            try:
                self.disk.fsync_file(path)
            except OSError:
                self._unacknowledged()
                continue
            with self._dirty:
                self.synced, self._unsynced = position, self._unsynced - unsynced
                self.acknowledged += unsynced
            self.acknowledged_to(position)

    def _unacknowledged(self) -> None:
        """A sync failed, after which the kernel may have thrown bytes away: what is not acknowledged is dropped."""
        with self._dirty:
            lost, self._unsynced = self._unsynced, 0
            self.written, self._renew = self.synced, True
        with self._wake:
            self._drop("disk", lost)

    def _tidy(self) -> None:
        """Files whose every record is in the log are deleted; the last one too, once it is replaced: it has text."""
        with self._dirty, contextlib.suppress(OSError):
            if self._good and self._scored >= self.written == self.synced:
                self._next_segment()
            files = segments(self.folder)
            for path, following in itertools.pairwise(files):
                if first_of(following) - 1 <= self._scored:
                    self.disk.unlink(path)


class JournalReader:
    """Reads records in order, from behind `after`, as far as it is told they are acknowledged."""

    def __init__(self, folder: Path, after: int) -> None:
        self.folder, self.position = folder, after
        self._file: BinaryIO | None = None
        self._first = 0  # position of its first record

    def records(self, upto: int, most: int) -> Iterator[JsonObject]:
        """At most `most`, each with `at`. Raises StoreError for a file that is damaged."""
        for _ in range(most):
            if self.position >= upto:
                return
            yield self._next()

    def _next(self) -> JsonObject:
        holding = max((p for p in segments(self.folder) if first_of(p) <= self.position + 1), default=None)
        if holding is None:
            raise self._damage("the record is in none of its files")
        if self._file is None or self._first != first_of(holding):
            self.close()
            self._file, self._first = open(holding, "rb"), first_of(holding)  # noqa: SIM115
        while line := self._file.readline():
            try:
                value = seal.open_lines(line).values[0]
            except (seal.BrokenLine, IndexError):
                raise self._damage("a line is not as it was written") from None
            if value["at"] == self.position + 1:
                self.position += 1
                return value
        raise self._damage("the record is not in its file")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _damage(self, why: str) -> StoreError:
        self.close()
        return StoreError(
            f"{self.folder}: the journal is damaged behind position {self.position}: {why}",
            "move the folder away; what it holds and the log has not is lost",
        )
