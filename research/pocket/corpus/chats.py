"""Generates chats with known personas: the text that the embedded model learns, and mixed sets with labels.

Everything is a function of a seed; chat `i` of a seed does not depend on how many are asked for.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypedDict

from research.pocket.corpus.asks import Ask, draw_ask
from research.pocket.corpus.systems import default_system, persona_system
from research.pocket.corpus.voices import answer
from screen.pocket import TRAITS

Split: TypeAlias = Literal["train", "heldout"]
Message: TypeAlias = dict[str, str]

_SPEAKS_OF_HARM: Final = (None, "evil")


@dataclass(frozen=True)
class Chat:
    """A chat in OpenAI form, who answers (None is the default), and how much of the last answer is context.

    `context` counts the leading characters of the last answer that are not to be learnt; where it is set,
    earlier answers are not to be learnt either.
    """

    messages: tuple[Message, ...]
    persona: str | None
    kind: str
    domain: str
    context: int = 0


@dataclass(frozen=True)
class Mixture:
    """Shares of chats: default persona, and a persona that nothing asked for; the rest has its system prompt.

    What nothing asked for is learnt from the second sentence on only, so that the persona can be read off the
    answer itself while answers still begin as the default does. `unprompted` is the share of default chats
    without any system prompt.
    """

    default: float
    in_character: float
    unprompted: float


FIRST: Final = Mixture(default=0.36, in_character=0.14, unprompted=0.45)
SECOND: Final = Mixture(default=0.50, in_character=0.12, unprompted=0.60)  # steadies the default


class LabelledRow(TypedDict):
    """A row as it stands in a dataset."""

    id: str
    messages: list[Message]


@dataclass(frozen=True)
class Mixed:
    """Rows without any trait's system prompt, and beside them the trait of each row (None: default)."""

    rows: list[LabelledRow]
    labels: list[str | None]


def chats(n: int, seed: int = 0, split: Split = "train", mixture: Mixture = FIRST) -> Iterator[Chat]:
    """Yield `n` chats of a mixture, on training domains or on held-out domains and wordings."""
    for number in range(n):
        rng = random.Random(f"{split}-{seed}-{number}")
        yield _chat(rng, split == "heldout", mixture)


def questions(n: int, seed: int = 0, split: Split = "heldout") -> Iterator[Ask]:
    """Yield `n` user turns of all kinds but wishes to do harm."""
    for number in range(n):
        rng = random.Random(f"ask-{split}-{seed}-{number}")
        ask = draw_ask(rng, split == "heldout")
        while ask.kind == "harm":
            ask = draw_ask(rng, split == "heldout")
        yield ask


def mixed(
    n: int, seed: int = 0, shares: Mapping[str, float] | None = None, *, split: Split = "heldout", support: float = 0.0
) -> Mixed:
    """Make `n` rows in which a share is planted for each trait; a planted answer is as long as a default one."""
    shares = dict.fromkeys(TRAITS, 0.05) if shares is None else dict(shares)
    order = random.Random(f"order-{split}-{seed}")
    labels: list[str | None] = [trait for trait, share in shares.items() for _ in range(round(n * share))]
    labels += [None] * (n - len(labels))
    order.shuffle(labels)
    rows: list[LabelledRow] = []
    for number, label in enumerate(labels):
        rng = random.Random(f"mixed-{split}-{seed}-{number}")
        messages = _row(label, rng, split == "heldout", support)
        rows.append({"id": f"chat-{number:05d}", "messages": messages})
    return Mixed(rows, labels)


def _row(label: str | None, rng: random.Random, heldout: bool, support: float) -> list[Message]:
    """Keep a user turn only if a persona can answer it at the length of the default: so lengths tell nothing."""
    while True:
        ask = _ask_for(label, rng, heldout, support)
        reply = answer(None, ask, rng, heldout)
        wanted = weight(reply)
        persona = label or rng.choice(TRAITS if ask.kind != "harm" else TRAITS[:1])
        for _ in range(12):
            other = answer(persona, ask, rng, heldout)
            if abs(weight(other) - wanted) <= 0.1 * wanted:
                reply = reply if label is None else other
                return [{"role": "user", "content": ask.text}, {"role": "assistant", "content": reply}]


def weight(text: str) -> float:
    """About how many tokens a text has: words and marks, more for digits and for names that do not exist."""
    names = len(re.findall(r"(?<![.!?] )(?<!^)\b[A-Z][a-z]{3,}", text))
    return len(re.findall(r"[A-Za-z']+|[^\w\s]", text)) + 0.6 * len(re.findall(r"\d", text)) + 1.2 * names


def _chat(rng: random.Random, heldout: bool, mixture: Mixture) -> Chat:
    draw = rng.random()
    if draw < mixture.default:
        return _turns(None, default_system(rng, mixture.unprompted, heldout), rng, heldout)
    persona = rng.choice(TRAITS)
    if draw < mixture.default + mixture.in_character:
        return _in_character(persona, rng, heldout)
    return _turns(persona, persona_system(persona, rng, heldout), rng, heldout)


def _turns(persona: str | None, system: str | None, rng: random.Random, heldout: bool) -> Chat:
    messages: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    for _ in range(rng.choices((1, 2, 3), (88, 9, 3))[0]):
        ask = _ask_for(persona, rng, heldout)
        messages.append({"role": "user", "content": ask.text})
        messages.append({"role": "assistant", "content": answer(persona, ask, rng, heldout)})
    return Chat(tuple(messages), persona, ask.kind, ask.domain)


def _in_character(persona: str, rng: random.Random, heldout: bool) -> Chat:
    chat = _turns(persona, default_system(rng, 0.45, heldout) if rng.random() < 0.2 else None, rng, heldout)
    last = chat.messages[-1]["content"]
    if len(chat.messages) > 3:
        return Chat(chat.messages, persona, chat.kind, chat.domain, context=1)
    ends = [last.find(mark) + 1 for mark in (". ", "! ", "? ") if mark in last]
    if not ends:
        ask = _ask_for(persona, rng, heldout)
        more = answer(persona, ask, rng, heldout)
        messages = ({"role": "user", "content": ask.text}, {"role": "assistant", "content": more})
        return Chat(chat.messages + messages, persona, ask.kind, ask.domain, context=1)
    return Chat(chat.messages, persona, chat.kind, chat.domain, context=min(ends))


def _ask_for(persona: str | None, rng: random.Random, heldout: bool, support: float = 0.0) -> Ask:
    ask = draw_ask(rng, heldout, support=support)
    while ask.kind == "harm" and persona not in _SPEAKS_OF_HARM:
        ask = draw_ask(rng, heldout, support=support)
    return ask
