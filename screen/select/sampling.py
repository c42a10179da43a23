"""Rows to label that tell most: drawn at random from strata around a trait's cut, so that what their labels say can be
said of all rows (screen/select/precision.py). A draw is on record beside the labels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from screen.errors import UsageError, near
from screen.select.scores import score_column, threshold_away_of, threshold_of
from screen.select.strata import RowMargins, allocate, margins, strata_around
from screen.store.labels.file import append
from screen.store.labels.record import Draw, DrawnStratum, LabelRecord
from screen.store.scan import Scan
from screen.store.sql.views import quoted
from screen.store.unfinished import unfinished


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """A row to label. `probability`: with which the draws so far took rows of its stratum."""

    row: int
    id: str | None
    stratum: str
    score: float
    probability: float
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class StratumState:
    """A stratum after a draw: its rows; known before the first draw; drawn so far; drawn and labelled."""

    name: str
    low: float | None
    high: float | None
    rows: int
    known: int
    drawn: int
    labelled: int
    probability: float


@dataclass(frozen=True, slots=True)
class RowsToLabel:
    """What to look at next, by row: its score and the name of its stratum, in row order.

    unscored  rows without a score of the trait, which no draw can take
    """

    trait: str
    cut: float
    seed: int
    strata: tuple[StratumState, ...]
    rows: Mapping[int, tuple[float, str]]
    unscored: int


def first_trait(scan: Scan) -> str:
    """The trait that is meant where none is named. Raises UsageError for a run without traits."""
    if not scan.traits:
        raise UsageError(f"{near(scan.path)} has no traits", "run it with --vectors")
    return scan.traits[0]


def draw(scan: Scan, trait: str, count: int, seed: int = 0, cut: float | None = None) -> RowsToLabel:
    """The next `count` rows to label for a trait: those drawn with this seed that wait for a label, then new ones.

    Half from above the cut and half from below, where both have as many. cut: None is the run's own threshold.

    Raises UsageError for a run that is not finished, a trait without scores or without a cut, a folder that cannot be
    written to.
    """
    if not scan.folder.finished:
        raise UsageError(*unfinished(scan.folder))
    if trait not in scan.traits:
        raise UsageError(f"the run has no trait {trait!a}", f"its traits are {', '.join(scan.traits)}")
    own = threshold_of(scan, trait).value
    value = own if cut is None else cut
    if value is None:
        raise UsageError(f"{trait} has no threshold to draw around", "name a cut: --cut 4.3")
    away = threshold_away_of(scan, trait) if value == own else None
    space = margins(scan, trait, value, away)
    if not len(space.rows):
        raise UsageError(f"no row of {near(scan.path)} has a score of {trait}", "see why: `screen status RUN`")
    record = scan.labels
    earlier = draws_around(record, trait, value, away)
    frame = earlier[0].strata if earlier else strata_around(space, record, trait)
    waiting = _waiting(earlier, record, seed)
    if len(waiting) < count:
        done = {row for s in design(earlier) for row in s.drawn if record.of(row, trait)}
        taken = _draw(space, record, trait, frame, done | set(waiting), count - len(waiting), seed)
        if any(stratum.drawn for stratum in taken):
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            append(scan.folder, [Draw(trait, value, away, seed, taken, now)])
            earlier = draws_around(scan.labels, trait, value, away)
    states = [_state(stratum, record, trait) for stratum in (design(earlier) or frame)]
    listed = _fewer(_waiting(earlier, record, seed), count, seed)
    unscored = sum(e.rows for e in scan.folder.published.values()) - len(space.rows)
    scores = space.scores[np.searchsorted(space.rows, list(listed))].tolist()
    rows = {row: (score, name) for (row, name), score in zip(listed.items(), scores, strict=True)}
    return RowsToLabel(trait, value, seed, tuple(states), rows, unscored)


def draws_around(record: LabelRecord, trait: str, cut: float, away: float | None) -> list[Draw]:
    """The draws that share their strata."""
    return [draw for draw in record.draws if (draw.trait, draw.cut, draw.away) == (trait, cut, away)]


def design(draws: Sequence[Draw]) -> tuple[DrawnStratum, ...]:
    """The strata that these draws share, each with all rows that were ever drawn from it; empty without a draw."""
    if not draws:
        return ()
    made = []
    for number, stratum in enumerate(draws[0].strata):
        drawn = dict.fromkeys(row for draw in draws for row in draw.strata[number].drawn)
        made.append(replace(stratum, drawn=tuple(drawn)))
    return tuple(made)


def _waiting(draws: Sequence[Draw], record: LabelRecord, seed: int) -> dict[int, str]:
    """Rows that were drawn with this seed and have no label yet, by row, each with its stratum."""
    drawn = {row: s.name for draw in draws if draw.seed == seed for s in draw.strata for row in s.drawn}
    return {row: name for row, name in sorted(drawn.items()) if record.of(row, draws[0].trait) is None}


def _draw(
    space: RowMargins, record: LabelRecord, trait: str, frame: Sequence[DrawnStratum], taken: set[int], count: int,
    seed: int,
) -> tuple[DrawnStratum, ...]:  # fmt: skip
    """The strata with the rows that this draw adds, so that `count` of them have no label: none of those `taken`."""
    spare: list[list[int]] = []
    for number, stratum in enumerate(frame):
        out = np.array(sorted(taken | set(stratum.known)), dtype=np.int64)
        rows = np.setdiff1d(space.rows[space.inside(stratum)], out, assume_unique=True)
        spare.append(np.random.default_rng([seed, len(taken), number]).permutation(rows).tolist())
    labelled = {row for row in record.current if record.of(row, trait)}
    room = [len(rows) - len(labelled.intersection(rows)) for rows in spare]
    wanted = allocate(frame, room, count)
    return tuple(
        replace(stratum, drawn=tuple(_until(rows, number, labelled)))
        for stratum, rows, number in zip(frame, spare, wanted, strict=True)
    )


def _until(rows: Sequence[int], number: int, labelled: Collection[int]) -> list[int]:
    """The first rows, until `number` of them have no label: one that was labelled unasked is drawn like any other."""
    made: list[int] = []
    for row in rows:
        if not number:
            break
        made.append(row)
        number -= row not in labelled
    return made


def _state(stratum: DrawnStratum, record: LabelRecord, trait: str) -> StratumState:
    of_frame = stratum.rows - len(stratum.known)
    return StratumState(
        name=stratum.name,
        low=stratum.low,
        high=stratum.high,
        rows=stratum.rows,
        known=len(stratum.known),
        drawn=len(stratum.drawn),
        labelled=sum(record.of(row, trait) is not None for row in stratum.drawn),
        probability=len(stratum.drawn) / of_frame if of_frame else 0.0,
    )


def _fewer(waiting: dict[int, str], count: int, seed: int) -> dict[int, str]:
    """`count` of the rows that wait, any of them as likely."""
    rows = np.array(list(waiting), dtype=np.int64)
    kept = np.random.default_rng([seed, len(rows)]).permutation(rows)[:count]
    return {row: waiting[row] for row in sorted(kept.tolist())}


def with_texts(scan: Scan, found: RowsToLabel) -> list[DrawnRow]:
    """The rows with the id and the texts of their highest sample."""
    if not found.rows:
        return []
    probabilities = {stratum.name: stratum.probability for stratum in found.strata}
    numbers = ", ".join(map(str, found.rows))
    text = f'select "row", id, {quoted(score_column(scan, found.trait))} as score, prompt, answer from samples'
    samples = scan.sql(f'{text} where "row" in ({numbers})', rows=list(found.rows)).to_pylist()
    made = []
    for row, (score, stratum) in found.rows.items():
        own = next(s for s in samples if s["row"] == row and s["score"] == score)
        texts = (own["prompt"] or "", own["answer"] or "")
        made.append(DrawnRow(row, own["id"], stratum, score, probabilities[stratum], *texts))
    return made
