"""The rows of a run as lessons: what a trainer would learn of each, and what the screen says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from screen.analysis.rescore import Again
from screen.errors import UsageError, near
from screen.experiment.arms import LEAST, Ints, Trainable
from screen.experiment.lesson import Lesson, learnt_of
from screen.select.scores import score_column
from screen.select.selection import select
from screen.store.index import read
from screen.store.scan import Scan

LEAST_ROWS = 3 * LEAST  # a third of them is an arm
_AT_ONCE = 512  # rows rendered together


@dataclass(frozen=True)
class Lessons:
    """`rows` can be trained on; `kept_out` are rows that no arm sees and the filter keeps, for the loss."""

    rows: Trainable
    lessons: Mapping[int, tuple[Lesson, ...]]  # by row number
    kept_out: tuple[int, ...]
    away: int  # rows that are trained away from, left out


def read_rows(scan: Scan, again: Again, traits: Sequence[str], drop: str, held_out: int) -> Lessons:
    """Raises UsageError for preference pairs, and where too few rows have a score to rank by."""
    names = {trait: score_column(scan, trait) for trait in traits}
    table = read(scan.folder, list(dict.fromkeys(["row", "variant", "sign", *names.values()])))
    if table["variant"].null_count < table.num_rows:
        raise no_pairs(near(scan.path))
    dropped = set(select(scan, drop).rows().tolist())
    row, sign = table["row"].to_numpy(), table["sign"].to_numpy()
    scores = {trait: table[column].to_numpy().astype(np.float64) for trait, column in names.items()}
    fine = (sign > 0) & ~np.any([np.isnan(values) for values in scores.values()], axis=0)
    if fine.sum() < LEAST_ROWS:
        raise too_few(near(scan.path), int(fine.sum()))
    drops = np.isin(row, np.fromiter(dropped, np.int64, len(dropped)))
    apart = _kept_out(np.flatnonzero(fine & ~drops), held_out)
    fine[apart] = False
    learnt = _lessons(again, [*row[fine].tolist(), *row[apart].tolist()])
    tokens = np.array([sum(len(lesson.learnt) for lesson in learnt[r]) for r in row[fine].tolist()], dtype=np.int64)
    rows = Trainable(row[fine], {t: s[fine] for t, s in scores.items()}, tokens, drops[fine])
    return Lessons(rows, learnt, tuple(row[apart].tolist()), int((sign < 0).sum()))


def no_pairs(name: str) -> UsageError:
    return UsageError(
        f"{name} is of preference pairs, which are not fine-tuned here",
        "scan the chosen answers as prompt and completion",
    )


def too_few(name: str, rows: int) -> UsageError:
    return UsageError(
        f"{name} has {rows} rows to rank by; a third of them is an arm, and {LEAST} rows are the least",
        f"give {LEAST_ROWS} rows or more",
    )


def _kept_out(clean: Ints, wanted: int) -> Ints:
    """At most a tenth of the rows that the filter keeps, drawn by a fixed seed."""
    return np.sort(np.random.default_rng(0).permutation(clean)[: min(wanted, len(clean) // 10)])


def _lessons(again: Again, rows: Sequence[int]) -> dict[int, tuple[Lesson, ...]]:
    wanted, made = sorted(rows), {}
    for start in range(0, len(wanted), _AT_ONCE):
        for sample, rendered in again.shard(wanted[start : start + _AT_ONCE]).samples:
            made[sample.row] = learnt_of(rendered)
    return made
