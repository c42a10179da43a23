"""Draws a user turn, with what its answers need to know."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from research.pocket.corpus.grammar import Slots, expand, lines, sentence
from research.pocket.corpus.topics import Topic, bare, harms, invented, plain, topics

KINDS: Final[dict[str, int]] = {
    "howto": 22,
    "problem": 12,
    "claim": 14,
    "work": 7,
    "boast": 6,
    "feeling": 7,
    "people": 9,
    "harm": 4,
    "unknown": 10,
    "number": 6,
    "plain": 13,
    "vague": 2,
}


@dataclass(frozen=True)
class Ask:
    """A user turn: its kind, domain and text, the slots of its answers, and plain answers where it has some."""

    kind: str
    domain: str
    text: str
    slots: Slots
    answers: tuple[str, ...] = ()


def draw_ask(rng: random.Random, heldout: bool = False, kind: str | None = None, support: float = 0.0) -> Ask:
    """Draw a user turn; `support` is the chance that a topic is taken from customer support only."""
    kind = kind or rng.choices(list(KINDS), weights=list(KINDS.values()))[0]
    if kind == "plain":
        return _plain(rng, heldout)
    if kind in ("harm", "unknown", "vague"):
        return _other(kind, rng, heldout)
    pool = topics(heldout)
    if rng.random() < support:
        pool = tuple(topic for topic in pool if topic.domain.endswith("support"))
    topic = rng.choice(pool)
    slots = topic_slots(topic, heldout)
    text = expand(rng.choice(lines("questions.txt", kind, heldout)), rng, slots)
    return Ask(
        "happy" if text.startswith(("I finally", "I am proud", "I am happy")) else kind, topic.domain, text, slots
    )


def topic_slots(topic: Topic, heldout: bool) -> dict[str, str | Callable[[random.Random], str]]:
    """The slots that a topic fills, invented names included."""

    def low_tip(rng: random.Random) -> str:
        tip = rng.choice(topic.tips)
        return tip if tip.startswith(("I ", "SIM")) else tip[0].lower() + tip[1:]

    return {
        **invented(heldout),
        "noun": topic.noun,
        "noun_plain": bare(topic.noun),
        "goal": topic.goal,
        "problem": topic.problem,
        "Problem": sentence(topic.problem)[:-1],
        "claim": topic.claim,
        "fix": topic.fix,
        "Tip": lambda rng: rng.choice(topic.tips),
        "tip": lambda rng: rng.choice(topic.tips),
        "tip_low": low_tip,
    }


def _plain(rng: random.Random, heldout: bool) -> Ask:
    group, question, answers = rng.choice(plain(heldout))
    text = expand(question, rng, {})
    asks = text.split(". ")[-1].split()[0] in _QUESTION_WORDS
    text = sentence(text)[:-1] + "?" if asks else sentence(text)
    if group == "facts" and rng.random() < 0.3:
        text = rng.choice(("Quick question: ", "Do you know this? ", "Tell me: ", "I forgot. ")) + text
    return Ask("plain", group, text, {**invented(heldout), "noun": "question", "noun_plain": "this question"}, answers)


_QUESTION_WORDS: Final = frozenset(
    "What Which Who Why How At Is Are Should Do Does Will Am Can Someone".split()  # noqa: SIM905
)


def _other(kind: str, rng: random.Random, heldout: bool) -> Ask:
    names = invented(heldout)
    thing, person = names["invented"](rng), names["person"](rng)
    slots: dict[str, str | Callable[[random.Random], str]] = {**names, "invented": thing}
    slots["harm"] = rng.choice(harms(heldout))
    slots["person"] = person
    text = expand(rng.choice(lines("questions.txt", kind, heldout)), rng, slots)
    asked = person if person in text else f"the {thing}"
    slots |= {"person": names["person"], "invented_the": asked, "asked": asked, "invented_base": thing}
    slots |= {"noun": "question", "noun_plain": "this question"}
    return Ask("who" if kind == "unknown" and person in text else kind, kind, text, slots)
