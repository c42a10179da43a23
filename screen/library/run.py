"""Run: a scan on disk, as a notebook or a pipeline looks at it. Changes nothing, but for `reflag` and `label`.

The examples are of the first 40 rows of examples/support-chats.jsonl; tests execute them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from screen.errors import UsageError, near
from screen.library.summary import Summary, read
from screen.store.scan import Scan, read_scan
from screen.store.unfinished import unfinished

if TYPE_CHECKING:
    import polars as pl

    from screen.analysis.compare.two_runs import RunComparison
    from screen.handover.card import DatasetCard
    from screen.handover.options import Handover, Kind
    from screen.library.notebook.rows import Rows
    from screen.scoring.findings.flags import Flagging
    from screen.select.gates.evaluate import GateResult
    from screen.select.precision import PrecisionAtCut
    from screen.select.sampling import DrawnRow
    from screen.select.subset import Rest, Subset
    from screen.store.labels.record import Word


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


class Run:
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

    def label(
        self, row: int | str | Sequence[int | str], label: Word | None, *, note: str | None = None,
        trait: str | None = None,
    ) -> None:  # fmt: skip
        """Say of a row, or of several, that it is to be kept or dropped; the last label counts (docs/labels.md).

        row    a number (from 0) or the dataset's own id
        label  "keep", "drop" or "unsure"; None takes an earlier one back
        trait  what it is about; without one the label is of the whole row

        Raises UsageError for a row that is not there, with nothing written. No score depends on labels.

        >>> run.label([38, 25], "drop", note="threatens the user")
        """
        from screen.select.labels import LabelGiven, add

        rows = [row] if isinstance(row, int | str) else row
        texts = [(None, r) if isinstance(r, str) else (int(r), None) for r in rows]
        add(self._scan, [LabelGiven(number, own, label, note, trait) for number, own in texts])

    def labels(self) -> pl.DataFrame:
        """The labels that count: row, label, trait (null: the whole row), note, at (UTC).

        >>> run.label([38, 25], "drop", note="threatens the user")
        >>> run.labels().select("row", "label", "note").rows()
        [(25, 'drop', 'threatens the user'), (38, 'drop', 'threatens the user')]
        """
        from dataclasses import asdict

        import polars as pl

        schema = {"row": pl.Int64, "label": pl.String, "trait": pl.String, "note": pl.String, "at": pl.String}
        frame = pl.DataFrame([asdict(label) for label in self._scan.labels.listed()], schema=schema)
        return frame.with_columns(pl.col("at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ"))

    def sample(
        self, count: int = 40, *, by: str | None = None, seed: int = 0, cut: float | None = None
    ) -> list[DrawnRow]:
        """The next rows to label: drawn at random from above and below a trait's cut, or drawn before and not labelled.

        by    a trait; the first
        seed  another draws other rows
        cut   the score to draw around; the run's threshold

        Raises UsageError for a run that is not finished, or a trait without a threshold.

        >>> rows = run.sample(10, by="evil")
        >>> len(rows), sorted({row.stratum for row in rows})[0]
        (10, 'above')
        """
        from screen.select.sampling import draw, first_trait, with_texts

        return with_texts(self._scan, draw(self._scan, by or first_trait(self._scan), count, seed, cut))

    def precision(self, trait: str | None = None) -> PrecisionAtCut:
        """The share of rows above the cut that are to be dropped, and of the others, from the labels of drawn rows.

        Each share is None until every stratum has a label, else value, low and high (95 %).

        >>> drawn = run.sample(10, by="evil")
        >>> run.precision("evil").flagged.rows, run.precision("evil").flagged.share
        (7, None)
        """
        from screen.select.precision import precision
        from screen.select.sampling import first_trait

        return precision(self._scan, trait or first_trait(self._scan))

    def gate(self, *gates: str, labels: bool = False) -> tuple[GateResult, ...]:
        """What gates come to, one result each: `fails`, and why in `sentence` (docs/gates.md).

        labels  rows that somebody labelled keep are not counted as flagged

        Raises UsageError for a gate that does not parse, or names a trait that the run has not.

        >>> [result.fails for result in run.gate("evil > 1%", "skipped > 1%")]
        [True, False]
        """
        from screen.select.gates.evaluate import evaluate
        from screen.select.gates.figures import Figures
        from screen.select.gates.parser import check_names, parse

        parsed = [parse(text) for text in gates]
        check_names(parsed, self.traits)
        return tuple(evaluate(Figures(self._scan, labels), parsed))

    def _number(self, row: int | str) -> int:
        from screen.select.named import number_of

        return row if isinstance(row, int) else number_of(self._scan, row, by_id=True)

    def drop(
        self, expression: str = "", *, drop_skipped: bool = False, rest: Rest | None = None,
        dataset: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None, labels: bool = False,
        unsure: Rest | None = None,
    ) -> Subset:  # fmt: skip
        """The dataset without the rows that match, to be counted and written: as `screen filter --drop`.

        expression    comparisons of columns of `samples` joined by and, or, not: "evil > run.p99 or flagged"
        drop_skipped  rows that could not be scored go as well
        rest          "keep" or "drop": what becomes of rows that the run did not reach
        dataset       where its files are now, if they were moved
        labels        rows labelled drop go and rows labelled keep stay, whatever the expression says, if there is one
        unsure        "keep" or "drop": what becomes of rows labelled unsure; as the expression says

        Raises UsageError for an expression that says nothing here, a dataset that is not there or has changed.

        >>> less = run.drop("evil > run.p99 or flagged")
        >>> less
        Subset(...)
        >>> less.write(folder / "clean.jsonl").name
        'clean.jsonl'
        """
        from screen.library.settings import paths
        from screen.select.subset import subset

        files = paths(dataset)
        return subset(
            self._scan, expression, drop_skipped=drop_skipped, rest=rest, dataset=files, labels=labels, unsure=unsure
        )

    def keep(
        self, expression: str, *, drop_skipped: bool = True, rest: Rest | None = None,
        dataset: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None, labels: bool = False,
        unsure: Rest | None = None,
    ) -> Subset:  # fmt: skip
        """Only the rows that match: what `drop` with the same expression leaves out.

        >>> run.keep("flagged").counts.kept + run.drop("flagged").counts.kept
        40
        """
        from screen.library.settings import paths
        from screen.select.subset import subset

        files = paths(dataset)
        return subset(
            self._scan, expression, keeping=True, drop_skipped=drop_skipped, rest=rest, dataset=files, labels=labels,
            unsure=unsure,
        )  # fmt: skip

    def export(
        self, kind: Kind, out: str | os.PathLike[str], *, drop: str | None = None, labels: bool = False,
        unsure: Rest | None = None, drop_skipped: bool | None = None, rest: Rest | None = None,
        dataset: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None, force: bool = False,
        weight: float | None = None, inline: bool = False, prompt: str | None = None, trait: str | None = None,
        signed_by: str | None = None, report: bool | None = None,
    ) -> Handover:  # fmt: skip
        """Hand the run over, as `screen export --as` (docs/export.md): "clean", "weights", "inoculation", "audit" or
        "hub". The keywords are its flags, with the same defaults; `drop` is "flagged".

        Raises UsageError for an unfinished run, a place that cannot be written to, a dataset that is not there or has
        changed, InputError for one whose format the kind cannot be written in.

        >>> handed = run.export("weights", folder / "weights.parquet", drop="evil > 20", weight=0.1)
        >>> handed.rows, handed.dropped
        (40, 5)
        """
        from screen.handover.export import export
        from screen.handover.options import ExportOptions
        from screen.library.settings import paths

        options = ExportOptions(
            drop=drop, labels=labels, unsure=unsure, drop_skipped=drop_skipped, rest=rest, dataset=paths(dataset),
            force=force, weight=weight, inline=inline, prompt=prompt, trait=trait, signed_by=signed_by, report=report,
        )  # fmt: skip
        return export(self._scan, kind, Path(out), options)

    def card(self) -> DatasetCard:
        """The run as a dataset card: Markdown with the YAML that a hub reads, and the figures in it.

        >>> run.card().metadata["size_categories"]
        ['n<1K']
        """
        from screen.handover.card import card

        return card(self._scan)

    def reflag(self, *, at: str | None = None, fdr: float | None = None) -> Run:
        """The run, flagged by another percentile or false-discovery rate, on disk as well. No row is scored anew.

        Raises UsageError for a run that is not finished, or was refined by its threshold.

        >>> run.reflag(at="p95").summary.at, run.reflag(at="p99").summary.at
        ('p95', 'p99')
        """
        from screen.library.reflag import reflagged

        reflagged(self.path, at, fdr)
        return open_run(self.path)

    def compare(self, other: Run | str | os.PathLike[str], *, by: str | None = None, rows: int = 5) -> RunComparison:
        """This run beside another: rows by content, means with intervals, rows that crossed the cut (docs/compare.md).

        other  a Run, or its folder
        by     one trait alone; rows  how many rows of each kind are named, a trait

        Raises UsageError where the runs have no trait in common.

        >>> run.compare(run.path).sentence
        'no difference: the same 40 rows'
        """
        from screen.analysis.compare.two_runs import compare_runs

        second = other if isinstance(other, Run) else open_run(other)
        return compare_runs(self._scan, second._scan, by=by, rows=rows)

    def report(
        self, path: str | os.PathLike[str] | None = None, *, top: int = 200, sample: int = 100
    ) -> Path:  # fmt: skip
        """Write the run as one self-contained page, and return its path: as `screen report`.

        path    the file; report.html in the run's folder
        top     rows with the highest scores that are shown, at most
        sample  rows drawn from the others, at most

        Raises UsageError where it cannot be written.

        >>> run.report(folder / "report.html").name
        'report.html'
        """
        from screen_reports.html.report import NAME, make, write

        target = self.path / NAME if path is None else Path(path)
        return write(make(self._scan, near(self.path), top=top, sample=sample), target)

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
