"""The rows that make gates fail, with their places: highest scores first, skipped rows in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow.compute as pc

from screen.foreign import JsonObject
from screen.select.gates.evaluate import GateResult, Outcome
from screen.select.gates.figures import Bools, Figures
from screen.store.folder import read_published
from screen.store.scan import Scan
from screen_reports.queries import windows

SKIPPED = "skipped"
EXCERPT = 200  # characters of an answer


@dataclass(frozen=True, slots=True)
class FailingRow:
    """`line` from 1, None in a file without lines; `sha256` of the row's bytes, 16 hex digits, "" where none is known.

    text  the answer from its highest window on, or why the row was skipped; not made safe to print
    """

    row: int
    id: str | None
    variant: str | None
    file: str
    line: int | None
    sha256: str
    score: float | None
    text: str


@dataclass(frozen=True, slots=True)
class FailingRows:
    """`total` of one trait, of which `rows` are here; the rows that were skipped where `trait` is None."""

    trait: str | None
    total: int
    rows: tuple[FailingRow, ...]

    @property
    def name(self) -> str:
        return SKIPPED if self.trait is None else self.trait


def failing_rows(figures: Figures, results: Sequence[GateResult], most: int) -> list[FailingRows]:
    """At most `most` rows a trait, of gates that fail because of rows; each sample once, whichever gates it fails."""
    wanted: dict[str, Bools] = {}
    skipped = False
    for outcome in (o for result in results for o in result.reasons):
        if not _too_high(outcome):
            continue
        if outcome.figure.trait is None:
            skipped = True
            continue
        trait = outcome.figure.trait
        mask = _samples(figures, outcome)
        wanted[trait] = wanted[trait] | mask if trait in wanted else mask
    found = [_of_trait(figures, trait, mask, most) for trait, mask in wanted.items()]
    found += [_skipped(figures.scan, most)] if skipped else []
    return [rows for rows in found if rows.total]


def to_blame(result: GateResult) -> set[str | None]:
    """The traits whose rows make a gate fail; None: rows that were skipped."""
    return {outcome.figure.trait for outcome in result.reasons if _too_high(outcome)}


def _too_high(outcome: Outcome) -> bool:
    """Whether rows can be the reason: a figure above its limit, or the verdict that rows stand out."""
    if outcome.measured is None:
        return False
    if outcome.figure.kind == "verdict":
        return outcome.measured.value == "review"
    return outcome.holds == (outcome.op in (">", ">="))


def _samples(figures: Figures, outcome: Outcome) -> Bools:
    """(n,) bool: the flagged samples; of the highest score those above its limit."""
    samples = figures.samples(outcome.figure.trait or "")
    if outcome.figure.kind == "max":
        assert isinstance(outcome.limit, int | float)
        over = samples.scores >= outcome.limit if outcome.op == ">=" else samples.scores > outcome.limit
        return np.asarray(over & (samples.signs > 0) & ~samples.left_out)
    if outcome.figure.kind == "group":
        return samples.flagged & figures.inside(outcome.figure.group or "")
    return samples.flagged


def _of_trait(figures: Figures, trait: str, mask: Bools, most: int) -> FailingRows:
    samples = figures.samples(trait)
    at = np.flatnonzero(mask)
    at = at[np.lexsort((samples.rows[at], -samples.scores[at].astype(np.float64) * samples.signs[at]))][:most]
    numbers = sorted(set(samples.rows[at].tolist()))
    if not numbers:
        return FailingRows(trait, 0, ())
    places = {(r["row"], r["variant"]): r for r in _places(figures.scan, numbers)}
    excerpts = windows(figures.scan, trait, numbers)
    variants = figures.variants()
    rows = []
    for i in at.tolist():
        key = int(samples.rows[i]), variants[i].as_py()
        excerpt = excerpts[key].text if key in excerpts else ""
        rows.append(FailingRow(**places[key], score=float(samples.scores[i]), text=excerpt[:EXCERPT]))
    return FailingRows(trait, int(mask.sum()), tuple(rows))


def _skipped(scan: Scan, most: int) -> FailingRows:
    rows = []
    for r in islice(_skips(scan), most):
        text = f"{r['code']}: {r['message']}"
        rows.append(FailingRow(r["row"], None, None, r["file"], r["line"], r["sha256"], None, text))
    return FailingRows(None, int(scan.summary["skipped"]), tuple(rows))


def _places(scan: Scan, rows: list[int]) -> Iterator[JsonObject]:
    """Where these rows stand in their files, an object a sample."""
    wanted = np.array(rows)
    columns = ["row", "variant", "id", "file", "line", "sha256"]
    for entry in scan.folder.published.values():
        here = wanted[(wanted >= entry.first_row) & (wanted < entry.end_row)].tolist()
        if here:
            path = scan.folder.whole(entry.files["scores"])
            yield from read_published(path, columns=columns, filters=pc.field("row").isin(here)).to_pylist()


def _skips(scan: Scan) -> Iterator[JsonObject]:
    """The rows that could not be scored, in their order."""
    columns = ["row", "file", "line", "sha256", "code", "message"]
    for entry in sorted(scan.folder.published.values(), key=lambda e: e.first_row):
        if "skipped" in entry.files:
            yield from read_published(scan.folder.whole(entry.files["skipped"]), columns=columns).to_pylist()
