"""How sure a cut is: the share of flagged rows that are to be dropped, and of the others, from labels of drawn rows.

Only rows that `sample` drew count, by the strata that they were drawn from, and rows that had a label before the first
draw, which are known. Each stratum's interval is the exact one of a draw without replacement; strata are joined by
square-and-add and rounded outward to whole rows (docs/labels.md has its measured coverage).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from screen.errors import UsageError
from screen.select.sampling import design, draws_around
from screen.select.scores import threshold_of
from screen.stats import Interval, hypergeometric_interval, square_and_add
from screen.store.labels.record import DrawnStratum, LabelRecord
from screen.store.scan import Scan


@dataclass(frozen=True, slots=True)
class StratumCounts:
    """Labels of one stratum. `rows`: that could be drawn; `known_*`: rows beside them that had a label before."""

    rows: int
    labelled: int
    drop: int
    unsure: int = 0
    known_drop: int = 0
    known_keep: int = 0
    known_unsure: int = 0

    @property
    def whole(self) -> int:
        return self.rows + self.known_drop + self.known_keep + self.known_unsure


@dataclass(frozen=True, slots=True)
class DropShare:
    """The share of rows on one side of a cut that are to be dropped. None: the labels do not tell yet.

    rows      on this side, that have a score
    drawn     at random from them; labelled  of those, with any label; unsure  of those
    drop      labelled drop, of those
    known     rows that had a label before the first draw: counted as they are
    """

    rows: int
    drawn: int
    labelled: int
    drop: int
    unsure: int
    known: int
    share: Interval | None


@dataclass(frozen=True, slots=True)
class PrecisionAtCut:
    """What labels say of one trait's cut.

    cut        that rows were drawn around; None where none were drawn
    current    whether that is the run's threshold now
    flagged    rows above the cut: the share is the precision; None without a draw
    unflagged  the others: the share of what the cut misses
    chosen     rows with a label that no draw for the trait asked for: no random sample, and in no share
    """

    trait: str
    cut: float | None
    current: bool
    flagged: DropShare | None
    unflagged: DropShare | None
    chosen: int


def precision(scan: Scan, trait: str) -> PrecisionAtCut:
    """By the latest draw for the trait. A label counts for it where it is of the trait, or of the whole row.

    Raises UsageError for a trait that the run has not, StoreError for a damaged file of labels.
    """
    if trait not in scan.traits:
        raise UsageError(f"the run has no trait {trait!a}", f"its traits are {', '.join(scan.traits)}")
    record = scan.labels
    labelled = {row for row in record.current if record.of(row, trait)}
    last = next((draw for draw in reversed(record.draws) if draw.trait == trait), None)
    if last is None:
        return PrecisionAtCut(trait, None, False, None, None, len(labelled))
    strata = design(draws_around(record, trait, last.cut, last.away))
    mine = [draw for draw in record.draws if draw.trait == trait]
    asked = {row for draw in mine for stratum in draw.strata for row in (*stratum.drawn, *stratum.known)}
    above = [s for s in strata if s.low is not None and s.low >= 0]
    below = [s for s in strata if s not in above]
    return PrecisionAtCut(
        trait=trait,
        cut=last.cut,
        current=threshold_of(scan, trait).value == last.cut,
        flagged=_side(above, record, trait),
        unflagged=_side(below, record, trait),
        chosen=len(labelled - asked),
    )


def _side(strata: Sequence[DrawnStratum], record: LabelRecord, trait: str) -> DropShare:
    words = [record.of(row, trait) for stratum in strata for row in stratum.drawn]
    return DropShare(
        rows=sum(stratum.rows for stratum in strata),
        drawn=len(words),
        labelled=len(words) - words.count(None),
        drop=words.count("drop"),
        unsure=words.count("unsure"),
        known=sum(len(stratum.known) for stratum in strata),
        share=share_of([_counts(stratum, record, trait) for stratum in strata]),
    )


def _counts(stratum: DrawnStratum, record: LabelRecord, trait: str) -> StratumCounts:
    known = [record.of(row, trait) for row in stratum.known]
    drawn = [word for row in stratum.drawn if (word := record.of(row, trait))]
    drop, keep = known.count("drop"), known.count("keep")
    return StratumCounts(
        rows=stratum.rows - len(known),
        labelled=len(drawn),
        drop=drawn.count("drop"),
        unsure=drawn.count("unsure"),
        known_drop=drop,
        known_keep=keep,
        known_unsure=len(known) - drop - keep,
    )


def share_of(strata: Sequence[StratumCounts]) -> Interval | None:
    """The share of rows to be dropped, over strata; None where one of them has no label, or there are no rows.

    Who is unsure may mean either: the low end takes it as keep, the high end as drop, the figure itself as half.
    """
    rows = sum(stratum.whole for stratum in strata)
    if not rows or any(stratum.rows and not stratum.labelled for stratum in strata):
        return None
    total = square_and_add([_to_drop(stratum) for stratum in strata])
    least = sum(stratum.drop + stratum.known_drop for stratum in strata)
    most = rows - sum(stratum.labelled - stratum.drop - stratum.unsure + stratum.known_keep for stratum in strata)
    low, high = max(math.floor(total.low + 1e-9), least), min(math.ceil(total.high - 1e-9), most)
    return Interval(total.value / rows, low / rows, high / rows)


def _to_drop(stratum: StratumCounts) -> Interval:
    """How many of a stratum's rows are to be dropped."""
    seen, unsure, size = stratum.drop, stratum.unsure, stratum.labelled
    value = stratum.rows * (seen + unsure / 2) / size if size else 0.0
    low, _ = hypergeometric_interval(seen, size, stratum.rows)
    _, high = hypergeometric_interval(seen + unsure, size, stratum.rows)
    known = stratum.known_drop
    return Interval(known + stratum.known_unsure / 2 + value, known + low, known + stratum.known_unsure + high)


