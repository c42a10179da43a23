"""The cut curve, measured: what training on what is left showed, beside the mean score that is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.experiment.arms import share_cut
from screen.experiment.outcome import ArmOutcome, mean_over
from screen.stats import DRAWS, Interval, spearman

LEAST = 5  # cuts: the rank correlation of fewer says nothing

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MeasuredCut:
    """One point. Intervals are over seeds and questions.

    arm        "cut:10%", or "all": nothing dropped
    above      rows with a score above it were dropped; None for "all"
    rows       that were trained on
    predicted  mean score of those rows
    shift      along the vector at the last prompt token, in units of the activations
    shown      what the judge finds, 0 to 100
    """

    arm: str
    above: float | None
    rows: int
    predicted: float
    shift: Interval
    shown: Interval


@dataclass(frozen=True, slots=True)
class MeasuredCuts:
    """A trait's points, the fewest rows dropped first.

    seeds              fine-tunings of each; with one the intervals know nothing of how trainings differ
    shift_r, shown_r   Spearman's rank correlation of predicted and measured over them, seeds and questions drawn anew;
                       None for fewer than LEAST cuts, or without spread
    """

    trait: str
    points: tuple[MeasuredCut, ...]
    seeds: int
    shift_r: Interval | None
    shown_r: Interval | None


def measured_cuts(outcomes: Sequence[ArmOutcome], traits: Sequence[str]) -> list[MeasuredCuts]:
    """One a trait that has a cut."""
    cut = {outcome.by for outcome in outcomes if outcome.above is not None}
    return [_measured(outcomes, trait) for trait in traits if trait in cut]


def _measured(outcomes: Sequence[ArmOutcome], trait: str) -> MeasuredCuts:
    arms: dict[str, list[ArmOutcome]] = {}
    for one in sorted(outcomes, key=lambda o: share_cut(o.arm) or 0.0):
        if one.arm == "all" or (one.by == trait and one.above is not None):
            arms.setdefault(one.arm, []).append(one)
    points = [_point(some, trait) for some in arms.values()]
    predicted = np.array([point.predicted for point in points])
    shift = shown = None
    if sum(point.above is not None for point in points) >= LEAST:
        shift = _rank_correlation(predicted, [_shift(some, trait) for some in arms.values()])
        shown = _rank_correlation(predicted, [_shown(some, trait) for some in arms.values()])
    return MeasuredCuts(trait, tuple(points), min(map(len, arms.values()), default=0), shift, shown)


def _point(some: Sequence[ArmOutcome], trait: str) -> MeasuredCut:
    predicted = float(np.mean([o.predicted[trait] for o in some]))
    shift, shown = mean_over(_shift(some, trait)), mean_over(_shown(some, trait))
    return MeasuredCut(some[0].arm, some[0].above, some[0].rows, predicted, shift, shown)


def _shift(some: Sequence[ArmOutcome], trait: str) -> Floats:
    return np.array([o.shift[trait] for o in some])


def _shown(some: Sequence[ArmOutcome], trait: str) -> Floats:
    return np.array([o.shown[trait] for o in some])


def _rank_correlation(predicted: Floats, measured: Sequence[Floats]) -> Interval | None:
    """`measured`: (seeds, questions) a point, of which the same seeds and questions are drawn at every point."""
    value = spearman(predicted, np.array([values.mean() for values in measured]))
    if np.isnan(value):
        return None
    rng = np.random.default_rng(0)
    seeds, questions = min(len(values) for values in measured), measured[0].shape[1]
    rows, columns = rng.integers(seeds, size=(DRAWS, seeds)), rng.integers(questions, size=(DRAWS, questions))
    means = [values[rows[:, :, None], columns[:, None, :]].mean(axis=(1, 2)) for values in measured]
    drawn = [spearman(predicted, one) for one in np.stack(means, axis=1)]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Interval(value, float(low), float(high))
