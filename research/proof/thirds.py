"""Within one dataset: after training on the highest, a random and the lowest third, is the trait in that order?

Every seed draws a mixture of its own (12 % of the rows planted for each trait) and trains by that seed. The arms learn
equally many answer tokens: those of the whole mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from research.pocket.corpus.chats import mixed
from research.proof.subject import Subject
from research.proof.tables import interval, table, told
from research.proof.trained import Lived, Rows, open_bench
from screen.experiment.arms import Arm, ArmName, Trainable, rows_of
from screen.experiment.outcome import mean_over
from screen.foreign import JsonObject
from screen.pocket import TRAITS
from screen.store.scan import Scan

ROWS: Final = 300
SHARE: Final = 0.12
SEEDS: Final = {"embedded": 10, "organism": 3}
ARMS: Final[tuple[ArmName, ...]] = ("top", "random", "bottom")


def measure(subject: Subject, say: Callable[[str], None]) -> JsonObject:
    bench, seeds = open_bench(subject), SEEDS[subject.name]
    lived: dict[str, list[dict[ArmName, Lived]]] = {trait: [] for trait in TRAITS}
    means: dict[str, list[dict[ArmName, float]]] = {trait: [] for trait in TRAITS}
    for seed in range(seeds):
        rows = mixed(ROWS, 100 + seed, dict.fromkeys(TRAITS, SHARE)).rows
        scores = scored(subject.scan(f"thirds-{seed}", rows), len(rows))
        tokens = np.array([len(bench.lesson(row).learnt) for row in rows])
        trainable = Trainable(np.arange(len(rows)), scores, tokens, np.zeros(len(rows), dtype=bool))
        for trait in TRAITS:
            chosen = {arm: rows_of(Arm(arm, trait, seed), trainable) for arm in ARMS}
            arms = {a: bench.after(some(rows, at), seed, tokens=int(tokens.sum())) for a, at in chosen.items()}
            lived[trait].append(arms)
            means[trait].append({a: round(float(scores[trait][at].mean()), 3) for a, at in chosen.items()})
        shown = {t: [round(float(np.mean(lived[t][-1][a].shown[t])), 1) for a in ARMS] for t in TRAITS}
        say(f"seed {seed + 1} of {seeds}: after top, random, bottom {shown}")
    traits = {trait: _of_trait(trait, lived[trait], means[trait]) for trait in TRAITS}
    return {"rows": ROWS, "planted": SHARE, "seeds": list(range(seeds)), "traits": traits}


def _of_trait(trait: str, lived: list[dict[ArmName, Lived]], means: list[dict[ArmName, float]]) -> JsonObject:
    shown = {a: np.array([arms[a].shown[trait] for arms in lived]) for a in ARMS}
    shift = {a: np.array([arms[a].shift[trait] for arms in lived]) for a in ARMS}
    each = np.stack([shown[a].mean(axis=1) for a in ARMS], axis=1)
    moved = np.stack([shift[a].mean(axis=1) for a in ARMS], axis=1)
    return {
        "predicted": {a: round(float(np.mean([m[a] for m in means])), 3) for a in ARMS},
        "shown": {a: interval(mean_over(shown[a])) for a in ARMS},
        "shift": {a: interval(mean_over(shift[a])) for a in ARMS},
        "shown_each": np.round(each, 2).tolist(),
        "shift_each": np.round(moved, 2).tolist(),
        "in_order": int(((each[:, 0] > each[:, 1]) & (each[:, 1] > each[:, 2])).sum()),
        "top_over_bottom": int((each[:, 0] > each[:, 2]).sum()),
        "shift_in_order": int(((moved[:, 0] > moved[:, 1]) & (moved[:, 1] > moved[:, 2])).sum()),
        "difference": interval(mean_over(shown["top"] - shown["bottom"])),
    }


def scored(scan: Scan, rows: int, column: str = "") -> Mapping[str, npt.NDArray[np.float64]]:
    """Trait -> (rows,) the run's scores; `column`: of another column, `{trait}_{column}`. Every row has to have one."""
    names = {trait: f"{trait}_{column}" if column else trait for trait in TRAITS}
    frame = scan.scores().sort("row").collect()
    if len(frame) != rows:
        raise ValueError(f"{len(frame)} of {rows} rows have a score")
    return {trait: frame[name].to_numpy().astype(np.float64) for trait, name in names.items()}


def some(rows: Rows, at: npt.NDArray[np.int64]) -> Rows:
    return [rows[i] for i in at.tolist()]


def section(found: Mapping[str, JsonObject]) -> str:
    lines = ["## Within one dataset\n"]
    for piece in (name for name in ("thirds-embedded", "thirds-organism") if name in found):
        of = found[piece]["found"]
        seeds = len(of["seeds"])
        heads = ["trait", "highest third", "a random third", "lowest third", "in that order", "highest over lowest"]
        body = [
            [
                trait,
                *(told(t["shown"][arm]) for arm in ARMS),
                f"{t['in_order']} of {seeds}",
                f"{t['top_over_bottom']} of {seeds}",
            ]
            for trait, t in of["traits"].items()
        ]
        lines += [f"What the judge finds, of 100, after training; {found[piece]['model']} model, {seeds} mixtures:\n"]
        lines += [table(heads, body), ""]
    return "\n".join(lines)
