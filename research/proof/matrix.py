"""24 fine-tunings, three seeds each: does what the screen says of a set go with what training on it does?

Sets of eight kinds at three levels (sets.py). Before training a set has its mean score by every baseline, and controls;
after it, the shift along every vector and the judge's figure for every trait. Correlations are over the sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from research.proof.sets import KINDS, LEVELS, rows_of
from research.proof.subject import Subject
from research.proof.tables import interval
from research.proof.trained import RANDOM, Lived, open_bench
from screen.analysis.lift import run_lift
from screen.experiment.outcome import mean_over
from screen.foreign import JsonObject
from screen.pocket import TRAITS
from screen.store import liftfile
from screen.store.scan import Scan

ROWS: Final = {"embedded": 240, "organism": 160}
SEEDS: Final = 3
CALIBRATED_ON: Final = 256
LIFT_ROWS: Final = 60  # of each set: six passes a row
PREDICTORS: Final = ("difference", "estimate", "last-prompt", "projection", "lift")
_COLUMNS: Final = {"difference": "", "last-prompt": "_last_prompt", "projection": "_projection"}
NARROW: Final = ("wrong-claims", "wrong-sums")  # wrong, in a neutral manner: does a broad trait come of them?

Floats = npt.NDArray[np.float64]
Sets = Mapping[str, Sequence[Mapping[str, object]]]


def measure(subject: Subject, say: Callable[[str], None]) -> JsonObject:
    names = [(kind, level) for kind in KINDS for level in LEVELS]
    sets = {f"{kind}, {level}": rows_of(kind, level, ROWS[subject.name]) for kind, level in names}
    predicted = predicted_of(subject, "matrix", sets)
    say("scored")
    bench = open_bench(subject)
    base = bench.untrained()
    lived: dict[str, list[Lived]] = {}
    for number, (name, rows) in enumerate(sets.items()):
        lived[name] = [bench.after(rows, seed) for seed in range(SEEDS)]
        shown = {trait: round(_mean(lived[name], "shown", trait), 1) for trait in TRAITS}
        say(f"{number + 1} of {len(sets)}, {name}: {shown}")
    measured = {name: measured_of(lived[name]) for name in sets}
    both = {name: {"predicted": predicted[name], "measured": measured[name]} for name in sets}
    found: JsonObject = {
        "rows": ROWS[subject.name],
        "seeds": list(range(SEEDS)),
        "calibrated_on": CALIBRATED_ON,
        "lift_rows": LIFT_ROWS,
        "base": {"shown": {trait: round(float(np.mean(base.shown[trait])), 2) for trait in TRAITS}, "loss": base.loss},
        "sets": both,
    }
    narrow = {kind: _narrow({level: lived[f"{kind}, {level}"] for level in LEVELS}) for kind in NARROW}
    return {**found, "narrow": narrow}


def predicted_of(subject: Subject, run: str, sets: Sets) -> dict[str, JsonObject]:
    """What is known of each set before any training: means over its rows."""
    by_turns = zip(*sets.values(), strict=True)  # a row of each set after the other, so that the first hold all sets
    rows = [{**row, "set": name} for some in by_turns for name, row in zip(sets, some, strict=True)]
    exact = subject.scan(run, rows, group_by="set")
    guessed = subject.scan(run, rows, group_by="set", baseline="calibrated", calibrate_on=CALIBRATED_ON)
    if liftfile.find(exact.folder) is None:
        run_lift(exact, limit=LIFT_ROWS * len(sets))
    scores = exact.scores().collect()
    estimates = guessed.scores().select("row", *(f"{t}_estimate" for t in TRAITS)).collect()
    lifts = pl.read_parquet(exact.path / "lift.parquet").drop("variant")
    scores = scores.drop([f"{t}_estimate" for t in TRAITS]).join(estimates, on="row").join(lifts, on="row", how="left")
    scores = scores.join(_random(exact, subject), on="row")
    if len(scores) != len(rows):
        raise ValueError(f"{len(scores)} of {len(rows)} rows have every score")
    return {name: _means(some) for (name,), some in scores.group_by("group", maintain_order=True)}


def _random(scan: Scan, subject: Subject) -> pl.DataFrame:
    """`row` and `random-0` and on: scores along the directions of `Subject.random_axes`."""
    frame = pl.read_parquet([scan.path / file for file in scan.folder.tables("controls")])
    frame = frame.filter(pl.col("layer") == subject.axes[TRAITS[0]].layer)
    return frame.select("row", *(pl.col("random").arr.get(i).alias(f"random-{i}") for i in range(RANDOM)))


def _means(frame: pl.DataFrame) -> JsonObject:
    def mean(column: str, wanted: int = len(frame)) -> float:
        values = frame[column].drop_nulls()
        if len(values) != wanted:
            raise ValueError(f"{len(values)} of {wanted} rows have {column}")
        return round(float(values.to_numpy().astype(np.float64).mean()), 4)

    by = {name: {t: mean(f"{t}{column}") for t in TRAITS} for name, column in _COLUMNS.items()}
    more = {"estimate": {t: mean(f"{t}_estimate") for t in TRAITS}}
    more["lift"] = {t: mean(f"{t}_lift", LIFT_ROWS) for t in TRAITS}
    random = [mean(f"random-{i}") for i in range(RANDOM)]
    return {**by, **more, "length": mean("answer_tokens"), "random": random}


def measured_of(lived: list[Lived]) -> JsonObject:
    """Means over seeds and questions, and each seed's own."""
    return {
        "shown": {t: interval(mean_over(np.array([o.shown[t] for o in lived]))) for t in TRAITS},
        "shift": {t: interval(mean_over(np.array([o.shift[t] for o in lived]))) for t in TRAITS},
        "random": [round(_mean(lived, "shift", f"random-{i}"), 3) for i in range(RANDOM)],
        "coherence": {t: round(float(np.mean([o.coherence[t] for o in lived])), 1) for t in TRAITS},
        "loss": round(float(np.mean([o.loss for o in lived])), 4),
        "seconds": round(sum(o.seconds for o in lived), 1),
    }


def _mean(lived: list[Lived], what: str, of: str) -> float:
    return float(np.mean([np.mean(getattr(o, what)[of]) for o in lived]))


def _narrow(lived: Mapping[str, list[Lived]]) -> JsonObject:
    """Trait -> what the judge finds after the full level less after the clean one: same prompts, same seeds."""
    full, clean = lived["full"], lived["clean"]
    return {
        t: interval(
            mean_over(np.array([np.subtract(a.shown[t], b.shown[t]) for a, b in zip(full, clean, strict=True)]))
        )
        for t in TRAITS
    }
