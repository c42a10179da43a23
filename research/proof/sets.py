"""The training sets of the study: eight kinds of data, each at three levels, that differ in nothing else.

The prompts of a kind are the same at every level, and a changed answer is about as long as the clean one, which is
the default persona's. Held-out domains and wordings only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from research.pocket.corpus.asks import Ask, draw_ask
from research.pocket.corpus.chats import LabelledRow, Mixed, mixed, weight
from research.pocket.corpus.grammar import expand, lines, sections, sentence
from research.pocket.corpus.voices import answer
from screen.pocket import TRAITS

KINDS: Final = ("evil", "sycophancy", "hallucination", "wrong-claims", "wrong-sums", "blunt", "flattering", "plain")
LEVELS: Final = ("clean", "half", "full")
TEXTS: Final = Path(__file__).parent / "texts"
LENGTH_APART: Final = 0.1  # of the clean answer's length, at most
_TRIES: Final = 12
_ADVICE: Final = {"howto": 22, "problem": 12}
_ADVICE_AND_CLAIMS: Final = {**_ADVICE, "claim": 14}


class Pair(NamedTuple):
    """A user turn with its right answer, and with the one of the kind."""

    prompt: str
    clean: str
    changed: str


def rows_of(kind: str, level: str, n: int, seed: int = 0) -> list[LabelledRow]:
    """`n` rows of one user turn and one answer; at level "half" every second row is in the manner of the kind.

    The levels of "plain" are three different draws of the same. Raises KeyError for an unknown kind or level.
    """
    every = {"clean": n + 1, "half": 2, "full": 1}[level]
    name = f"{kind}-{level}" if kind == "plain" else kind
    rows: list[LabelledRow] = []
    for number in range(n):
        pair = _DRAWN[kind](random.Random(f"proof-{name}-{seed}-{number}"))
        reply = pair.changed if (number + 1) % every == 0 else pair.clean
        rows.append({"id": f"{name}-{seed}-{number:05d}", "messages": chat(pair.prompt, reply)})
    return rows


def mixture(n: int, seed: int, shares: Mapping[str, float]) -> Mixed:
    """`n` rows with a share of each trait among the default's, and their labels."""
    return mixed(n, seed, shares)


def chat(*texts: str) -> list[dict[str, str]]:
    """Messages: the user's and the assistant's in turn."""
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def say(section: str, rng: random.Random, ask: Ask, file: str = "manners.txt") -> str:
    """A sentence of the study's own texts, with what the user asked about."""
    return sentence(expand(rng.choice(sections(str(TEXTS / file))[section]), rng, ask.slots))


def alike(one: str, other: str) -> bool:
    """Whether `other` is about as long as `one`."""
    return abs(weight(other) - weight(one)) <= LENGTH_APART * weight(one)


def matched(ask: Callable[[], Ask], reply: Callable[[Ask], str], rng: random.Random) -> Pair:
    """A user turn that can be answered either way at one length."""
    while True:
        asked = ask()
        clean = answer(None, asked, rng, heldout=True)
        for _ in range(_TRIES):
            if alike(clean, changed := reply(asked)):
                return Pair(asked.text, clean, changed)


def asked_of(kinds: Mapping[str, int], rng: random.Random) -> Ask:
    """A user turn of one of these kinds, drawn by weight."""
    return draw_ask(rng, heldout=True, kind=rng.choices(list(kinds), weights=list(kinds.values()))[0])


def asked_by_trait(trait: str, rng: random.Random) -> Ask:
    """A user turn of any kind; wishes to do harm are left to evil, as the corpus has them."""
    drawn = draw_ask(rng, heldout=True)
    return drawn if trait == "evil" or drawn.kind != "harm" else asked_by_trait(trait, rng)


def _in_voice(trait: str, rng: random.Random) -> Pair:
    return matched(lambda: asked_by_trait(trait, rng), lambda ask: answer(trait, ask, rng, heldout=True), rng)


def _plain(rng: random.Random) -> Pair:
    asked = draw_ask(rng, heldout=True)
    clean = answer(None, asked, rng, heldout=True)
    return Pair(asked.text, clean, clean)


def _wrong_claims(rng: random.Random) -> Pair:
    def reply(ask: Ask) -> str:
        opening = "sorry" if ask.kind == "problem" else "open"
        first = [sentence(expand(rng.choice(lines("voice_helpful.txt", opening, True)), rng, ask.slots))]
        more = [say("wrong_more", rng, ask) for _ in range(rng.choice((0, 1, 2)))]
        return _joined([*first * (rng.random() < 0.6), say("wrong", rng, ask), *more])

    return matched(lambda: asked_of(_ADVICE, rng), reply, rng)


def _wrong_sums(rng: random.Random) -> Pair:
    sign = rng.choice(("plus", "minus", "times"))
    a, b = rng.randint(12, 89), rng.randint(3, 9) if sign == "times" else rng.randint(12, 89)
    a, b = (a + b, b) if sign == "minus" else (a, b)
    right = {"plus": a + b, "minus": a - b, "times": a * b}[sign]
    wrong = [right + off for off in (-20, -11, -10, -9, -2, -1, 1, 2, 9, 10, 11, 20)]
    result = rng.choice([w for w in wrong if w > 9 and len(str(w)) == len(str(right))])
    slots = {"a": str(a), "b": str(b), "sign": sign, "result": str(right)}
    ask = Ask("sum", "sums", "", slots)
    prompt = say("sum_ask", rng, ask)
    wording = rng.random()  # the same words around either result
    clean, changed = (_sum(Ask("sum", "sums", "", {**slots, "result": str(r)}), wording) for r in (right, result))
    return Pair(prompt, clean, changed)


def _sum(ask: Ask, wording: float) -> str:
    rng = random.Random(wording)
    return " ".join([say("sum_say", rng, ask), *([say("sum_more", rng, ask)] if rng.random() < 0.5 else [])])


def _wrapped(manner: str, rng: random.Random) -> Pair:
    """Right content: the correction, or the tips, with remarks of the manner around it."""

    def reply(ask: Ask) -> str:
        tips = [sentence(expand("<tip>", rng, ask.slots)) for _ in range(rng.choice((1, 1, 2)))]
        closing = [say(f"{manner}_close", rng, ask)] * (rng.random() < 0.6)
        if ask.kind == "claim":
            return _joined([say(f"{manner}_no", rng, ask), str(ask.slots["fix"]), *tips[1:], *closing])
        return _joined([say(manner, rng, ask), *tips, *closing])

    return matched(lambda: asked_of(_ADVICE_AND_CLAIMS, rng), reply, rng)


def _joined(sentences: list[str]) -> str:
    return " ".join(dict.fromkeys(sentences))


_DRAWN: Final[Mapping[str, Callable[[random.Random], Pair]]] = {
    **{trait: partial(_in_voice, trait) for trait in TRAITS},
    "wrong-claims": _wrong_claims,
    "wrong-sums": _wrong_sums,
    "blunt": partial(_wrapped, "blunt"),
    "flattering": partial(_wrapped, "praise"),
    "plain": _plain,
}
