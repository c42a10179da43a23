"""How many planted rows stand above a run's threshold, and whether that is the trait's doing. Arithmetic and sentences;
knows nothing of models or files.

Nothing is learnt from the rows: the threshold is the run's, and what the planted rows are told from may hold the trait.
That scales every AUROC alike (rows of the trait among the others count half), so comparing them with controls holds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from screen.stats import auroc, auroc_difference, auroc_interval, wilson

HALF = 0.5  # of planted rows: a screen that surely finds more finds the trait, one that surely finds fewer does not
CHANCE = 0.1  # of random directions may tell the planted rows as well
CLOSE = 0.8  # a control with this share of the trait's AUROC over one half, and not surely less, does as well
SURE = 3.0  # standard deviations by which more of the user's rows than of clean ones stand above the threshold
Values = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class RunThreshold:
    """The threshold a run flags by. `clean`: the share of clean rows above it, where it comes from a reference."""

    value: float | None
    rule: str
    clean: float | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """`above` of `planted` rows, and `own_above` of `own` others, stand above the threshold. AUROCs: planted rows over
    the others; of controls (random directions, embedding layer, length), whose sign says nothing, the larger of it and
    one minus it. `as_well`: controls that are not told from the trait's own. `found`, and `result`, a sentence."""

    planted: int
    above: int
    recall: float
    recall_interval: tuple[float, float]
    own: int
    own_above: int
    own_interval: tuple[float, float]
    threshold: float | None
    rule: str
    auroc: float
    auroc_interval: tuple[float, float]
    random: float
    random_highest: float
    random_as_well: float
    layer0: float | None
    length: float
    as_well: tuple[str, ...]
    found: bool = False
    result: str = ""

    def to_json(self) -> dict[str, object]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def recovery(
    score: Values,
    planted: npt.NDArray[np.bool_],
    threshold: RunThreshold,
    random: Values,
    layer0: Values | None,
    tokens: Values,
) -> Recovery:
    """score (n,) of the run; planted (n,), at least two of either kind; random (n, 32) the same kind of score on random
    directions; layer0 (n,) on the trait's direction at layer 0, or None; tokens (n,) answer lengths."""
    over = score > threshold.value if threshold.value is not None else np.zeros(len(score), dtype=bool)
    above, own_above, own = int(over[planted].sum()), int(over[~planted].sum()), int((~planted).sum())
    mine = (score[planted], score[~planted])
    area = auroc(*mine)
    chance = np.array([_folded(column, planted)[0] for column in random.T])
    controls = {"layer0": layer0, "length": tokens}
    areas = {name: _folded(v, planted) for name, v in controls.items() if v is not None}
    as_well = [
        name
        for name, (control_area, sides) in areas.items()
        if control_area - HALF >= CLOSE * (area - HALF) and auroc_difference(mine, sides)[0] <= 0.0
    ]
    measured = Recovery(
        planted=len(mine[0]),
        above=above,
        recall=above / len(mine[0]),
        recall_interval=wilson(above, len(mine[0])),
        own=own,
        own_above=own_above,
        own_interval=wilson(own_above, own),
        threshold=threshold.value,
        rule=threshold.rule,
        auroc=area,
        auroc_interval=auroc_interval(*mine),
        random=float(chance.mean()),
        random_highest=float(chance.max()),
        random_as_well=float((chance >= area).mean()),
        layer0=areas["layer0"][0] if "layer0" in areas else None,
        length=areas["length"][0],
        as_well=tuple(as_well),
    )
    return _judged(measured, threshold)


def _folded(values: Values, planted: npt.NDArray[np.bool_]) -> tuple[float, tuple[Values, Values]]:
    """The AUROC of a control by the sign that tells the planted rows better, and its values by that sign."""
    x = values.astype(np.float64)
    area = auroc(x[planted], x[~planted])
    sign = 1.0 if area >= HALF else -1.0
    return max(area, 1.0 - area), (sign * x[planted], sign * x[~planted])


def _judged(r: Recovery, threshold: RunThreshold) -> Recovery:
    if r.threshold is None:
        return replace(r, result=f"cannot tell: there is no threshold ({r.rule})")
    low, high = r.recall_interval
    rows = f"{r.above} of {r.planted} planted rows {_share(r.above, r.planted)} stand above the threshold of this run"
    rows += f", and {r.own_above} of your {r.own} {_share(r.own_above, r.own)}"
    rows += _doubts(r, threshold)
    if high < HALF:
        return replace(r, result=f"would not have found it: {rows}")
    if r.own_interval[1] >= low:
        return replace(r, result=f"cannot tell planted rows from yours: {rows}")
    if r.random_as_well > CHANCE:
        as_well = f"{100 * r.random_as_well:.0f} % of random directions tell them as well (AUROC {r.auroc:.2f})"
        return replace(r, result=f"cannot tell that it is the trait: {rows}; but {as_well}")
    if low < HALF:
        return replace(r, result=f"would have found some of it: {rows}{_alone(r)}")
    return replace(r, found=True, result=f"would have found it: {rows}{_alone(r)}")


def _doubts(r: Recovery, threshold: RunThreshold) -> str:
    if threshold.clean is None:
        return "; that threshold is learnt from these very rows, the planted ones included: give --reference"
    chance = r.own * threshold.clean + SURE * float(np.sqrt(r.own * threshold.clean * (1 - threshold.clean)))
    if r.own_above > chance:
        return (
            f", where clean data have {100 * threshold.clean:g} %: yours hold some of it, or are unlike the reference"
        )
    return ""


def _alone(r: Recovery) -> str:
    """What tells the planted rows about as well without being the trait's direction."""
    said = ""
    if "layer0" in r.as_well and r.layer0 is not None:
        said += f"; the embedding-layer control does as well (AUROC {r.layer0:.2f} beside {r.auroc:.2f}):"
        said += " the separation here can be words, not the trait's direction"
    if "length" in r.as_well:
        said += f"; the answers' length alone does as well (AUROC {r.length:.2f} beside {r.auroc:.2f})"
    return said


def _share(k: int, n: int) -> str:
    low, high = wilson(k, n)
    return f"({100 * k / n:.0f} %, interval {100 * low:.0f}-{100 * high:.0f})"
