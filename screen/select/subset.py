"""The rows of a dataset that an expression keeps, and those that it drops: counted, and copied byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from screen.data.copying import check_not_input, check_out, copy_rows
from screen.data.dataset import Dataset
from screen.disk import new_file, writing
from screen.errors import UsageError, near
from screen.jsonl import dump
from screen.select.columns import LABEL
from screen.select.selection import Selection, select, select_none
from screen.select.source import source_of
from screen.store.folder import read_published
from screen.store.labels.record import WORDS, Label, Word
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
    labelled: Mapping[str, int] | None  # label -> rows; None where labels were not asked for
    by_label: int  # rows of which a label says otherwise than the rest


@dataclass(frozen=True, repr=False)
class Subset:
    """What becomes of each row. `dropped` (rows,) bool; `keeping`: rows that do not match are dropped, not the others.

    skipped  rows that could not be scored, ascending
    labels   row -> what people said of it, of the rows that labels decide
    notes    what the user may not have meant
    """

    dataset: Dataset
    selection: Selection
    dropped: npt.NDArray[np.bool_]
    counts: Counts
    keeping: bool
    skipped: npt.NDArray[np.int64]
    labels: Mapping[int, Sequence[Label]]

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

    def reasons(self) -> Iterator[dict[str, Any]]:
        """One object a dropped row, in order: its number, its id and what held of it."""
        why = {} if self.keeping else {reason["row"]: reason for reason in self.selection.reasons()}
        ids = dict(zip(*(self.selection.table[name].to_pylist() for name in ("row", "id")), strict=True))
        for row in self.dropped.nonzero()[0].tolist():
            told = why.get(row, {"row": row, "id": ids.get(row) if row in self.labels else None, "reasons": []})
            test = "does not match" if row in ids else "not scored"
            yield {**told, "reasons": [*self._said(row), *told["reasons"]] or [{"test": test}]}

    def write_reasons(self, path: Path) -> None:
        """A line for each of `reasons`."""
        next_step = "choose a folder that exists, with room"
        with writing(path, next_step), new_file(path) as scratch, scratch.open("w", encoding="ascii") as file:
            file.writelines(dump(reason) + "\n" for reason in self.reasons())

    def _said(self, row: int) -> list[dict[str, str]]:
        """Labels that are a reason to drop the row."""
        labels = self.labels.get(row, ())
        word = "drop" if any(label.label == "drop" for label in labels) else "unsure"
        made = []
        for label in labels:
            if label.label == word:
                more = {"trait": label.trait, "note": label.note}
                made.append({"test": f"{LABEL} = '{word}'", **{key: text for key, text in more.items() if text}})
        return made

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
    labels: bool = False,
    unsure: Rest | None = None,
) -> Subset:
    """The dataset of a run without the rows that match; `keeping`: only those.

    drop_skipped  rows that could not be scored; None: kept, or dropped when `keeping`
    rest          what becomes of rows that the run did not reach
    dataset       where its files are now, if they were moved
    labels        rows that are labelled drop go, and those labelled keep stay, whatever else is said of them; without
                  an expression, labels alone decide
    unsure        what becomes of rows that are labelled unsure; None: what would without the label

    Raises UsageError for an expression that says nothing here, a dataset that is not there or has changed, and for rows
    that the run did not reach where `rest` does not say.
    """
    alone = labels and not expression
    selection = select_none(scan) if alone else select(scan, expression, "--keep" if keeping else "--drop")
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
    words = _words(scan) if labels else {}
    decided = {row: word for row, word in words.items() if word != "unsure" or unsure}
    fates = np.array([(unsure if word == "unsure" else word) == "drop" for word in decided.values()], dtype=bool)
    rows = np.array(list(decided), dtype=np.int64)
    by_label = int((drop[rows] != fates).sum())
    drop[rows] = fates
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
        labelled={word: list(words.values()).count(word) for word in WORDS} if labels else None,
        by_label=by_label,
    )
    said = {row: list(scan.labels.current[row].values()) for row in decided} if decided else {}
    return Subset(source, selection, drop, counts, keeping, skipped, said)


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


def _words(scan: Scan) -> dict[int, Word]:
    """What becomes of labelled rows, by row."""
    record = scan.labels
    return {row: word for row in record.current if (word := record.verdict(row))}


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
