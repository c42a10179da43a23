"""The rows of a run as a list that is sorted, narrowed, labelled: scores in memory, texts only of lines that are looked
at. Knows nothing of the screen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from screen.errors import UsageError, near
from screen.select.labels import LabelGiven, add
from screen.select.named import entry_of
from screen.select.sampling import design, draws_around
from screen.select.scores import score_column, thresholds_of
from screen.select.selection import select
from screen.store import index
from screen.store.folder import read_published
from screen.store.labels.record import Label, LabelRecord
from screen.store.scan import Scan

_EXCERPT = 200  # characters of an answer on a line
_REMEMBERED = 5000  # lines whose excerpts are kept

Floats = npt.NDArray[np.float32]


class Listing:
    """`rows` (n,) int64: every row with a score, ascending; `scores`: trait -> (n,) float32, of its highest sample;
    `order` (m,): places in `rows` of the lines that are listed."""

    def __init__(self, scan: Scan, trait: str | None = None) -> None:
        if not scan.traits:
            raise UsageError(f"{near(scan.path)} has no traits", "run it with --vectors")
        self.scan = scan
        self.trait = trait or scan.traits[0]
        self.thresholds = thresholds_of(scan)
        self.skipped = sum(entry.skipped for entry in scan.folder.published.values())
        self.rows, self.scores, self.flagged = _by_row(scan)
        self.order: npt.NDArray[np.int64] = np.arange(len(self.rows))
        self.narrowed = ""  # by what
        self.by, self.descending = self.trait, True
        self.record: LabelRecord = scan.labels
        self._undo: list[tuple[int, list[Label]]] = []
        self._excerpts: dict[tuple[int, str], str] = {}
        self.sort(self.trait, True)

    def __len__(self) -> int:
        return len(self.order)

    def row(self, line: int) -> int:
        """The number of the row on a line."""
        return int(self.rows[self.order[line]])

    def line_of(self, row: int) -> int | None:
        """The line of a row, None where it is not listed."""
        found = np.flatnonzero(self.rows[self.order] == row)
        return int(found[0]) if len(found) else None

    def sort(self, by: str, descending: bool) -> None:
        """By a trait's score or "row"; rows without a score last, equal ones by number."""
        self.by, self.descending = by, descending
        places = np.sort(self.order)
        values = (self.rows if by == "row" else self.scores[by])[places].astype(np.float64)
        values = -values if descending else values
        self.order = places[np.argsort(np.where(np.isnan(values), np.inf, values), kind="stable")]

    def narrow(self, expression: str) -> None:
        """List what an expression of `filter` matches; all rows where it is empty. Raises UsageError."""
        if expression:
            self._only(select(self.scan, expression, "filter").rows())
        else:
            self._only(self.rows)
        self.narrowed = expression

    def search(self, text: str) -> None:
        """List the rows whose id is the text, or whose prompt or answer holds it; all rows where it is empty."""
        if not text:
            self.narrow("")
            return
        quoted = "'" + text.replace("'", "''") + "'"
        parts = (f"id = {quoted}", f"prompt contains {quoted}", f"answer contains {quoted}")
        self._only(select(self.scan, " or ".join(parts), "search").rows())
        self.narrowed = f'"{text}"'

    def _only(self, rows: npt.NDArray[np.int64]) -> None:
        self.order = np.flatnonzero(np.isin(self.rows, rows))
        self.sort(self.by, self.descending)

    def excerpts(self, lines: Sequence[int]) -> list[str]:
        """The answers on these lines, each from the trait's highest window on. Reads only what was not read before."""
        rows = [self.row(line) for line in lines]
        missing = [row for row in rows if (row, self.trait) not in self._excerpts]
        if len(self._excerpts) + len(missing) > _REMEMBERED:
            self._excerpts.clear()
            missing = rows
        while missing:
            entry = entry_of(self.scan, missing[0])
            here = [row for row in missing if entry.first_row <= row < entry.end_row]
            missing = [row for row in missing if row not in here]
            self._read(entry.files["turns"].name if "turns" in entry.files else "", here)
        return [self._excerpts[row, self.trait] for row in rows]

    def _read(self, name: str, rows: list[int]) -> None:
        self._excerpts |= {(row, self.trait): "" for row in rows}
        if not name:
            return
        window, start = f"{self.trait}_window", f"{self.trait}_window_start"
        file = next(file for file in self.scan.folder.files("turns", rows) if file.name == name)
        table = read_published(
            self.scan.folder.whole(file), columns=["row", "text", window, start], filters=pc.field("row").isin(rows)
        )
        best: dict[int, float] = {}
        for turn in table.to_pylist():
            value = turn[window] if turn[window] is not None else float("-inf")
            if value >= best.get(turn["row"], float("-inf")):
                best[turn["row"]] = value
                first = turn[start] or 0
                self._excerpts[turn["row"], self.trait] = (turn["text"] or "")[first : first + _EXCERPT]

    def label(self, row: int, word: str | None, note: str | None = None) -> None:
        """Label a whole row; None takes it back. Raises UsageError where the run's folder cannot be written to."""
        before = list(self.record.current.get(row, {}).values())
        add(self.scan, [LabelGiven(row, None, word, note)])
        self._undo.append((row, before))
        self.record = self.scan.labels

    def undo(self) -> int | None:
        """Give the last row that was labelled here the labels that it had; its number, None where there is none."""
        if not self._undo:
            return None
        row, before = self._undo[-1]
        whole = [LabelGiven(row, None, None)]
        add(self.scan, whole + [LabelGiven(row, None, old.label, old.note, old.trait) for old in before])
        self._undo.pop()
        self.record = self.scan.labels
        return row

    def next_unlabelled(self, line: int) -> int | None:
        """The next line after this one whose row has no label, from the top again behind the last."""
        count = len(self.order)
        for step in range(1, count + 1):
            at = (line + step) % count
            if self.row(at) not in self.record.current:
                return at
        return None

    def next_drawn(self, row: int) -> int | None:
        """The next row, after this one, that `screen sample` drew for the trait and that waits for a label."""
        last = next((draw for draw in reversed(self.record.draws) if draw.trait == self.trait), None)
        strata = design(draws_around(self.record, last.trait, last.cut, last.away)) if last else ()
        waiting = sorted(n for s in strata for n in s.drawn if self.record.of(n, self.trait) is None)
        return next((number for number in waiting if number > row), waiting[0] if waiting else None)


