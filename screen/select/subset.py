"""The rows of a dataset that an expression keeps, and those that it drops: counted, and copied byte for byte."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from screen.data.copying import check_not_input, check_out, copy_rows
from screen.data.dataset import Dataset
from screen.disk import new_file, writing
from screen.errors import UsageError, near
from screen.jsonl import dump
from screen.select.selection import Selection, select
from screen.select.source import source_of
from screen.store.folder import read_published
from screen.store.scan import Scan
from screen.store.unfinished import unfinished

Rest = Literal["keep", "drop"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of the dataset, but for `matching_by_test` and `without_score`, which count samples."""

    rows: int
    kept: int
    dropped: int
    matching: int
    matching_by_test: Mapping[str, int]  # comparison -> samples of which it is a reason
    skipped: int  # could not be scored
    skipped_are: Literal["kept", "dropped"]
    not_reached: int  # by the run
    without_score: Mapping[str, int]  # column -> samples without a value, which it never matches


@dataclass(frozen=True, repr=False)
class Subset:
    """What becomes of each row. `dropped` (rows,) bool; `keeping`: rows that do not match are dropped, not the others.

    skipped  rows that could not be scored, ascending
    notes    what the user may not have meant
    """

    dataset: Dataset
    selection: Selection
    dropped: npt.NDArray[np.bool_]
    counts: Counts
    keeping: bool
    skipped: npt.NDArray[np.int64]

    @property
    def notes(self) -> list[str]:
        return self.selection.notes

    def write(
        self, out: str | os.PathLike[str], *, dropped: str | os.PathLike[str] | None = None, force: bool = False
    ) -> Path:
        """Copy the kept rows, as they stand, to a new file of the dataset's kind; .gz or .zst at its end compresses.

        dropped  a file for the others; why each was dropped goes to FILE.reasons.jsonl
        force    replace files that exist

        Each file appears whole or not at all, the copy last. Raises UsageError for a file that exists, is the input or
        cannot be written.
        """
        files = targets(out, dropped, force)
        for path in files[:2]:
            check_out(self.dataset, path)
        for path in files[2:]:
            check_not_input(self.dataset, path)
            copy_rows(self.dataset, lambda row: bool(self.dropped[row]), files[1])
            self.write_reasons(path)
        copy_rows(self.dataset, lambda row: not self.dropped[row], files[0])
        return files[0]

    def write_reasons(self, path: Path) -> None:
        """One line a dropped row, in order: its number, its id and what held of it."""
        why = {} if self.keeping else {reason["row"]: reason for reason in self.selection.reasons()}
        scored = set(self.selection.table["row"].to_pylist())
        next_step = "choose a folder that exists, with room"
        with writing(path, next_step), new_file(path) as scratch, scratch.open("w", encoding="ascii") as file:
            for row in self.dropped.nonzero()[0].tolist():
                test = "does not match" if row in scored else "not scored"
                file.write(dump(why.get(row) or {"row": row, "id": None, "reasons": [{"test": test}]}) + "\n")

    def __repr__(self) -> str:
        return f"Subset({self.counts.kept:,} of {self.counts.rows:,} rows kept, {self.counts.dropped:,} dropped)"


def subset(
    scan: Scan,
    expression: str,
    *,
    keeping: bool = False,
    drop_skipped: bool | None = None,
    rest: Rest | None = None,
    dataset: Sequence[str] = (),
) -> Subset:
    """The dataset of a run without the rows that match; `keeping`: only those.

    drop_skipped  rows that could not be scored; None: kept, or dropped when `keeping`
    rest          what becomes of rows that the run did not reach
    dataset       where its files are now, if they were moved

    Raises UsageError for an expression that says nothing here, a dataset that is not there or has changed, and for rows
    that the run did not reach where `rest` does not say.
    """
    selection = select(scan, expression, "--keep" if keeping else "--drop")
    source = source_of(scan, dataset)
    total = source.count() or 0
    drop = np.zeros(total, dtype=bool)
    drop[selection.rows()] = True
    matching = int(drop.sum())
    if keeping:
        drop = ~drop
    skipped = _skipped(scan)
    drop[skipped] = drop_skipped = keeping if drop_skipped is None else drop_skipped
    reached = _reached(scan, total)
    if rest is None and not reached.all():
        raise _unreached(scan, int(reached.sum()), total)
    drop[~reached] = rest == "drop"
    counts = Counts(
        rows=total,
        kept=int(total - drop.sum()),
        dropped=int(drop.sum()),
        matching=matching,
        matching_by_test=selection.counts(),
        skipped=len(skipped),
        skipped_are="dropped" if drop_skipped else "kept",
        not_reached=int(total - reached.sum()),
        without_score=selection.nulls,
    )
    return Subset(source, selection, drop, counts, keeping, skipped)


def targets(
    out: str | os.PathLike[str] | None, dropped: str | os.PathLike[str] | None = None, force: bool = False
) -> list[Path]:
    """The files to write: the copy; and, where asked for, the dropped rows and their reasons. Raises UsageError for one
    that exists, unless `force`, or cannot be written."""
    if out is None:
        raise UsageError("nowhere to write", "name the new file with -o, or count only with --dry-run")
    files = [Path(out)]
    if dropped is not None:
        files += [Path(dropped), Path(dropped).with_name(f"{Path(dropped).name}.reasons.jsonl")]
    for path in files:
        if path.exists() and not force:
            raise UsageError(f"{path} exists already", "choose another name, or add --force to replace it")
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            what = "is a folder" if path.is_dir() else "cannot be written: no folder there that can be written to"
            raise UsageError(f"{path}: {what}", "choose another name")
    if len({os.path.realpath(path) for path in files}) < len(files):
        raise UsageError(f"{files[0]}: -o and --dropped name the same file", "choose two names")
    return files


def _skipped(scan: Scan) -> npt.NDArray[np.int64]:
    """Rows that could not be scored, ascending."""
    parts = [read_published(path, columns=["row"])["row"].to_numpy() for path in scan.folder.tables("skipped")]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _reached(scan: Scan, total: int) -> npt.NDArray[np.bool_]:
    """(total,) whether the run holds the row, scored or skipped."""
    reached = np.zeros(total, dtype=bool)
    for entry in scan.folder.published.values():
        reached[entry.first_row : entry.end_row] = True
    return reached


def _unreached(scan: Scan, held: int, total: int) -> UsageError:
    if not scan.folder.finished:
        message, following = unfinished(scan.folder)
        return UsageError(message, f"{following}; or say what becomes of the others: --rest keep or --rest drop")
    return UsageError(
        f"{near(scan.path)} holds scores for {held:,} of the dataset's {total:,} rows",
        "finish the run, or say what becomes of the others: --rest keep or --rest drop",
    )
