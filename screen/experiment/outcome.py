"""What was measured of one fine-tuning, and what all of them say of the ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from screen.stats import DRAWS, Interval, pearson, spearman

Verdict = Literal["meant something", "meant nothing here", "was not tried"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ArmOutcome:
    """One fine-tuning, or the base model (`arm` "base").

    predicted  trait -> mean score of the arm's rows, in units of the activations
    shift      trait -> a value a held-out question: the last prompt token's projection less the base model's
    shown      trait -> a value a held-out question: the judge's mean over its answers, 0 to 100
    coherence  trait -> mean over those answers, 0 to 100
    loss       on rows kept out of every arm, nats a token
    above      of a cut: rows with a score above it were dropped
    """

    arm: str
    by: str | None
    seed: int | None
    rows: int
    tokens: int
    predicted: Mapping[str, float | None]
    shift: Mapping[str, Sequence[float]]
    shown: Mapping[str, Sequence[float]]
    coherence: Mapping[str, float]
    loss: float | None
    seconds: float
    above: float | None = None


@dataclass(frozen=True, slots=True)
class TraitFinding:
    """A trait over all fine-tunings. `shown`: arm -> the judge's mean with its interval; `correlations`: predicted
    against measured over the fine-tunings, Pearson and Spearman."""

    trait: str
    verdict: Verdict
    difference: Interval | None  # top less bottom
    shown: Mapping[str, Interval]
    shift: Mapping[str, Interval]
    shift_r: tuple[float, float] | None
    shown_r: tuple[float, float] | None
    sentence: str


def findings(outcomes: Sequence[ArmOutcome], traits: Sequence[str], ranking: str = "ranking") -> list[TraitFinding]:
    """`ranking`: what the sentences call it."""
    return [_finding(outcomes, trait, ranking) for trait in traits]


def _finding(outcomes: Sequence[ArmOutcome], trait: str, ranking: str) -> TraitFinding:
    mine = [o for o in outcomes if o.by in (None, trait)]
    arms = {o.arm: [p for p in mine if p.arm == o.arm] for o in mine}
    shown = {arm: mean_over(np.array([o.shown[trait] for o in some])) for arm, some in arms.items()}
    shift = {arm: mean_over(np.array([o.shift[trait] for o in some])) for arm, some in arms.items()}
    difference = None
    if "top" in arms and "bottom" in arms:
        high, low = (np.array([o.shown[trait] for o in arms[arm]]) for arm in ("top", "bottom"))
        difference = mean_over(high[: len(low)] - low[: len(high)])
    meant = difference is not None and difference.low > 0 and _middle(shown)
    trained = [o for o in outcomes if o.arm != "base" and o.predicted.get(trait) is not None]
    verdict: Verdict = "meant something" if meant else "meant nothing here" if difference else "was not tried"
    return TraitFinding(
        trait,
        verdict,
        difference,
        shown,
        shift,
        _correlations(trained, trait, "shift"),
        _correlations(trained, trait, "shown"),
        _sentence(f"{trait}: the {ranking} {verdict}", difference, shown),
    )


def _middle(shown: Mapping[str, Interval]) -> bool:
    """Rows drawn at random teach no more of the trait than the highest."""
    return "random" not in shown or shown["top"].value > shown["random"].value


def _correlations(outcomes: Sequence[ArmOutcome], trait: str, what: str) -> tuple[float, float] | None:
    """(Pearson, Spearman) over fine-tunings; None for fewer than four."""
    if len(outcomes) < 4:
        return None
    predicted = np.array([o.predicted[trait] for o in outcomes], dtype=np.float64)
    measured = np.array([np.mean(getattr(o, what)[trait]) for o in outcomes])
    return pearson(predicted, measured), spearman(predicted, measured)


def _sentence(verdict: str, difference: Interval | None, shown: Mapping[str, Interval]) -> str:
    if difference is None:
        return f"{verdict}: there are no arms top and bottom"
    top, bottom = shown["top"].value, shown["bottom"].value
    return (
        f"{verdict}: after training on the highest third the judge finds {top:.1f} of 100, after the lowest"
        f" {bottom:.1f} (difference {difference.shown(1)})"
    )


def mean_over(values: Floats, seed: int = 0) -> Interval:
    """The mean of (seeds, questions) with its 95 % interval, both drawn anew: seeds and questions are samples."""
    rng = np.random.default_rng(seed)
    seeds, questions = values.shape
    rows = rng.integers(seeds, size=(DRAWS, seeds))
    columns = rng.integers(questions, size=(DRAWS, questions))
    drawn = values[rows[:, :, None], columns[:, None, :]].mean(axis=(1, 2))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
