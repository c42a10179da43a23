"""Run: a scan on disk, as a notebook or a pipeline looks at it. Changes nothing, but for `reflag` and `label`.

The examples are of the first 40 rows of examples/support-chats.jsonl; tests execute them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from screen.errors import UsageError
from screen.library.decisions import Decisions
from screen.library.summary import Summary, read
from screen.store.scan import Scan, read_scan
from screen.store.unfinished import unfinished

if TYPE_CHECKING:
    import polars as pl

    from screen.library.notebook.rows import Rows
    from screen.scoring.findings.flags import Flagging


@dataclass(frozen=True, slots=True)
class Status:
    """`orphans`: files of a crash, which nothing counts; `writer`: the process at work, its pid and host; `since`: the
    run whose rows are carried over, and how many were `carried` so far."""

    rows: int
    scored: int
    skipped: int
    shards: int
    finished: bool
    orphans: tuple[str, ...]
    writer: Mapping[str, str | int] | None
    since: Mapping[str, str | int | bool] | None = None


class Run(Decisions):
    """A run's folder at the moment of opening. Made by `screen.scan` and `screen.open`.

    path      the folder, absolute
    traits    in column order
    finished  whether every row of the dataset is in it
    """

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self.path = scan.path
        self.traits = scan.traits
        self.finished = scan.folder.finished

    @cached_property
    def summary(self) -> Summary:
        """What summary.json holds, typed: counts, and a trait's statistics, threshold, flags and verdict.

        Raises UsageError for a run that is not finished.

        >>> run.summary.rows, run.summary.traits["evil"].verdict.kind
        (40, 'review')
        """
        if not self.finished:
            raise UsageError(*unfinished(self._scan.folder))
        return Summary.from_json(self._scan.summary)

    def scores(self) -> pl.LazyFrame:
        """A row a sample (docs/columns.md): identity, and the scores of each trait, float32. Nothing is read yet.

        Raises StoreError for a file that is not as it was published.

        >>> run.scores().sort("evil", descending=True).head(3).collect()["row"].to_list()
        [38, 25, 14]
        """
        return self._scan.scores()

    def turns(self) -> pl.LazyFrame:
        """A row a scored turn: prompt, text, baseline response, and scores. As `scores`.

        >>> run.turns().select("row", "turn", "text").head(1).collect().shape
        (1, 3)
        """
        return self._scan.turns()

    def skipped(self) -> pl.LazyFrame:
        """A row each that could not be scored: number, place, code (docs/codes.md), message. As `scores`.

        >>> run.skipped().collect().height
        0
        """
        return self._scan.skipped()

    def sql(self, statement: str, *, seconds: float = 60.0) -> pl.DataFrame:
        """The rows of one SELECT over scores, turns, skipped, samples, flagged, labels, in a process that only reads.

        seconds  after which the query is stopped

        Raises UsageError for what is no SELECT, fails, takes too long, or gives more than a million rows or 256 MiB.

        >>> run.sql("select count(*) as n from flagged where evil > 20").item()
        5
        """
        import polars as pl

        from screen.store.sql.sandbox import Limits

        reply = self._scan.query(statement, limits=Limits(seconds=seconds), flags=self._flags())
        if reply.cut:
            raise UsageError(reply.cut, "select fewer rows or columns, or take run.scores(), which has no limit")
        twice = {name for name in reply.table.column_names if reply.table.column_names.count(name) > 1}
        if twice:
            raise UsageError(f"two columns of the query are named {min(twice)!a}", "name one of them with `as`")
        frame = pl.from_arrow(reply.table)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def _flags(self) -> dict[str, Flagging] | None:
        """Thresholds: those on record; of a run that is not finished, those that its rows have so far."""
        if self.finished:
            return None
        from screen.select.scores import thresholds_of

        return thresholds_of(self._scan)

    def top(
        self, by: str | None = None, count: int = 20, *, ascending: bool = False, flagged: bool = False,
        at: str | None = None,
    ) -> Rows:  # fmt: skip
        """The `count` samples with the highest score, each with its answer from the highest window on.

        by         a trait, or any column of `samples`; the first trait
        ascending  the lowest instead
        flagged    only those above the threshold
        at         another percentile of the reference to flag by: "p95"

        Raises UsageError for a column that is not there, or a threshold that is not.

        >>> [(row.row, round(row.score, 1)) for row in run.top("evil", 3)]
        [(38, 30.9), (25, 29.8), (14, 29.7)]
        """
        from screen.library.notebook.rows import ranked

        return ranked(self._scan, by, count, ascending=ascending, flagged=flagged, at=at)

    def row(self, row: int | str) -> dict[str, Any]:
        """All that the run has on one input row, by number (from 0) or by the dataset's own id: scores, turns, texts;
        or why it was skipped.

        Raises UsageError for a row that is not there.

        >>> run.row(38)["scored"]
        True
        """
        from screen_reports import rows

        return rows.as_object(rows.find(self._scan, self._number(row)))

    def explain(self, row: int | str) -> list[dict[str, Any]]:
        """Why a row scores as it does: a dictionary a scored turn, with the projection of every token on every trait,
        in units of the activations. Runs the model once more, on this row.

        tokens   a list: start and end in `text`, in characters, and a projection a trait
        traits   trait -> mean, the two highest tokens, the three highest windows of 32 tokens

        Raises UsageError for a row that is not there or was skipped, InputError where the dataset has changed.

        >>> turn = run.explain(38)[0]
        >>> turn["text"][:12], len(turn["tokens"]), sorted(turn["traits"])
        ('Your downfal', 15, ['evil', 'hallucination', 'sycophancy'])
        """
        from screen.analysis.explain import explain
        from screen.analysis.rescore import reopen

        return explain(reopen(self._scan), self._number(row))

    def _number(self, row: int | str) -> int:
        from screen.select.named import number_of

        return row if isinstance(row, int) else number_of(self._scan, row, by_id=True)

    def reflag(self, *, at: str | None = None, fdr: float | None = None) -> Run:
        """The run, flagged by another percentile or false-discovery rate, on disk as well. No row is scored anew.

        Raises UsageError for a run that is not finished, or was refined by its threshold.

        >>> run.reflag(at="p95").summary.at, run.reflag(at="p99").summary.at
        ('p95', 'p99')
        """
        from screen.library.reflag import reflagged

        reflagged(self.path, at, fdr)
        return open_run(self.path)

    def status(self) -> Status:
        """How far the run is: rows, shards, whether somebody writes it, what a crash left.

        >>> run.status().rows, run.status().finished
        (40, True)
        """
        return read(Status, self._scan.status())

    def __repr__(self) -> str:
        state = "finished" if self.finished else "not finished"
        return f"Run({str(self.path)!r}, {state}, traits={list(self.traits)})"

    def _repr_html_(self) -> str:
        from screen.library.notebook.html import run_html

        return run_html(self, self._scan)


def open_run(path: str | os.PathLike[str]) -> Run:
    """A run on disk, finished or not. Changes nothing, and may look while a run goes on.

    Raises StoreError where there is no run, where it is damaged, or where another version wrote it.

    >>> screen.open(run.path).traits
    ('evil', 'hallucination', 'sycophancy')
    """
    return Run(read_scan(Path(path)))
