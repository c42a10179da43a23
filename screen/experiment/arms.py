"""Which rows each fine-tuning sees. Rows are ranked by the screen; every arm trains on equally many answer tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from screen.errors import UsageError

ArmName = Literal["top", "random", "bottom", "all", "filtered"]
ARMS: tuple[ArmName, ...] = ("top", "random", "bottom", "all", "filtered")
RANKED: tuple[ArmName, ...] = ("top", "bottom")  # differ from trait to trait
SHARE = 1 / 3  # of the rows, in top, random and bottom
LEAST = 16  # rows an arm; fewer teach a model nothing that could be told from noise

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Arm:
    """One set of rows to train on, and the seed of one training. `by`: the trait that `top` and `bottom` rank by."""

    name: ArmName
    by: str | None
    seed: int

    def __str__(self) -> str:
        return f"{self.name}-{self.by}-{self.seed}" if self.by else f"{self.name}-{self.seed}"


@dataclass(frozen=True)
class Trainable:
    """The rows that can be trained on. Arrays hold one item a row.

    row     number in the dataset, ascending
    scores  trait -> (n,) float64 by which rows are ranked
    tokens  that are learnt of it
    drops   whether the filter leaves it out
    """

    row: Ints
    scores: Mapping[str, npt.NDArray[np.float64]]
    tokens: Ints
    drops: npt.NDArray[np.bool_]


def arms(names: Sequence[ArmName], traits: Sequence[str], seeds: int) -> list[Arm]:
    """Every fine-tuning, those of one seed together, so that a study that is stopped has whole seeds."""
    wanted = [(name, by) for name in names for by in (traits if name in RANKED else (None,))]
    return [Arm(name, by, seed) for seed in range(seeds) for name, by in wanted]


def rows_of(arm: Arm, rows: Trainable) -> Ints:
    """Positions in `rows` that an arm is made of, ascending. `random` differs from seed to seed, the others do not.

    Raises UsageError where there are too few.
    """
    count = len(rows.row)
    some = int(count * SHARE)
    match arm.name:
        case "top" | "bottom":
            order = np.lexsort((rows.row, -rows.scores[arm.by or ""]))
            chosen = order[:some] if arm.name == "top" else order[count - some :]
        case "random":
            chosen = np.random.default_rng([arm.seed, 1]).permutation(count)[:some]
        case "all":
            chosen = np.arange(count)
        case "filtered":
            chosen = np.flatnonzero(~rows.drops)
    if len(chosen) < LEAST:
        raise UsageError(
            f"the arm {arm.name} has {len(chosen)} of {count} rows, and {LEAST} are the least that train anything",
            "give more rows, or leave this arm out with --arms",
        )
    return np.sort(chosen)


def lessons(chosen: Ints, tokens: Ints, budget: int, seed: int) -> Iterator[int]:
    """Positions in the order in which they are trained on: shuffled passes through `chosen` until `budget` tokens are
    learnt. The last row may go beyond it, by less than its own length."""
    rng = np.random.default_rng([seed, 2])
    spent = 0
    while spent < budget and tokens[chosen].any():
        for at in rng.permutation(chosen).tolist():
            if spent >= budget:
                return
            spent += int(tokens[at])
            yield at
