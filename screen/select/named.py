"""The rows that a user names, by number or by the dataset's own id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from screen.errors import UsageError, near
from screen.store.folder import read_published
from screen.store.manifest import ShardEntry
from screen.store.scan import Scan


def number_of(scan: Scan, text: str, by_id: bool = False) -> int:
    """The row that a user names: a row number where it is all digits, unless `by_id`; else the id of its sample.

    Raises UsageError for an id that no row has, or several have.
    """
    return int(text) if text.isdecimal() and len(text) < 20 and not by_id else numbers_of_ids(scan, [text])[0]


def numbers_of_ids(scan: Scan, ids: Sequence[str]) -> list[int]:
    """As `number_of`, of many ids at once."""
    numbers: dict[str, set[int]] = {name: set() for name in ids}
    for path in scan.folder.tables("scores") if ids else ():
        table = read_published(path, columns=["row", "id"])
        found = table.filter(pc.is_in(table["id"], pa.array(list(numbers), pa.string())))
        for row, name in zip(found["row"].to_pylist(), found["id"].to_pylist(), strict=True):
            numbers[name].add(row)
    return [_only(scan, name, numbers[name]) for name in ids]


def _only(scan: Scan, name: str, numbers: set[int]) -> int:
    if len(numbers) == 1:
        return next(iter(numbers))
    if numbers:
        few = ", ".join(map(str, sorted(numbers)[:10])) + (", ..." if len(numbers) > 10 else "")
        raise UsageError(f"{len(numbers)} rows have the id {name!a}: {few}", "give one of these row numbers")
    raise UsageError(
        f"no scored row of {near(scan.path)} has the id {name!a}", "give an id or a row number, as `screen rank` prints"
    )


def check_rows(scan: Scan, rows: Sequence[int]) -> None:
    """Raises UsageError for the first that the run does not hold, scored or skipped."""
    held = sorted((entry.first_row, entry.end_row) for entry in scan.folder.published.values())
    starts, ends = (np.array([span[side] for span in held], dtype=np.int64) for side in (0, 1))
    for row in rows:
        at = int(np.searchsorted(starts, row, side="right")) - 1 if -(1 << 63) <= row < 1 << 63 else -1
        if at < 0 or row >= ends[at]:
            raise missing(scan, row)


def entry_of(scan: Scan, row: int) -> ShardEntry:
    """The shard that holds a row. Raises UsageError where none does."""
    for entry in scan.folder.published.values():
        if entry.first_row <= row < entry.end_row:
            return entry
    raise missing(scan, row)


def missing(scan: Scan, row: int) -> UsageError:
    entries = sorted(scan.folder.published.values(), key=lambda e: e.first_row)
    if not entries:
        return UsageError(f"{near(scan.path)} holds no rows yet", "wait for its first shard, or see screen status")
    first, last = entries[0].first_row, entries[-1].end_row - 1
    gaps = "" if sum(e.rows for e in entries) == last - first + 1 else ", with gaps: the run is not finished"
    return UsageError(
        f"there is no row {row:,} in {near(scan.path)}",
        f"it holds rows {first:,} to {last:,}{gaps}; an id of digits only is asked for with --id",
    )
