"""manifest.jsonl: one checksummed line a published shard. A line that is there and whole is the commit.

A crash can tear the last line only (screen/seal.py): readers ignore a torn line and the next writer cuts it off. Any
other bad line is damage. Knows nothing of tables' contents.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from screen import seal
from screen.disk import DISK, Disk, append_durably, truncate_durably
from screen.errors import StoreError

MANIFEST = "manifest.jsonl"
_NAME = re.compile(r"(scores|turns|controls|skipped)/[0-9]{6,}\.parquet")  # never a way out of the folder


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One published Parquet file."""

    name: str  # relative to the run folder
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One published shard: input rows [first_row, end_row), each scored or skipped exactly once."""

    shard: int
    first_row: int
    end_row: int
    rows: int  # input rows: end_row - first_row
    scored: int  # samples: a preference pair counts two
    skipped: int
    run: str  # which identity wrote it (identity.digest)
    files: Mapping[str, FileEntry]  # by table; a table without rows has no file
    token_budget: int | None = None  # tokens a batch, where memory ran out at what the settings say
    carried: int | None = None  # input rows whose scores are an earlier run's; not in the line where there is none

    def line(self) -> bytes:
        body = asdict(self)
        if self.carried is None:
            del body["carried"]
        return seal.sealed_line(body)

    @classmethod
    def of(cls, body: dict[str, Any]) -> ShardEntry:
        """Raises ValueError, or what a wrong type raises, where the object is not what `line` wrote."""
        files = {table: FileEntry(**entry) for table, entry in body.pop("files").items()}
        if not all(_NAME.fullmatch(f.name) and f.name.startswith(f"{t}/") for t, f in files.items()):
            raise ValueError("it names a file outside the run's tables")
        return cls(**body, files=files)


class Manifest:
    """The published shards by number. `append` commits one."""

    def __init__(self, path: Path, disk: Disk = DISK) -> None:
        self.path = path
        self.entries: dict[int, ShardEntry] = {}
        self._spans: list[tuple[int, int, int]] = []  # (first_row, end_row, shard), sorted
        self.disk = disk
        self._good = 0  # bytes of whole lines
        self._digest = hashlib.sha256()  # of those bytes
        self._clean = False  # whether the file is known to end there
        self._load(disk.read(path))

    def _load(self, data: bytes) -> None:
        try:
            found = seal.open_lines(data)
        except seal.BrokenLine as error:
            raise self._damage(error.number, error.why, error.last) from error
        for number, value in enumerate(found.values, 1):
            try:
                entry = ShardEntry.of(value)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                raise self._damage(number, str(error), last=number == len(found.values)) from error
            self._take(entry, number)
        self._passed(found.data)

    def _take(self, entry: ShardEntry, number: int) -> None:
        if entry.shard in self.entries:
            raise self._damage(number, f"it repeats shard {entry.shard}")
        clash = self.overlap(entry.first_row, entry.end_row)
        if clash is not None:
            raise self._damage(number, f"its rows overlap those of shard {clash}")
        self._add(entry)

    def _damage(self, number: int, why: str, last: bool = False) -> StoreError:
        again = "delete that line, the last, and the run's command scores its rows again"
        anew = "move the folder away and run the scan again"
        return StoreError(
            f"{self.path} is damaged at line {number}: {why}",
            f"restore the file from a backup, or {again if last else anew}",
        )

    def overlap(self, first_row: int, end_row: int) -> int | None:
        """A published shard that shares rows with [first_row, end_row)."""
        at = bisect.bisect_left(self._spans, (first_row,))
        for first, end, shard in self._spans[max(at - 1, 0) : at + 1]:
            if first < end_row and first_row < end:
                return shard
        return None

    def _add(self, entry: ShardEntry) -> None:
        self.entries[entry.shard] = entry
        bisect.insort(self._spans, (entry.first_row, entry.end_row, entry.shard))

    def append(self, entry: ShardEntry) -> None:
        """Commit a shard: durable on return. After an error the file is as before, or ends in a torn line."""
        self._cut()
        self._clean = False
        line = entry.line()
        try:
            append_durably(self.path, line, self.disk)
        except OSError:
            with contextlib.suppress(OSError):
                self._cut()
            raise
        self._clean = True
        self._passed(line)
        self._add(entry)

    def _cut(self) -> None:
        """Make the file end after its last whole line."""
        if self._clean:
            return
        if self.path.stat().st_size != self._good:
            truncate_durably(self.path, self._good, self.disk)
        self._clean = True

    def repair(self) -> None:
        """For the writer who holds the lock: cut off a torn last line."""
        self._cut()

    def sha256(self) -> str:
        """Of all whole lines: what `summary.json` says it summarises."""
        return self._digest.hexdigest()

    def _passed(self, line: bytes) -> None:
        self._good += len(line)
        self._digest.update(line)
