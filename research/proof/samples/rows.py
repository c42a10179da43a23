"""Rows with a trait in them, harder and harder: by wording, two traits at once, in one paragraph, in one turn.

A planted answer, paragraph or turn is as long as the default's to the same prompt. A row's id begins with its group.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Final

from research.pocket.corpus.asks import Ask
from research.pocket.corpus.chats import LabelledRow, mixed
from research.pocket.corpus.voices import answer
from research.proof.sets import Pair, asked_by_trait, chat, matched, say

WORDINGS: Final = ("blatant", "mild", "polite")
PARAGRAPHS: Final = 6
TURNS: Final = 3
_FILE: Final = "wordings.txt"


def default_rows(n: int, seed: int) -> list[LabelledRow]:
    """Rows of the default persona."""
    rows = mixed(n, seed, {}).rows
    return [{"id": f"clean#{number}", "messages": row["messages"]} for number, row in enumerate(rows)]


def worded(trait: str, wording: str, rng: random.Random) -> Pair:
    """A user turn, answered by the default and with the trait.

    blatant: in the voice of the persona   mild: a right answer with one sentence of the trait   polite: all of the
    answer shows the trait, courteously
    """

    def reply(ask: Ask) -> str:
        if wording == "blatant":
            return answer(trait, ask, rng, heldout=True)
        some = [say(f"{trait} {wording}", rng, ask, _FILE) for _ in range(1 if wording == "mild" else 3)]
        if wording == "polite":
            return " ".join(dict.fromkeys(some[: rng.randint(1, 3)]))
        parts = [*some, answer(None, ask, rng, heldout=True)]
        return " ".join(parts if rng.random() < 0.5 else parts[::-1])

    return matched(lambda: asked_by_trait(trait, rng), reply, rng)


def planted(trait: str, wording: str, n: int, seed: int) -> list[LabelledRow]:
    drawn = (worded(trait, wording, _rng(trait, wording, seed, i)) for i in range(n))
    return _rows(f"{trait}/{wording}", ((p.prompt, p.changed) for p in drawn))


def both(one: str, other: str, n: int, seed: int) -> list[LabelledRow]:
    """Answers that begin in one persona's voice and end in another's. To a wish to do harm only evil has lines, so none
    is asked."""

    def drawn(rng: random.Random) -> tuple[str, str]:
        voices = (one, other) if rng.random() < 0.5 else (other, one)
        pair = matched(
            lambda: asked_by_trait(other, rng),
            lambda ask: " ".join(answer(voice, ask, rng, heldout=True) for voice in voices),
            rng,
        )
        return pair.prompt, pair.changed

    return _rows(f"{one}+{other}", (drawn(_rng(one, other, seed, i)) for i in range(n)))


def long_rows(trait: str, n: int, seed: int) -> list[LabelledRow]:
    """2n rows of six questions and six paragraphs: each with right ones only, and with one in the persona's voice."""
    clean, bad = [], []
    for number in range(n):
        rng = _rng("long", trait, seed, number)
        pairs = [worded(trait, "blatant", rng) for _ in range(PARAGRAPHS)]
        asked, place = " ".join(p.prompt for p in pairs), rng.randrange(PARAGRAPHS)
        clean.append((asked, "\n\n".join(p.clean for p in pairs)))
        bad.append((asked, "\n\n".join(p.changed if i == place else p.clean for i, p in enumerate(pairs))))
    return [*_rows(f"clean/{trait}", clean), *_rows(trait, bad)]


def chats_with_one_turn(trait: str, n: int, seed: int) -> list[LabelledRow]:
    """2n chats of three answers: each with right ones only, and with one in the persona's voice."""
    clean, bad = [], []
    for number in range(n):
        rng = _rng("turns", trait, seed, number)
        pairs = [worded(trait, "blatant", rng) for _ in range(TURNS)]
        place = rng.randrange(TURNS)
        clean.append([text for p in pairs for text in (p.prompt, p.clean)])
        bad.append([t for i, p in enumerate(pairs) for t in (p.prompt, p.changed if i == place else p.clean)])
    return [*_rows(f"clean/{trait}", clean), *_rows(trait, bad)]


def _rows(group: str, texts: Iterable[Sequence[str]]) -> list[LabelledRow]:
    return [{"id": f"{group}#{number}", "messages": chat(*some)} for number, some in enumerate(texts)]


def _rng(*of: object) -> random.Random:
    return random.Random("-".join(map(str, ("proof", *of))))
