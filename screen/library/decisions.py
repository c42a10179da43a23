"""What is decided of a run: labels, precision, gates, rows dropped or kept, what is handed over. `Run` has it all.

The examples are of the first 40 rows of examples/support-chats.jsonl; tests execute them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from screen.errors import near
from screen.store.scan import Scan

if TYPE_CHECKING:
    import polars as pl

    from screen.analysis.compare.two_runs import RunComparison
    from screen.handover.card import DatasetCard
    from screen.handover.options import Handover, Kind
    from screen.select.gates.evaluate import GateResult
    from screen.select.precision import PrecisionAtCut
    from screen.select.sampling import DrawnRow
    from screen.select.subset import Rest, Subset
    from screen.store.labels.record import Word


class Decisions:
    """The part of `Run` that a decision is made with. Reads the run, and writes labels and what is asked for alone."""

    _scan: Scan
    path: Path
    traits: tuple[str, ...]
    finished: bool

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

    def compare(
        self, other: Decisions | str | os.PathLike[str], *, by: str | None = None, rows: int = 5
    ) -> RunComparison:
        """This run beside another: rows by content, means with intervals, rows that crossed the cut (docs/compare.md).

        other  a Run, or its folder
        by     one trait alone; rows  how many rows of each kind are named, a trait

        Raises UsageError where the runs have no trait in common.

        >>> run.compare(run.path).sentence
        'no difference: the same 40 rows'
        """
        from screen.analysis.compare.two_runs import compare_runs
        from screen.store.scan import read_scan

        second = other._scan if isinstance(other, Decisions) else read_scan(Path(other))
        return compare_runs(self._scan, second, by=by, rows=rows)

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