def sentences(found: PrecisionAtCut) -> list[str]:
    """What a person wants to know of it, one sentence each; empty where no row has a label and none was drawn."""
    said = []
    if found.flagged is not None and found.unflagged is not None:
        above = _sentence(found.flagged, f"of {_rows(found.flagged.rows)} above {found.cut:+.4g} on {found.trait}")
        below = _sentence(found.unflagged, f"of {_rows(found.unflagged.rows)} below or at it")
        said += [*above, *below]
        if not found.current:
            said.append(f"{found.trait} is flagged by another threshold; `screen sample` draws around that one")
    if found.chosen:
        were = "was" if found.chosen == 1 else "were"
        said.append(f"{_rows(found.chosen)} labelled that {were} not drawn for {found.trait}: in none of these shares")
    return said


def all_sentences(found: Sequence[PrecisionAtCut]) -> list[str]:
    """Of the traits that rows were drawn for; where none were drawn for any, that labels alone do not tell."""
    drawn = [one for one in found if one.cut is not None]
    labelled = max((one.chosen for one in found), default=0)
    if not drawn and labelled:
        return [f"{_rows(labelled)} labelled by hand: no random sample, so no precision; draw with `screen sample`"]
    return [sentence for one in drawn for sentence in sentences(one)]


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _sentence(side: DropShare, what: str) -> list[str]:
    if not side.rows:
        return [what.replace("of 0 rows", "no row lies")]
    done = f"{side.labelled} of {side.drawn} drawn rows labelled"
    known = f", {side.known} known before" if side.known else ""
    unsure = f", {side.unsure} unsure" if side.unsure else ""
    if side.share is None:
        return [f"{what}: not known yet, {done}{known}{unsure}"]
    value, low, high = (f"{100 * end:.1f}" for end in side.share)
    return [f"{what}, {value} % ({low} to {high}) are to be dropped: {done}{known}{unsure}"]


def as_object(found: PrecisionAtCut) -> dict[str, object]:
    """Plain JSON: shares as objects with value, low and high."""
    made = asdict(found)
    for side in ("flagged", "unflagged"):
        own: DropShare | None = getattr(found, side)
        if own is not None:
            made[side]["share"] = own.share._asdict() if own.share is not None else None
    return made
