"""One trait of two runs: means, flags, and the rows that crossed the cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from screen.analysis.compare.matching import Pairs, RowMatch
from screen.analysis.compare.means import NOTHING, Estimate, difference, mean
from screen.analysis.compare.sides import RunSide
from screen.stats import spearman, wilson

Float32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
NOISE = 1e-3  # of the scores' standard deviation: scores that are as near count as equal


@dataclass(frozen=True, slots=True)
class TraitSide:
    """A trait in one run. threshold: the run's own; percentiles and flags go by the run's own scores."""

    n: int
    mean: Estimate
    threshold: float | None
    threshold_away: float | None
    rule: str
    flagged: int


@dataclass(frozen=True, slots=True)
class MovedSample:
    """A sample that both runs have, on different sides of their cuts. Percentiles are within each run."""

    a_row: int
    b_row: int
    id: str | None
    variant: str | None
    content: Literal["same", "changed"]
    a: float
    b: float
    a_percentile: float
    b_percentile: float


@dataclass(frozen=True, slots=True)
class NewFlag:
    """A flagged sample of a row that the first run has not."""

    row: int
    id: str | None
    variant: str | None
    score: float
    percentile: float


@dataclass(frozen=True, slots=True)
class FlaggedShare:
    """`rows`: the flagged samples of `of`, and the share's interval."""

    flagged: int
    of: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Crossing:
    """How many samples crossed the cut one way, the biggest movers first."""

    count: int
    rows: tuple[MovedSample, ...]


@dataclass(frozen=True, slots=True)
class TraitComparison:
    """One trait of two runs.

    same_units   whether scores can be subtracted: one model, vector, layer and kind of baseline
    difference   of the datasets' means, second less first; nothing where the units differ
    matched      of the same rows, second less first: n of them, the mean, and the largest there is of one
    spearman     of the same rows' scores; None where fewer than two have one, or they have no spread
    """

    trait: str
    same_units: bool
    a: TraitSide
    b: TraitSide
    difference: Estimate
    matched_samples: int
    matched: Estimate
    largest: float | None
    spread: float | None
    spearman: float | None
    over: Crossing
    under: Crossing
    new: FlaggedShare
    new_rows: tuple[NewFlag, ...]
    gone: FlaggedShare

    @property
    def equal(self) -> bool:
        """Whether nothing differs but in the last places of scores."""
        if not self.same_units or self.over.count or self.under.count or self.a.n != self.b.n:
            return False
        near = NOISE * (self.spread or 0.0)
        limits = (self.a.threshold, self.b.threshold), (self.a.threshold_away, self.b.threshold_away)
        return (self.largest or 0.0) <= near and all(_alike(*pair, near) for pair in limits)


def _alike(first: float | None, second: float | None, near: float) -> bool:
    return first == second or (first is not None and second is not None and abs(first - second) <= near)


@dataclass(frozen=True)
class Matched:
    """The samples of two runs: pairs of the same content, pairs that changed, and which rows are of one run alone."""

    same: Pairs
    changed: Pairs
    gone: Bool
    new: Bool

    @classmethod
    def of(cls, a: RunSide, b: RunSide, rows: RowMatch) -> Matched:
        gone, new = (np.zeros(len(side.numbers), dtype=bool) for side in (a, b))
        gone[rows.gone], new[rows.new] = True, True
        return cls(_sides(a, b, rows.same), _sides(a, b, rows.changed), gone[a.samples.at], new[b.samples.at])

    def clusters(self, a: RunSide, b: RunSide) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """A key a sample: its prompt; of a sample of the second run that the first has, that one's prompt."""
        keys = b.samples.prompt.copy()
        for found in (self.same, self.changed):
            keys[found.second] = a.samples.prompt[found.first]
        return a.samples.prompt, keys


def _sides(a: RunSide, b: RunSide, rows: Pairs) -> Pairs:
    """SampleColumns of matched rows, side by side."""
    keys = []
    for side, matched in zip((a, b), rows, strict=True):
        place = np.full(len(side.numbers), -1, dtype=np.int64)
        place[matched] = np.arange(len(matched))
        own = place[side.samples.at]
        keys.append(np.where(own >= 0, own * 3 + side.samples.side, -1))
    in_a, in_b = (np.flatnonzero(k >= 0) for k in keys)
    _, at_a, at_b = np.intersect1d(keys[0][in_a], keys[1][in_b], assume_unique=True, return_indices=True)
    return Pairs(in_a[at_a], in_b[at_b])


