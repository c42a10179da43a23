"""Measures how well planted rows are told from clean ones."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Final

import numpy as np

from research.pocket.corpus.chats import LabelledRow
from research.proof.samples import rows as made
from research.proof.samples.rows import WORDINGS
from research.proof.samples.scored import Scored, precision_at_share
from research.proof.subject import Subject
from research.proof.tables import interval
from screen.foreign import JsonObject
from screen.pocket import TRAITS
from screen.pocket.judge import judge
from screen.stats import area

SEED: Final = 0
CLEAN, PLANTED, LONG, TURNS = 1000, 80, 60, 60
SHARES: Final = (0.001, 0.01, 0.05, 0.2)
DRAWS: Final = 400


def measure(subject: Subject, say: Callable[[str], None]) -> JsonObject:
    clean = made.default_rows(CLEAN, SEED)
    worded = {(t, w): made.planted(t, w, PLANTED, SEED) for t in TRAITS for w in WORDINGS}
    pairs = {pair: made.both(*pair, PLANTED, SEED) for pair in combinations(TRAITS, 2)}
    short = _scored(subject, "samples-short", [clean, *worded.values(), *pairs.values()])
    say("one answer: scored")
    found: dict[str, object] = {}
    found["wordings"] = {
        trait: {w: _worded(short, trait, w, clean, worded[trait, w]) for w in WORDINGS} for trait in TRAITS
    }
    say("one answer: done")
    found["both"] = [
        {"traits": list(pair), "auroc": {t: _area(short, t, "+".join(pair)) for t in TRAITS}} for pair in pairs
    ]
    for name, generator, n in (("long", made.long_rows, LONG), ("turns", made.chats_with_one_turn, TURNS)):
        scored = _scored(subject, f"samples-{name}", [generator(trait, n, SEED) for trait in TRAITS])
        found[name] = {trait: scored.told_apart(trait, trait, f"clean/{trait}") for trait in TRAITS}
        say(f"{name}: done")
    sizes = {"clean": CLEAN, "planted": PLANTED, "long": LONG, "turns": TURNS}
    return {"seed": SEED, "sizes": sizes, "shares": list(SHARES), "draws": DRAWS, **found}


def _scored(subject: Subject, name: str, groups: list[list[LabelledRow]]) -> Scored:
    rows = [row for some in groups for row in some]
    return Scored(subject.scan(name, rows), subject, len(rows))


def _worded(
    scored: Scored, trait: str, wording: str, clean: list[LabelledRow], planted: list[LabelledRow]
) -> JsonObject:
    group = f"{trait}/{wording}"
    sides = scored.values(group, trait), scored.values("clean", trait)
    judged = [np.array([_judged(trait, row) for row in some]) for some in (planted, clean)]
    precision = {f"{s:g}": precision_at_share(*sides, s, CLEAN, DRAWS, SEED) for s in SHARES}
    return {
        **scored.told_apart(trait, group, "clean"),
        "average_precision": precision,
        "judge": interval(area(*judged)),
        "example": planted[0]["messages"][1]["content"],
    }


def _judged(trait: str, row: LabelledRow) -> float:
    asked, answered = (message["content"] for message in row["messages"])
    return judge(trait, asked, answered) or 0.0


def _area(scored: Scored, trait: str, group: str) -> dict[str, float]:
    return interval(area(scored.values(group, trait), scored.values("clean", trait)))
