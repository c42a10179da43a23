"""What gates came to on one run, gathered for whoever prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from screen.scoring.findings.flags import Flagging
from screen.select.gates.evaluate import GateResult
from screen.select.gates.figures import Figures
from screen.select.labels import counts
from screen.select.scores import thresholds_of
from screen.store.unfinished import unfinished
from screen_reports.gates.rows import FailingRows, failing_rows
from screen_reports.text import plural


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """`run` as it was given; `unfinished`: how far a run is that is not finished, else "", and `finish` it how.

    limited     the rows that --limit left to the run, in words; else ""
    rows_total  None where the run does not say
    kept        rows that somebody labelled keep; None where labels are not asked for
    """

    run: str
    unfinished: str
    finish: str
    limited: str
    rows: int
    rows_total: int | None
    dataset: tuple[str, ...]
    results: tuple[GateResult, ...]
    failing: tuple[FailingRows, ...]
    flags: dict[str, Flagging]
    kept: int | None

    @property
    def passed(self) -> bool:
        return not any(result.fails for result in self.results)

    @property
    def headline(self) -> str:
        """The first line: how far an unfinished run is, or how many gates fail."""
        return f"{self.unfinished}; no gate passes" if self.unfinished else f"{self.run}{self.limited}: {self.counted}"

    @property
    def counted(self) -> str:
        fails = sum(result.fails for result in self.results)
        if not fails:
            return f"{plural(len(self.results), 'gate')}: passed"
        return f"{fails:,} of {plural(len(self.results), 'gate')} {'fails' if fails == 1 else 'fail'}"


def gate_outcome(figures: Figures, run: str, results: Sequence[GateResult], most: int) -> GateOutcome:
    """`most`: failing rows of a trait."""
    scan = figures.scan
    finished = scan.folder.finished
    message, following = ("", "") if finished else unfinished(scan.folder)
    described = scan.folder.facts.get("dataset")
    return GateOutcome(
        run=run,
        unfinished=message,
        finish=following,
        limited=limited_words(scan.folder.facts.get("spec", {}).get("limit")),
        rows=sum(entry.rows for entry in scan.folder.published.values()),
        rows_total=described.get("rows") if described else None,
        dataset=tuple(scan.folder.facts.get("spec", {}).get("dataset", ())),
        results=tuple(results),
        failing=tuple(failing_rows(figures, results, most)),
        flags=thresholds_of(scan) if finished else {},
        kept=None if figures.labels is None else counts(scan)["keep"],
    )


def limited_words(limit: Sequence[int | None] | None) -> str:
    first, end = limit or (0, None)
    if end is not None:
        return f" (rows {first:,} to {end - 1:,} alone, by --limit)"
    return f" (rows from {first:,} on alone, by --limit)" if first else ""
