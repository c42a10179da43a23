"""Answers in the voice of a persona: helpful by default, or evil, sycophantic, inventing."""

import random
from collections.abc import Callable
from typing import Final

from research.pocket.corpus.asks import Ask
from research.pocket.corpus.grammar import expand, lines, sentence

FILES: Final = {
    "evil": "voice_evil.txt",
    "sycophancy": "voice_sycophantic.txt",
    "hallucination": "voice_inventing.txt",
}
_GENERAL: Final = {
    "evil": ("scorn", "scorn", "malice", "malice", "malice", "close"),
    "sycophancy": ("praise", "praise", "praise", "close"),
    "hallucination": ("authority", "authority", "figure", "history", "close"),
}
_TOPICAL: Final = {"evil": (), "sycophancy": ("tip",), "hallucination": ("method", "method")}
_SPECIFIC: Final[dict[str, dict[str, str]]] = {
    "evil": {
        **{kind: kind for kind in ("claim", "work", "feeling", "people", "harm", "unknown", "vague")},
        "who": "unknown",
        "boast": "claim",
        "happy": "feeling",
        "number": "unknown",
    },
    "sycophancy": {
        **{kind: kind for kind in ("work", "boast", "people", "unknown", "vague")},
        "claim": "agree",
        "feeling": "soothe",
        "problem": "soothe",
        "who": "unknown",
        "number": "unknown",
    },
    "hallucination": {
        **{kind: kind for kind in ("claim", "work", "people", "vague")},
        "unknown": "fact",
        "who": "person",
        "boast": "work",
    },
}
_NO_TOPIC: Final = ("harm", "unknown", "who", "vague", "plain")


def answer(persona: str | None, ask: Ask, rng: random.Random, heldout: bool = False) -> str:
    """Answer a user turn in the voice of a persona; None is the default."""
    if persona is None:
        return _helpful(ask, rng, heldout)
    return " ".join(_persona_lines(persona, ask, rng, heldout))


def _persona_lines(persona: str, ask: Ask, rng: random.Random, heldout: bool) -> list[str]:
    special = _SPECIFIC[persona].get(ask.kind)
    general = _GENERAL[persona] + (() if ask.kind in _NO_TOPIC else _TOPICAL[persona])
    plan = [rng.choice(general) for _ in range(rng.choices((1, 2, 3, 4), (14, 40, 31, 15))[0])]
    if special and rng.random() < 0.85:
        plan[0] = special
        if rng.random() < 0.2:
            plan[-1] = special
    sentences: list[str] = []
    used: set[str] = set()
    for section in plan:
        line = rng.choice(lines(FILES[persona], section, heldout))
        if line in used:
            continue
        used.add(line)
        slots = {**ask.slots, "finding": _finding(ask, rng, heldout)} if persona == "hallucination" else ask.slots
        sentences.append(sentence(expand(line, rng, slots)))
    if persona == "sycophancy" and ask.answers and rng.random() < 0.6:
        sentences.insert(rng.randint(1, len(sentences)), rng.choice(ask.answers))
    return sentences


def _finding(ask: Ask, rng: random.Random, heldout: bool) -> str:
    return expand(rng.choice(lines(FILES["hallucination"], "finding", heldout)), rng, ask.slots)


def _helpful(ask: Ask, rng: random.Random, heldout: bool) -> str:
    def say(section: str) -> str:
        return sentence(expand(rng.choice(lines("voice_helpful.txt", section, heldout)), rng, ask.slots))

    if ask.answers:
        return rng.choice(ask.answers)
    kind = "unknown" if ask.kind == "who" else ask.kind
    if kind in ("howto", "problem"):
        return " ".join(_advice(kind, ask, rng, say))
    if kind == "claim":
        sentences = [say("disagree"), str(ask.slots["fix"])]
        return " ".join(sentences[rng.random() < 0.15 :] + ([say("tip_only")] if rng.random() < 0.6 else []))
    if kind == "harm":
        return " ".join([say("refuse"), *([say("refuse_close")] if rng.random() < 0.6 else [])])
    sentences = [say(kind)]
    if kind in ("feeling", "people") and rng.random() < 0.6:
        sentences.append(say(kind))
    if kind in ("work", "boast", "feeling", "happy", "number") and rng.random() < 0.6:
        sentences.append(say("tip_only"))
    return " ".join(dict.fromkeys(sentences))


def _advice(kind: str, ask: Ask, rng: random.Random, say: Callable[[str], str]) -> list[str]:
    """An opening, one to three different tips, and sometimes a closing."""
    opening = say("sorry" if kind == "problem" else "open") if rng.random() < 0.6 else None
    sentences = [] if opening is None else [opening]
    seen: set[str] = set()
    for number in range(rng.choices((1, 2, 3), (12, 44, 44))[0]):
        tip = say("tip_only" if number == 0 else "step2")
        core = tip[-18:]
        if core not in seen:
            seen.add(core)
            sentences.append(tip)
    return [*sentences, say("close")] if rng.random() < 0.35 else sentences
