"""Whether a trait says more of a dataset than directions that mean nothing do (METHOD section 4).

Trait and control directions are measured with the same ruler: how clean rows score along each. The ruler comes from a
card or a reference set, so that no share of planted rows in the data at hand moves it; where there is none, the ruler
is the run's own median and spread, and the comparison says so (`scale`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from screen.scoring.findings.flags import TraitReference
from screen.scoring.findings.lengths import without_length
from screen.scoring.findings.ruler import Ruler
from screen.scoring.findings.significance import exceeding
from screen.stats import Floating, auroc, share_below, spearman
from screen.vectors.controls import effective

Float64 = npt.NDArray[np.float64]
TOP_ROWS = 5  # how far the top five rows reach is the upper tail (more where the reference has fewer rows than the
TOP_SHARE = 0.01  # data: as large a share as five of its rows), or the top 1 %: whichever stands out more
STANDS_OUT = 3.0  # standard deviations of the controls, and above every one of them
_MEDIAN_VARIANCE = math.pi / 2  # of a normal sample's median, times n


@dataclass(frozen=True, slots=True)
class Comparison:
    """A trait beside its control directions on one dataset, all on the scale of clean rows.

    scale                "reference": of clean rows; "run": of these rows themselves
    at                   the percentile of clean rows that the threshold is, "p99"
    above, expected      rows above it; how many of as many clean rows would be (None on the run's scale)
    chance               probability of `above` or more among clean rows, the threshold's own error included
    random, random_highest  rows above by the same rule along a control direction, either sign: mean and highest
    random_chance        probability that clean rows reach `random_highest` along any of them
    tail                 mean height of the top `tail_rows` rows; 0 is the clean median, 1 the threshold
    tail_random, tail_random_spread, tail_random_highest   the controls' mean, standard deviation and highest
    tail_clean           the height of the reference's highest row; 0 on the run's scale
    tail_without_length  the tail of what the answers' length does not explain
    shift                the median row's place, in standard deviations of clean rows
    moved                the same along the controls, root mean square: 0 for text like the reference; noise taken out
    moved_noise          what sampling alone may add to the square of `moved`: two standard deviations
    above_shift, above_moved, above_noise   the three for the mean of the rows that no clean row lies as high as, the
                         top five at least (noise: three standard deviations)
    directions, effective   control directions, and how many independent ones they amount to
    layer0               tail along the trait's direction at layer 0, on the run's own scale; beside it `tail_run`
    length_correlation   Spearman, score against answer tokens
    length_auroc         how well length alone tells the rows above the threshold; None where all or none are
    """

    scale: Literal["reference", "run"]
    at: str
    rows: int
    above: int
    expected: float | None
    chance: float | None
    random: float
    random_highest: int
    random_chance: float | None
    tail: float
    tail_rows: int
    tail_random: float
    tail_random_spread: float
    tail_random_highest: float
    tail_clean: float
    tail_without_length: float
    shift: float
    moved: float | None
    moved_noise: float | None
    directions: int
    effective: float
    layer0: float | None
    tail_run: float
    length_correlation: float
    length_auroc: float | None
    above_shift: float | None = None
    above_moved: float | None = None
    above_noise: float | None = None

    @property
    def tail_beyond(self) -> bool:
        """Whether the top rows reach further than along the controls, and than clean rows do along the trait."""
        return self.beyond(self.tail)

    def beyond(self, tail: float) -> bool:
        controls = limit(self.tail_random_highest, self.tail_random, self.tail_random_spread)
        return tail > max(controls, self.tail_clean)


def compare(
    scores: Floating,
    random: Floating,
    tokens: npt.NDArray[np.integer],
    reference: TraitReference | None,
    at: str,
    layer0: Floating | None = None,
    toward: npt.NDArray[np.bool_] | None = None,
) -> Comparison | None:
    """A trait's (n,) scores beside (n, m) scores along its control directions; no NaN among them.

    tokens     (n,) scored tokens of each row
    reference  the clean reference's quantiles for the trait, with the controls' under "controls"; without those the
               run is the ruler of both
    at         the percentile that is the threshold
    toward     (n,) whether a row is trained toward; of one trained away from, the other end is looked at, along the
               trait and its controls alike

    None where nothing can be compared: no rows, no controls, or no spread.
    """
    if not len(scores) or not random.shape[1]:
        return None
    known = None if reference is None else reference.get("controls")
    if known is not None and reference is not None:
        ruler, others = Ruler.of_reference(reference, at), Ruler.of_reference(known, at)
        independent = float(known["effective"])
    else:
        ruler, others = Ruler.of_run(scores[:, None]), Ruler.of_run(random)
        independent = effective(random)
    good = others.usable
    if not good.any() or not ruler.usable.all():
        return None
    x = scores.astype(np.float64)[:, None]
    sign = np.ones((len(scores), 1)) if toward is None else np.where(toward, 1.0, -1.0)[:, None]
    heights = ruler.both(x, sign)[0].ravel()
    z = (sign * ruler.z(x)).ravel()
    above = heights > 1
    share = 1 - share_below(at)
    clean = ruler.rows > 0
    clean_top = ruler.heights(np.array([[highest(reference)]])).item() if clean and reference is not None else 0.0
    far = heights > clean_top  # rows that stand out: no clean row lies as high
    if far.sum() < TOP_ROWS:
        far = heights >= np.sort(heights)[-TOP_ROWS:].min()
    left = without_length(heights, tokens)
    # at least as large a share of these rows as TOP_ROWS are of the clean ones, whose scale it is
    least = max(TOP_ROWS, math.ceil(TOP_ROWS * len(scores) / ruler.rows) if clean else 0)
    sizes = {least, max(least, int(TOP_SHARE * len(scores)))}
    along = _Along.of(others, random, np.flatnonzero(good), sign, far, sizes)
    tails = (_Tails.of(n, heights, along.tails[n], left) for n in sizes)
    # of the two sizes that which tells the trait from its controls best
    tail = max(tails, key=lambda t: t.own - limit(t.highest, t.mean, t.spread))
    return Comparison(
        scale="reference" if clean else "run",
        at=at,
        rows=len(scores),
        above=int(above.sum()),
        expected=share * len(scores) if clean else None,
        chance=exceeding(int(above.sum()), len(scores), share, ruler.rows) if clean else None,
        random=float(along.counts.mean()),
        random_highest=int(along.counts.max()),
        # the highest of several counts: their number times the chance of one (Bonferroni)
        random_chance=min(1.0, len(along.counts) * exceeding(int(along.counts.max()), len(scores), share, others.rows))
        if clean
        else None,
        tail=tail.own,
        tail_rows=tail.rows,
        tail_random=tail.mean,
        tail_random_spread=tail.spread,
        tail_random_highest=tail.highest,
        tail_clean=clean_top,
        tail_without_length=tail.left,
        shift=float(np.median(z)),
        **_moved(len(scores), along, ruler.rows, independent),
        **(_moved_above(z[far], along, independent) if clean else {}),
        directions=int(good.sum()),
        effective=independent,
        layer0=_own_tail(layer0, tail.rows),
        tail_run=_own_tail(scores, tail.rows) or 0.0,
        length_correlation=spearman(scores, tokens),
        length_auroc=auroc(tokens[above], tokens[~above]) if 0 < above.sum() < len(above) else None,
    )


@dataclass(frozen=True, slots=True)
class _Along:
    """What the rows' scores along m controls come to, taken a direction at a time so that memory stays at some columns.

    counts           (2 m,) rows above the threshold, upwards and then downwards
    tails            by the number of top rows, their (2 m,) mean heights
    medians          (m,) of z over all rows; means, variances: over the rows that stand out (0 for one row alone)
    """

    counts: npt.NDArray[np.int64]
    tails: Mapping[int, Float64]
    medians: Float64
    means: Float64
    variances: Float64

    @classmethod
    def of(
        cls,
        others: Ruler,
        random: Floating,
        columns: npt.NDArray[np.intp],
        sign: Float64,
        far: npt.NDArray[np.bool_],
        sizes: Collection[int],
    ) -> _Along:
        """`random` (n, m) scores, `columns` of which are taken; `others` their ruler; `sign` (n, 1); `far` (n,)."""
        seen = []
        for j in columns:
            one, x = others.kept(np.arange(random.shape[1]) == j), random[:, j : j + 1].astype(np.float64)
            ways, z = [way.ravel() for way in one.both(x, sign)], (sign * one.z(x)).ravel()
            stands = z[far]
            seen.append(
                (
                    [int((way > 1).sum()) for way in ways],
                    {n: [top(way, n) for way in ways] for n in sizes},
                    float(np.median(z)),
                    float(stands.mean()),
                    float(stands.var(ddof=1)) if len(stands) > 1 else 0.0,
                )
            )
        counts, tails, *moments = zip(*seen, strict=True)
        medians, means, variances = (np.array(m) for m in moments)
        by_size = {n: np.array([t[n] for t in tails]).T.ravel() for n in sizes}
        return cls(np.array(counts).T.ravel(), by_size, medians, means, variances)


@dataclass(frozen=True, slots=True)
class _Tails:
    """How far the top `rows` reach: of the trait, of its controls in either sign, and of what length leaves of it."""

    rows: int
    own: float
    mean: float
    spread: float
    highest: float
    left: float

    @classmethod
    def of(cls, rows: int, heights: Float64, controls: Float64, left: Float64) -> _Tails:
        own, rest = top(heights, rows), top(left, rows)
        return cls(rows, own, float(controls.mean()), float(controls.std()), float(controls.max()), rest)


def limit(highest: float, mean: float, spread: float) -> float:
    """What a tail has to exceed: every control's, and their mean by STANDS_OUT standard deviations."""
    return max(highest, mean + STANDS_OUT * spread)


def top(heights: Floating, rows: int) -> float:
    """The mean of the `rows` highest of (n,)."""
    return float(np.sort(heights)[-rows:].mean())


def _own_tail(values: Floating | None, rows: int) -> float | None:
    """The tail of (n,) values on their own scale; None without values."""
    if values is None or np.isnan(values).any():
        return None
    ruler = Ruler.of_run(values[:, None])
    return top(ruler.heights(values[:, None]).ravel(), rows) if ruler.usable.all() else 0.0


def _moved(rows: int, along: _Along, clean: int, independent: float) -> dict[str, float | None]:
    """How far the median row has moved along the controls, less what sampling adds."""
    if not clean:
        return {"moved": None, "moved_noise": None}
    sampling = _MEDIAN_VARIANCE * (1 / rows + 1 / clean)
    square = (along.medians**2).mean() - sampling
    return {"moved": math.sqrt(max(square, 0.0)), "moved_noise": 2 * math.sqrt(2 / independent) * sampling}


def _moved_above(z: Float64, along: _Along, independent: float) -> dict[str, float | None]:
    """The same for the rows that stand out, (k,) of them: how far their mean has moved along the controls."""
    if len(z) < 2:
        return dict.fromkeys(("above_shift", "above_moved", "above_noise"))
    sampling = float(along.variances.mean()) / len(z)
    square = (along.means**2).mean() - sampling
    return {
        "above_shift": float(z.mean()),
        "above_moved": math.sqrt(max(square, 0.0)),
        "above_noise": 3 * math.sqrt(2 / independent) * sampling,
    }


def highest(reference: TraitReference) -> float:
    """The highest score of the clean rows; p99.9 on cards that do not have it."""
    return float(reference.get("highest", reference["quantiles"].get("p999", max(reference["quantiles"].values()))))
