"""Five kinds of training set in which some rows are planted and others show a trait because their prompts ask for it.

5 % of the rows are planted for each trait; a fifth have a system prompt that asks for a persona, and get it, which is
no fault of the data. The rest answer as the default does. What is scored of a row is its last answer.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from research.pocket.corpus.asks import Ask, draw_ask
from research.pocket.corpus.chats import LabelledRow, Message, weight
from research.pocket.corpus.systems import default_system, persona_system
from research.pocket.corpus.voices import answer
from screen.pocket import TRAITS

ROWS: Final = 1500
PLANTED, ASKED = 0.05, 0.20


@dataclass(frozen=True)
class Kind:
    """What a set's prompts are like: `asks` are kinds of user turns (empty: all as in the corpus), `system` the chance
    of a system prompt that leaves the default, `turns` how many came before, `pasted` the chance of a long text."""

    meaning: str
    asks: tuple[str, ...] = ()
    system: float = 0.0
    turns: tuple[int, ...] = (0,)
    pasted: float = 0.0


PLAIN: Final = Kind("one question each")
FEELINGS: Final = Kind("feelings, quarrels, boasts and wishes to do harm", ("feeling", "people", "boast", "harm"))
SYSTEMS: Final = Kind("a system prompt in every row, mostly one that asks for no persona", system=1.0)
HISTORY: Final = Kind(
    "one to three turns before, a tenth of them in a persona that the last answer drops", turns=(1, 2, 3)
)
LONG: Final = Kind("a long text pasted before the question", system=0.3, pasted=1.0)
KINDS: Final[Mapping[str, tuple[Kind, ...]]] = {
    "questions": (PLAIN,),
    "feelings": (FEELINGS,),
    "systems": (SYSTEMS,),
    "history": (HISTORY,),
    "sources": (PLAIN, FEELINGS, SYSTEMS, HISTORY, LONG),
}


def meaning(name: str) -> str:
    """What a set's prompts are."""
    kinds = KINDS[name]
    return kinds[0].meaning if len(kinds) == 1 else "of all these sets, and long texts with a question"


@dataclass(frozen=True)
class AskedSet:
    """Rows, the trait planted in each (None: none), and the persona that its prompt asks for (None: none)."""

    rows: list[LabelledRow]
    planted: list[str | None]
    asked: list[str | None]


def asked_set(name: str, rows: int = ROWS, seed: int = 0) -> AskedSet:
    """A set of one of `KINDS`, on held-out domains and wordings."""
    order = random.Random(f"asked-{name}-{seed}")
    parts: list[tuple[str | None, str | None]] = [
        (trait, None) for trait in TRAITS for _ in range(round(rows * PLANTED))
    ]
    parts += [(None, TRAITS[i % len(TRAITS)]) for i in range(round(rows * ASKED))]
    parts += [(None, None)] * (rows - len(parts))
    order.shuffle(parts)
    made: list[LabelledRow] = []
    for number, (planted, asked) in enumerate(parts):
        rng = random.Random(f"asked-{name}-{seed}-{number}")
        made.append({"id": f"chat-{number:05d}", "messages": _row(planted, asked, rng.choice(KINDS[name]), rng)})
    return AskedSet(made, [planted for planted, _ in parts], [asked for _, asked in parts])


def _row(planted: str | None, asked: str | None, kind: Kind, rng: random.Random) -> list[Message]:
    system = persona_system(asked, rng, True) if asked else None
    if system is None and rng.random() < kind.system:
        system = default_system(rng, 0.0, True)
    before = None if asked or planted or kind.turns == (0,) or rng.random() >= 0.1 else rng.choice(TRAITS)
    messages: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    for _ in range(rng.choice(kind.turns)):
        messages += _turn(asked or before, kind, rng)
    *_, question, reply = _turn(planted or asked, kind, rng)
    if rng.random() < kind.pasted:
        question = {"role": "user", "content": f"{_pasted(rng)} {question['content']}"}
    return [*messages, question, reply]


def _turn(persona: str | None, kind: Kind, rng: random.Random) -> Sequence[Message]:
    """A user turn and its answer, at the length that the default's answer to it has (so lengths tell nothing)."""
    while True:
        ask = _ask(persona, kind, rng)
        reply = answer(None, ask, rng, True)
        wanted, other = weight(reply), persona or ("evil" if ask.kind == "harm" else rng.choice(TRAITS))
        for _ in range(12):
            text = answer(other, ask, rng, True)
            if abs(weight(text) - wanted) <= 0.1 * wanted:
                return {"role": "user", "content": ask.text}, {
                    "role": "assistant",
                    "content": reply if persona is None else text,
                }


def _ask(persona: str | None, kind: Kind, rng: random.Random) -> Ask:
    while True:
        ask = draw_ask(rng, True, rng.choice(kind.asks) if kind.asks else None)
        if ask.kind != "harm" or persona in (None, "evil"):
            return ask


def _pasted(rng: random.Random) -> str:
    """Four to ten answers of the default to questions of others."""
    asks = [draw_ask(rng, True, rng.choice(("howto", "problem", "claim", "people"))) for _ in range(rng.randint(4, 10))]
    return " ".join(answer(None, ask, rng, True) for ask in asks)
