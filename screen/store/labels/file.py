"""labels.jsonl: what people said of a run's rows, and which rows were drawn for them to look at. Lines are only ever
added, each checksummed (screen/seal.py); of two that speak of the same, the later counts. No score depends on it.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from screen import seal
from screen.disk import DISK, Disk, append_durably, storing, truncate_durably, writing
from screen.errors import StoreError
from screen.store.folder import RunFolder
from screen.store.labels.record import Draw, DrawnStratum, Label, LabelRecord
from screen.store.sql.views import literal

LABELS = "labels.jsonl"
COLUMNS = {"row": "BIGINT", "label": "VARCHAR", "trait": "VARCHAR", "note": "VARCHAR", "at": "TIMESTAMP"}
_WAIT = 10.0  # seconds for another writer, who needs milliseconds
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


def read(run: RunFolder) -> LabelRecord:
    """Empty where nothing was said. Raises StoreError for a file that is damaged or of another run."""
    path = run.path / LABELS
    with storing(path, "run this again"):
        data = DISK.read(path) if path.exists() else b""
    said: list[Label] = []
    draws: list[Draw] = []
    for value in _opened(path, data).values:
        if value.pop("run") != run.run:
            raise StoreError(
                f"{path} holds labels of another run",
                "move it away; labels are brought over by `screen label OTHER --list --csv` and --from",
            )
        if value.pop("kind") == "label":
            said.append(Label(**value))
        else:
            strata = [DrawnStratum(**{**s, "known": tuple(s["known"]), "drawn": tuple(s["drawn"])})
                      for s in value.pop("strata")]  # fmt: skip
            draws.append(Draw(**value, strata=tuple(strata)))
    return LabelRecord(tuple(said), tuple(draws))


def append(run: RunFolder, records: Sequence[Label | Draw], disk: Disk = DISK) -> None:
    """Durable on return; after an error none of them is there. Several processes may add at once.

    Raises UsageError where the folder cannot be written to, StoreError for a damaged file.
    """
    path = run.path / LABELS
    lines = b"".join(seal.sealed_line({**asdict(r), "kind": _kind(r), "run": run.run}) for r in records)
    next_step = "labels are kept in the run's folder: make it writable, or label a copy of it"
    with writing(path, next_step), _alone(path, disk):
        data = disk.read(path)
        good = len(_opened(path, data).data)
        if good != len(data):  # a torn line of a crash
            truncate_durably(path, good, disk)
        try:
            append_durably(path, lines, disk)
        except OSError:
            with contextlib.suppress(OSError):
                truncate_durably(path, good, disk)
            raise
        if not good:
            disk.fsync_dir(run.path)


def view(record: LabelRecord) -> str:
    """The labels that count as a SELECT: COLUMNS."""
    typed = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in COLUMNS.items())
    rows = [", ".join(_value(value) for value in asdict(label).values()) for label in record.listed()]
    values = ", ".join(f"({row})" for row in rows) or f"({', '.join(['NULL'] * len(COLUMNS))})"
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    return f'SELECT {typed} FROM (VALUES {values}) AS said({names}) WHERE "row" IS NOT NULL'


def _value(value: int | str | None) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else literal(value)


def _kind(record: Label | Draw) -> str:
    return "label" if isinstance(record, Label) else "draw"


def _opened(path: Path, data: bytes) -> seal.SealedLines:
    try:
        return seal.open_lines(data)
    except seal.BrokenLine as error:
        raise StoreError(
            f"{path} is damaged at line {error.number}: {error.why}",
            "restore the file from a backup, or delete that line: the label that it holds is then lost",
        ) from error


@contextlib.contextmanager
def _alone(path: Path, disk: Disk) -> Iterator[None]:
    """Hold the file's lock; where the file system has none, a line is still one write and its checksum tells."""
    descriptor = _taken(path, disk)
    try:
        yield
    finally:
        if descriptor is not None:
            disk.unlock(descriptor)


def _taken(path: Path, disk: Disk) -> int | None:
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            descriptor = disk.lock(path)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            disk.append(path, b"")
            return None
        if descriptor is not None:
            return descriptor
        if time.monotonic() > deadline:
            raise StoreError(
                f"another process is writing {path}", "wait for it to end, then run the same command again"
            )
        time.sleep(0.02)
