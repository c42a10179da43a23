"""What the fine-tunings say: which coefficient to train with. Knows nothing of models or files.

A coefficient *holds* where, for every trait, the upper end of how far the judge's figure rises above the base model's
is at most `within` points, and the upper end of how far coherence falls below that of plain fine-tuning, too: what is
not told from a larger rise does not hold. The smallest that holds is chosen; of equal ones that with the lower loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from screen.experiment.outcome import mean_over
from screen.foreign import JsonObject
from screen.stats import Interval

How = Literal["one", "all"]
WITHIN = 5.0  # points of 100


@dataclass(frozen=True, slots=True)
class VaccineTrial:
    """One fine-tuning to be made. `layers`: None without vectors, which is plain fine-tuning."""

    layers: How | None
    coefficient: float
    seed: int

    def __str__(self) -> str:
        return f"{self.layers or 'plain'}-{self.coefficient:g}-{self.seed}"


@dataclass(frozen=True, slots=True)
class VaccineOutcome:
    """What one fine-tuning showed, measured without vectors; of the base model where `seed` is None.

    shown, coherence  trait -> a value a held-out question, 0 to 100
    loss              on rows kept out of training, nats a token
    """

    layers: How | None
    coefficient: float
    seed: int | None
    shown: Mapping[str, Sequence[float]]
    coherence: Mapping[str, Sequence[float]]
    loss: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class VaccineOption:
    """A coefficient over its seeds; plain fine-tuning has the coefficient 0 and no layers.

    shown  trait -> mean of the judge's figure; rise: less the base model's
    fall   of coherence, below plain fine-tuning's
    why    it does not hold: a trait, or "coherence" -> in words; empty where it does
    """

    layers: How | None
    coefficient: float
    shown: Mapping[str, float]
    rise: Mapping[str, Interval]
    coherence: float
    fall: Interval
    loss: float | None
    why: Mapping[str, str]

    @property
    def holds(self) -> bool:
        return not self.why

    def to_json(self) -> JsonObject:
        rise = {trait: interval._asdict() for trait, interval in self.rise.items()}
        return {**asdict(self), "rise": rise, "fall": self.fall._asdict(), "holds": self.holds}


def options(base: VaccineOutcome, trained: Sequence[VaccineOutcome], within: float) -> list[VaccineOption]:
    """Plain fine-tuning first, then by coefficient."""
    groups: dict[tuple[float, How | None], list[VaccineOutcome]] = {}
    for outcome in trained:
        groups.setdefault((outcome.coefficient, outcome.layers), []).append(outcome)
    plain = groups[0.0, None]
    ordered = sorted(groups, key=lambda group: (group[0], group[1] == "all"))
    return [_option(base, plain, groups[group], within) for group in ordered]


def _option(
    base: VaccineOutcome, plain: Sequence[VaccineOutcome], mine: Sequence[VaccineOutcome], within: float
) -> VaccineOption:
    traits = list(base.shown)
    rise = {t: mean_over(np.array([o.shown[t] for o in mine]) - np.array(base.shown[t])) for t in traits}
    pairs = [(p, o) for o in mine for p in plain if p.seed == o.seed]
    falls = [np.concatenate([np.array(p.coherence[t]) - np.array(o.coherence[t]) for t in traits]) for p, o in pairs]
    fall = mean_over(np.array(falls))
    why = {t: f"it may have risen by {i.high:.1f} points" for t, i in rise.items() if i.high > within}
    if fall.high > within:
        why["coherence"] = f"it may have fallen by {fall.high:.1f} points"
    losses = [o.loss for o in mine if o.loss is not None]
    return VaccineOption(
        layers=mine[0].layers,
        coefficient=mine[0].coefficient,
        shown={t: float(np.mean([o.shown[t] for o in mine])) for t in traits},
        rise=rise,
        coherence=float(np.mean([v for o in mine for values in o.coherence.values() for v in values])),
        fall=fall,
        loss=float(np.mean(losses)) if losses else None,
        why=why,
    )


def choose(found: Sequence[VaccineOption]) -> VaccineOption | None:
    """The smallest that holds, plain fine-tuning among them: where that holds no vaccine is needed."""
    holding = [option for option in found if option.holds]
    return min(holding, key=lambda o: (o.coefficient, np.inf if o.loss is None else o.loss), default=None)


def sentence(found: Sequence[VaccineOption], within: float) -> str:
    """What to train with, in words."""
    traits = " and ".join(found[0].rise)
    chosen = choose(found)
    if chosen is None:
        return (
            f"no coefficient tried holds {traits} within {within:g} points of the base model and coherence within"
            f" {within:g} of plain fine-tuning's"
        )
    if chosen.layers is None:
        return f"plain fine-tuning holds {traits} within {within:g} points of the base model: no vaccine is needed"
    where = "one layer" if chosen.layers == "one" else "all layers"
    plain = next(o for o in found if o.layers is None)
    loss = f"; held-out loss {_against(chosen.loss, plain.loss)}" if chosen.loss and plain.loss else ""
    return (
        f"train with {chosen.coefficient:g} at {where}: the smallest that holds {traits} within {within:g} points of"
        f" the base model{loss}"
    )


def _against(loss: float | None, plain: float | None) -> str:
    assert loss is not None
    assert plain is not None
    return f"{100 * (loss / plain - 1):+.1f} % against plain fine-tuning"
