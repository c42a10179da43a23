"""READ FIRST. Two runs beside each other: two versions of a dataset, two models, two sets of vectors.

Rows are matched by the bytes they have, wherever they stand, each as often as it is there; what is left is matched by
the dataset's own ids. Scores are subtracted only where their units are the same; else rows are compared by their places
within each run. Arrays a column at a time: no text is read but ids and the answers of the few rows that are shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from screen.analysis.compare.facts import Fact, facts_of, same_reading, same_units
from screen.analysis.compare.matching import Indices, Keys, RowMatch, match
from screen.analysis.compare.sides import RunSide
from screen.analysis.compare.traits import Matched, TraitComparison, compare_trait
from screen.errors import UsageError, near
from screen.store.scan import Scan
from screen.store.unfinished import unfinished

ROWS = 5


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One side. `unfinished`: how far it is, in words; None where it is done."""

    path: str
    finished: bool
    unfinished: str | None
    rows: int
    scored: int
    skipped: int


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Input rows. same: equal bytes on both sides, `moved` of them at another place and `skipped_in_one` scored on
    one side alone; changed: the same id, other content, or equal bytes that were read otherwise; gone: of the first
    alone; new: of the second alone."""

    same: int
    moved: int
    skipped_in_one: int
    changed: int
    gone: int
    new: int


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs beside each other. `equal`: nothing differs but places of rows and the last places of scores."""

    a: ComparedRun
    b: ComparedRun
    facts: tuple[Fact, ...]
    rows: RowCounts
    traits: tuple[TraitComparison, ...]
    equal: bool
    largest: float | None  # difference of one score, over all traits

    @property
    def sentence(self) -> str:
        """What came out, in one sentence."""
        if self.equal:
            order = ", in another order" if self.rows.moved else ""
            noise = f"; scores differ by {self.largest:.1g} at most" if self.largest else ""
            return f"no difference: the same {self.rows.same:,} rows{order}{noise}"
        counts = (("same", "the same"), ("changed", "changed"), ("gone", "gone"), ("new", "new"))
        parts = [f"{getattr(self.rows, name):,} {word}" for name, word in counts if getattr(self.rows, name)]
        return f"rows: {', '.join(parts) or 'none'}"

    def to_json(self) -> dict[str, object]:
        """As docs/json/compare.schema.json has it."""
        return {"sentence": self.sentence, **asdict(self)}


def compare_runs(first: Scan, second: Scan, *, by: str | None = None, rows: int = ROWS) -> RunComparison:
    """by    one trait alone; rows  how many rows of each kind are named, a trait

    Raises UsageError where the runs have no trait in common, or not the one that is named.
    """
    traits = _traits(first, second, by)
    a, b = RunSide(first), RunSide(second)
    found = _matched_rows(a, b)
    matched = Matched.of(a, b, found)
    compared = tuple(
        compare_trait(a, b, trait, matched, same_units=same_units(a.folder, b.folder, trait), most=rows)
        for trait in traits
    )
    counts = _counts(a, b, found)
    facts = tuple(facts_of(a.folder, b.folder, {t.trait: (t.a.threshold, t.b.threshold) for t in compared}))
    return RunComparison(
        _run(a),
        _run(b),
        facts,
        counts,
        compared,
        equal=not (counts.changed or counts.gone or counts.new or counts.skipped_in_one)
        and set(first.traits) == set(second.traits)
        and all(trait.equal for trait in compared),
        largest=max((t.largest for t in compared if t.largest is not None), default=None),
    )


def _traits(first: Scan, second: Scan, by: str | None) -> list[str]:
    common = [trait for trait in first.traits if trait in second.traits]
    if by is not None and by not in common:
        where = [near(s.path) for s in (first, second) if by not in s.traits]
        raise UsageError(
            f"there is no trait {by!a} in {' or '.join(where)}",
            f"both have {', '.join(common)}" if common else "name runs that have a trait in common",
        )
    if not common:
        names = [f"{near(s.path)} has {', '.join(s.traits) or 'none'}" for s in (first, second)]
        raise UsageError(f"the runs have no trait in common: {'; '.join(names)}", "compare runs of the same traits")
    return common if by is None else [by]


def _matched_rows(a: RunSide, b: RunSide) -> RowMatch:
    none = np.zeros(len(a.numbers), dtype=np.uint64), np.zeros(len(b.numbers), dtype=np.uint64)
    reading = (a.reading, b.reading) if same_reading(a.folder, b.folder) else none

    def ids(left_a: Indices, left_b: Indices) -> tuple[Keys, Keys]:
        texts = pa.chunked_array([a.ids(left_a), b.ids(left_b)], pa.string()).combine_chunks()
        codes = texts.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.float64)
        own = np.arange(1, len(codes) + 1)
        numbers = np.where(np.isnan(codes), -own, np.nan_to_num(codes)).astype(np.int64)
        return numbers[: len(left_a)], numbers[len(left_a) :]

    return match((a.hashes, b.hashes), reading, ids)


def _counts(a: RunSide, b: RunSide, rows: RowMatch) -> RowCounts:
    return RowCounts(
        same=len(rows.same.first),
        moved=int((a.numbers[rows.same.first] != b.numbers[rows.same.second]).sum()),
        skipped_in_one=int((a.scored[rows.same.first] != b.scored[rows.same.second]).sum()),
        changed=len(rows.changed.first),
        gone=len(rows.gone),
        new=len(rows.new),
    )


def _run(side: RunSide) -> ComparedRun:
    finished = side.folder.finished
    n, scored = len(side.numbers), int(side.scored.sum())
    how_far = None if finished else unfinished(side.folder)[0]
    return ComparedRun(near(side.scan.path), finished, how_far, n, scored, n - scored)
