"""Rows in memory -> a JSONL file that is scanned as any other, so that they get the scores and skips of that file.

The file is named after its bytes, `rows-0a1b2c3d4e5f.jsonl`, and stays beside the run: what explains or copies rows
reads it again. Knows nothing of what is in a row.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from uuid import UUID

from screen.disk import DISK, removed_on_error, storing, temporary
from screen.errors import InputError, UsageError

if TYPE_CHECKING:
    import polars as pl


class ArrowTable(Protocol):
    def to_batches(self) -> list[Any]: ...


FilePath: TypeAlias = str | os.PathLike[str]
Rows: TypeAlias = (
    "FilePath | Sequence[FilePath] | Iterable[Mapping[str, Any]] | pl.DataFrame | pl.LazyFrame | ArrowTable"
)
_DIGITS = 12
_BLOCK = 1 << 20
_NAMED = (date, time, timedelta, Decimal, UUID)  # what JSON has no type for and one text only


def paths_of(dataset: Any) -> tuple[str, ...] | None:
    """The files, folders and patterns that are named; None where the rows themselves are given."""
    if isinstance(dataset, str | os.PathLike):
        return (os.fspath(dataset),)
    if isinstance(dataset, list | tuple) and dataset and all(isinstance(p, str | os.PathLike) for p in dataset):
        return tuple(map(os.fspath, dataset))
    return None


def rows_of(dataset: Any) -> Iterator[Any]:
    """The rows of a frame, a table, a `datasets.Dataset` or any iterable. Raises UsageError for what has none."""
    if isinstance(dataset, Mapping):
        keys = ", ".join(ascii(str(key)) for key in list(dataset)[:5])
        raise UsageError(f"a dictionary is no rows (its keys: {keys})", "give one of its splits, or a list of rows")
    if hasattr(dataset, "itertuples"):  # a pandas frame: its missing values are NaN, which JSON has not
        raise UsageError("a pandas frame is not read", "give polars.from_pandas(frame), or frame.to_dict('records')")
    if hasattr(dataset, "collect_schema") and not hasattr(dataset, "iter_rows"):  # a polars LazyFrame
        dataset = dataset.collect()
    if hasattr(dataset, "iter_rows"):
        return iter(dataset.iter_rows(named=True))
    if hasattr(dataset, "to_batches"):  # an Arrow table
        return (row for batch in dataset.to_batches() for row in batch.to_pylist())
    try:
        return iter(dataset)
    except TypeError:
        raise UsageError(
            f"{type(dataset).__name__} holds no rows", "give a path, or rows: a list of dicts, a frame, any iterable"
        ) from None


def line(row: Any) -> bytes:
    """A row as `json.dumps` writes it. One that JSON cannot hold becomes a text that says so, which is skipped as no
    object, with its number."""
    try:
        text = json.dumps(row, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        text = json.dumps(f"the row cannot be written as JSON: {error}")
    return text.encode("ascii") + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, _NAMED):
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    if isinstance(value, bytes):
        return value.decode()  # raises ValueError where it is no text
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON")


@contextlib.contextmanager
def written(dataset: Any, out: Path | None) -> Iterator[Path]:
    """The rows as a file, beside `out` or in the current folder. It goes again where the body fails and left no run.

    Raises UsageError for what holds no rows, InputError where there is none, StoreError where nothing can be written.
    """
    folder = Path() if out is None else out.parent
    file, new = _write(rows_of(dataset), folder)
    try:
        yield file
    except BaseException:
        if new and not (out or file.with_suffix(".screen")).is_dir():
            with contextlib.suppress(OSError):
                DISK.unlink(file)
        raise


def _write(rows: Iterator[Any], folder: Path) -> tuple[Path, bool]:
    """The file, and whether it was not there before."""
    scratch = temporary(folder / "rows")
    digest, count = hashlib.sha256(), 0
    with storing(folder, "run this again"), removed_on_error(scratch), open(scratch, "wb", buffering=_BLOCK) as file:
        for row in rows:
            raw = line(row)
            digest.update(raw)
            file.write(raw)
            count += 1
        if not count:
            raise InputError("there are no rows", "give at least one")
    target = folder / f"rows-{digest.hexdigest()[:_DIGITS]}.jsonl"
    new = not target.exists()
    with storing(folder, "run this again"), removed_on_error(scratch):
        DISK.fsync_file(scratch)
        DISK.rename(scratch, target)
        DISK.fsync_dir(folder)
    return target, new