def _by_row(scan: Scan) -> tuple[npt.NDArray[np.int64], dict[str, Floats], dict[str, npt.NDArray[np.bool_]]]:
    """(row numbers, trait -> highest score, trait -> whether a sample of the row is flagged)."""
    columns = {trait: score_column(scan, trait) for trait in scan.traits}
    if scan.index is not None and set(columns.values()) <= set(scan.index.scores):
        numbers, signs, values = scan.index.rows, scan.index.signs, scan.index.scores
    else:
        table = index.read(scan.folder, ["row", "sign", *dict.fromkeys(columns.values())])
        numbers, signs = table["row"].to_numpy(), table["sign"].fill_null(1).to_numpy()
        values = {name: table[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in columns.values()}
    order = np.argsort(numbers, kind="stable")
    rows, starts = np.unique(numbers[order], return_index=True)
    scores, flagged = {}, {}
    flags = thresholds_of(scan)
    for trait, name in columns.items():
        own = values[name][order]
        limits = (flags[trait]["threshold"], flags[trait]["threshold_away"])
        above, below = (np.float64(np.nan if limit is None else limit) for limit in limits)
        over = ((signs[order] > 0) & (own > above)) | ((signs[order] < 0) & (own < below))
        scores[trait] = np.fmax.reduceat(own, starts) if len(rows) else own
        flagged[trait] = np.logical_or.reduceat(over, starts) if len(rows) else over
    return rows, scores, flagged