def compare_trait(
    a: RunSide, b: RunSide, trait: str, matched: Matched, *, same_units: bool, most: int
) -> TraitComparison:
    """`most`: how many rows of each kind are named."""
    scores = a.scores(trait), b.scores(trait)
    flags = a.flags(trait, scores[0]), b.flags(trait, scores[1])
    places = _percentiles(scores[0]), _percentiles(scores[1])
    known = ~np.isnan(scores[0]), ~np.isnan(scores[1])
    both = _known(matched.same, known)
    clusters = matched.clusters(a, b)
    counted = tuple(k & s.samples.toward for k, s in zip(known, (a, b), strict=True))
    moved = scores[1][both.second].astype(np.float64) - scores[0][both.first]
    over, under = _crossings(a, b, matched, known, flags, scores, places, same_units, most)
    new = np.flatnonzero(matched.new & known[1])
    gone = np.flatnonzero(matched.gone & known[0])
    return TraitComparison(
        trait=trait,
        same_units=same_units,
        a=_side(a, trait, scores[0], flags[0], counted[0]),
        b=_side(b, trait, scores[1], flags[1], counted[1]),
        difference=difference(
            scores[0][counted[0]], scores[1][counted[1]], (clusters[0][counted[0]], clusters[1][counted[1]])
        ) if same_units else NOTHING,
        matched_samples=len(both.first),
        matched=mean(moved, clusters[0][both.first]) if same_units else NOTHING,
        largest=float(np.abs(moved).max()) if same_units and len(moved) else None,
        spread=float(scores[0][known[0]].std(dtype=np.float64)) if same_units and known[0].any() else None,
        spearman=_correlation(scores[0][both.first], scores[1][both.second]),
        over=over,
        under=under,
        new=_share(flags[1][new]),
        new_rows=_new_flags(b, new[flags[1][new]], scores[1], places[1], most),
        gone=_share(flags[0][gone]),
    )  # fmt: skip


def _side(side: RunSide, trait: str, scores: Float32, flags: Bool, counted: Bool) -> TraitSide:
    """The mean as the run's summary has it; of a run that goes on, of its rows so far."""
    value, away, rule = side.limits(trait, scores)
    record = side.mean_on_record(trait)
    if record is None:
        middle = mean(scores[counted], side.samples.prompt[counted])
    else:
        middle = Estimate(record.get("mean"), record.get("low"), record.get("high"))
    return TraitSide(int((~np.isnan(scores)).sum()), middle, value, away, rule, int(flags.sum()))


def _crossings(
    a: RunSide,
    b: RunSide,
    matched: Matched,
    known: tuple[Bool, Bool],
    flags: tuple[Bool, Bool],
    scores: tuple[Float32, Float32],
    places: tuple[Floats, Floats],
    same_units: bool,
    most: int,
) -> tuple[Crossing, Crossing]:
    """(over the cut in the second run alone, in the first alone)."""
    same, changed = _known(matched.same, known), _known(matched.changed, known)
    first, second = (np.concatenate(side) for side in zip(same, changed, strict=True))
    is_same = np.arange(len(first)) < len(same.first)
    far = (
        scores[1][second].astype(np.float64) - scores[0][first] if same_units else places[1][second] - places[0][first]
    )
    before, after = flags[0][first], flags[1][second]
    made = []
    for crossed in (after & ~before, before & ~after):
        at = np.flatnonzero(crossed)
        shown = at[np.argsort(-np.abs(far[at]), kind="stable")[:most]]
        pairs = Pairs(first[shown], second[shown])
        made.append(Crossing(len(at), _moved(a, b, pairs, is_same[shown], scores, places)))
    return made[0], made[1]


def _moved(
    a: RunSide, b: RunSide, pairs: Pairs, same: Bool, scores: tuple[Float32, Float32], places: tuple[Floats, Floats]
) -> tuple[MovedSample, ...]:
    rows = a.samples.at[pairs.first], b.samples.at[pairs.second]
    ids = b.ids(rows[1]).to_pylist() if len(rows[1]) else []
    return tuple(
        MovedSample(
            a_row=int(a.numbers[rows[0][i]]),
            b_row=int(b.numbers[rows[1][i]]),
            id=ids[i],
            variant=variant_of(b, pairs.second[i]),
            content="same" if same[i] else "changed",
            a=float(scores[0][pairs.first[i]]),
            b=float(scores[1][pairs.second[i]]),
            a_percentile=float(places[0][pairs.first[i]]),
            b_percentile=float(places[1][pairs.second[i]]),
        )
        for i in range(len(ids))
    )


def _new_flags(
    b: RunSide, over: npt.NDArray[np.intp], scores: Float32, places: Floats, most: int
) -> tuple[NewFlag, ...]:
    shown = over[np.argsort(-np.abs(scores[over]), kind="stable")[:most]]
    rows = b.samples.at[shown]
    ids = b.ids(rows).to_pylist() if len(rows) else []
    return tuple(
        NewFlag(int(b.numbers[r]), ids[i], variant_of(b, s), float(scores[s]), float(places[s]))
        for i, (r, s) in enumerate(zip(rows, shown, strict=True))
    )


def variant_of(side: RunSide, sample: np.intp) -> str | None:
    return (None, "chosen", "rejected")[side.samples.side[sample]]


def _known(found: Pairs, known: tuple[Bool, Bool]) -> Pairs:
    """Pairs with a score on both sides."""
    return found.where(known[0][found.first] & known[1][found.second])


def _percentiles(scores: Float32) -> Floats:
    """(n,) the share of the run's scores below each, in percent; NaN where there is none."""
    out = np.full(len(scores), np.nan)
    known = ~np.isnan(scores)
    ordered = np.sort(scores[known])
    out[known] = 100 * np.searchsorted(ordered, scores[known], side="left") / max(len(ordered), 1)
    return out


def _correlation(first: Float32, second: Float32) -> float | None:
    value = spearman(first, second) if len(first) > 1 else float("nan")
    return None if np.isnan(value) else value


def _share(flags: Bool) -> FlaggedShare:
    k, n = int(flags.sum()), len(flags)
    return FlaggedShare(k, n, *wilson(k, n))
