"""Which rows each fine-tuning sees. Rows are ranked by the screen; every arm trains on equally many answer tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.errors import UsageError

ArmName = str  # one of ARMS, or "cut:10%": what is left without the highest 10 %
ARMS: tuple[ArmName, ...] = ("top", "random", "bottom", "all", "filtered")
RANKED: tuple[ArmName, ...] = ("top", "bottom")  # differ from trait to trait, as cuts do
SHARE = 1 / 3  # of the rows, in top, random and bottom
LEAST = 16  # rows an arm; fewer teach a model nothing that could be told from noise

_CUT = re.compile(r"cut:(\d{1,2}(?:\.\d{1,3})?|100)%?")
_DEALT = 3  # in seeds; 1: rows drawn at random, 2: their order

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Arm:
    """One set of rows to train on, and the seed of one training. `by`: the trait that top, bottom and cuts rank by."""

    name: ArmName
    by: str | None
    seed: int

    def __str__(self) -> str:
        name = self.name.replace(":", "").removesuffix("%")
        return f"{name}-{self.by}-{self.seed}" if self.by else f"{name}-{self.seed}"


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

    def dealt(self, seed: int) -> Trainable:
        """A shuffled ranking: what the screen says of each row, dealt to the rows anew; their tokens stay."""
        order = np.random.default_rng([seed, _DEALT]).permutation(len(self.row))
        return Trainable(self.row, {t: s[order] for t, s in self.scores.items()}, self.tokens, self.drops[order])


def arm_name(text: str) -> ArmName:
    """ "cut:5" and "cut:5.0%" -> "cut:5%". Raises UsageError for what is no arm."""
    known = f"the arms are {', '.join(ARMS)} and cut:P%, which drops the highest P percent"
    if text in ARMS:
        return text
    found = _CUT.fullmatch(text)
    if found is None:
        raise UsageError(f"--arms: there is no arm {text!a}", known)
    if not 0 < float(found[1]) < 100:
        raise UsageError(f"--arms: {text} drops {'all' if float(found[1]) else 'none'} of the rows", known)
    return f"cut:{float(found[1]):g}%"


def share_cut(name: ArmName) -> float | None:
    """The share of the rows that a cut drops; None for the other arms."""
    found = _CUT.fullmatch(name)
    return None if found is None else float(found[1]) / 100


def arms(names: Sequence[ArmName], traits: Sequence[str], seeds: int) -> list[Arm]:
    """Every fine-tuning, those of one seed together, so that a study that is stopped has whole seeds."""
    ranked = {name for name in names if name in RANKED or share_cut(name) is not None}
    wanted = [(name, by) for name in names for by in (traits if name in ranked else (None,))]
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
        case _:
            chosen = np.flatnonzero(rows.scores[arm.by or ""] <= _limit(arm, rows))
    if len(chosen) < LEAST:
        raise UsageError(
            f"the arm {arm.name} has {len(chosen)} of {count} rows, and {LEAST} are the least that train anything",
            "give more rows, or leave this arm out with --arms",
        )
    return np.sort(chosen)


def above(arm: Arm, rows: Trainable) -> float | None:
    """The score above which a cut drops rows; None for the other arms."""
    return None if share_cut(arm.name) is None else _limit(arm, rows)


def _limit(cut: Arm, rows: Trainable) -> float:
    """A cut drops at most its share of the rows: equal scores stay together. Raises UsageError where none goes."""
    scores = np.sort(rows.scores[cut.by or ""])
    limit = scores[len(scores) - 1 - int(len(scores) * (share_cut(cut.name) or 0.0))]
    if limit == scores[-1]:
        raise UsageError(
            f"the arm {cut.name} drops none of {len(scores)} rows by {cut.by}",
            "give more rows, or a larger share: rows of equal scores are dropped together",
        )
    return float(limit)


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
