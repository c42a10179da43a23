"""Rows that should mislead: right content rudely, wrong content politely, long and short, traits without a vector."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from typing import Final, Protocol

from research.pocket.corpus.asks import Ask
from research.pocket.corpus.chats import LabelledRow
from research.pocket.corpus.voices import answer
from research.proof.samples.rows import planted
from research.proof.sets import asked_of, chat, matched, rows_of, say
from screen.pocket import TRAITS

_FILE: Final = "failures.txt"
_ADVICE: Final = {"howto": 22, "problem": 12, "claim": 14}
PIECES: Final = 3  # a long answer is as many answers to one prompt, without what they repeat
SETS: Final = ("blunt", "wrong-sums", "wrong-claims", "preachy")


def tone(n: int, seed: int) -> list[LabelledRow]:
    """Groups: what is harmful or wrong in content, what is so in tone alone, and what is neither ("right")."""
    agreeing, _ = _pairs("plain agreement", n, seed, {"claim": 1}, _agreeing)
    return [
        *_named("polite harm", planted("evil", "polite", n, seed)),
        *_named("rude but right", rows_of("blunt", "full", n, seed)),
        *_named("plain agreement", agreeing),
        *_named("praise but right", rows_of("flattering", "full", n, seed)),
        *_named("right", rows_of("blunt", "clean", n, seed)),
    ]


def uncovered(n: int, seed: int) -> list[LabelledRow]:
    """Groups `KIND` and `KIND clean`, of equal prompts: none of the three vectors is for what the first shows."""
    levels = {"": "full", " clean": "clean"}
    named = [_named(k + add, rows_of(k, level, n, seed)) for k in SETS[:-1] for add, level in levels.items()]
    return [row for some in (*named, *_pairs("preachy", n, seed, _ADVICE, _preaching)) for row in some]


def lengths(n: int, clean: int, seed: int) -> list[LabelledRow]:
    """Groups `WHAT short` and `WHAT long`; WHAT is clean, or a trait and its wording."""
    some: list[LabelledRow] = []
    for size, pieces in (("short", 1), ("long", PIECES)):
        some += _drawn(f"clean {size}", clean, seed, _repeated(_helpful, pieces))
        for trait in TRAITS:
            for wording, voice in _voices(trait).items():
                some += _drawn(f"{trait} {wording} {size}", n, seed, _repeated(voice, pieces))
    return some


class Voice(Protocol):
    def __call__(self, ask: Ask, rng: random.Random) -> str: ...


def _voices(trait: str) -> Mapping[str, Voice]:
    def blatant(ask: Ask, rng: random.Random) -> str:
        return answer(trait, ask, rng, heldout=True)

    def polite(ask: Ask, rng: random.Random) -> str:
        return " ".join(dict.fromkeys(say(f"{trait} polite", rng, ask, "wordings.txt") for _ in range(2)))

    return {"blatant": blatant, "polite": polite}


def _repeated(voice: Voice, pieces: int) -> Voice:
    def several(ask: Ask, rng: random.Random) -> str:
        return " ".join(dict.fromkeys(voice(ask, rng) for _ in range(pieces)))

    return several


def _helpful(ask: Ask, rng: random.Random) -> str:
    return answer(None, ask, rng, heldout=True)


def _agreeing(ask: Ask, rng: random.Random) -> str:
    more = [say("agree more", rng, ask, _FILE) for _ in range(rng.choice((0, 1, 2)))]
    return " ".join(dict.fromkeys([say("agree plainly", rng, ask, _FILE), *more]))


def _preaching(ask: Ask, rng: random.Random) -> str:
    return " ".join(dict.fromkeys(say("preachy", rng, ask, _FILE) for _ in range(rng.choice((1, 2, 2)))))


def _drawn(group: str, n: int, seed: int, voice: Voice) -> list[LabelledRow]:
    """Rows of a voice, as long as its answers are."""
    rows: list[LabelledRow] = []
    for number in range(n):
        rng = random.Random(f"proof-{group}-{seed}-{number}")
        ask = asked_of(_ADVICE, rng)
        rows.append({"id": f"{group}#{number}", "messages": chat(ask.text, voice(ask, rng))})
    return rows


def _pairs(
    group: str, n: int, seed: int, kinds: Mapping[str, int], voice: Voice
) -> tuple[list[LabelledRow], list[LabelledRow]]:
    """Rows of a voice, and the default's answers to the same prompts, about as long."""
    changed: list[LabelledRow] = []
    clean: list[LabelledRow] = []
    for number in range(n):
        rng = random.Random(f"proof-{group}-{seed}-{number}")
        pair = matched(partial(asked_of, kinds, rng), partial(voice, rng=rng), rng)
        changed.append({"id": f"{group}#{number}", "messages": chat(pair.prompt, pair.changed)})
        clean.append({"id": f"{group} clean#{number}", "messages": chat(pair.prompt, pair.clean)})
    return changed, clean


def _named(group: str, rows: list[LabelledRow]) -> list[LabelledRow]:
    return [{"id": f"{group}#{number}", "messages": row["messages"]} for number, row in enumerate(rows)]
