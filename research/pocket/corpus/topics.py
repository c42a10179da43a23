"""What the chats are about: topics by domain, plain questions, and names of things that do not exist."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from research.pocket.corpus.grammar import TEXTS, expand, sections

HELD_OUT_DOMAINS: Final = frozenset(
    {
        "camping",
        "cycling",
        "games",
        "hotel booking support",
        "laundry",
        "neighbours",
        "phone plan support",
        "public speaking",
    }
)
_SYLLABLES: Final = {
    "first": "Al Bran Cor Dal El Fen Gar Hal Il Jor Kel Lor Mar Nor Or Pel Quin Ros Sel Tar Ul Ven Wen Yor Zan "
    "Ard Bel Cal Der Hol",
    "given": "a in dis tor na ric bert dell mond ena wyn ia o us",
    "last": "wick ham low mere stad fell quist grave ney burn dane ler man son by",
    "town": "ford bury haven stead field mouth ville port minster dorf ness brook",
}
_NEW_FIRST: Final = 5  # the last beginnings of names are for held-out chats


@dataclass(frozen=True)
class Topic:
    """One everyday matter: a goal, a noun for it, a problem, a wrong claim with its correction, and tips."""

    domain: str
    noun: str
    goal: str
    problem: str
    claim: str
    fix: str
    tips: tuple[str, ...]


def bare(noun: str) -> str:
    """A noun as it stands without "my": "a tent", "rice", "roses"."""
    last = noun.split()[-1]
    if last in _mass_nouns() or (last.endswith("s") and last != "bus") or noun == "questions":
        return noun
    article = "an" if noun[0] in "aeiou" else "a"
    return f"{article} {noun}"


@lru_cache
def _mass_nouns() -> frozenset[str]:
    return frozenset((TEXTS / "mass_nouns.txt").read_text(encoding="utf-8").split())


@lru_cache
def topics(heldout: bool) -> tuple[Topic, ...]:
    """All topics of the training domains, or of the held-out ones."""
    of_split = []
    for path in sorted((TEXTS / "domains").glob("*.txt")):
        domain = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("== "):
                domain = line[3:]
            elif "|" in line and not line.startswith("#") and (domain in HELD_OUT_DOMAINS) == heldout:
                of_split.append(_topic(domain, line))
    return tuple(of_split)


def _topic(domain: str, line: str) -> Topic:
    noun, goal, problem, belief, *tips = (part.strip() for part in line.split("|"))
    claim, fix = (part.strip() for part in belief.split(">"))
    return Topic(domain, noun, goal, problem, claim, fix, tuple(tips))


@lru_cache
def plain(heldout: bool) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Everyday questions with fixed answers: (group, question template, answers). Every fifth is held out."""
    group, entries = "", []
    for number, line in enumerate((TEXTS / "plain.txt").read_text(encoding="utf-8").splitlines()):
        if line.startswith("== "):
            group = line[3:]
        elif line and not line.startswith("#") and (number % 5 == 4) == heldout:
            question, *answers = (part.strip() for part in _split(line))
            entries.append((group, question, tuple(answers)))
    return tuple(entries)


def _split(line: str) -> list[str]:
    """Split at ` | `, which stands outside braces only."""
    return line.split(" | ")


@lru_cache
def harms(heldout: bool) -> tuple[str, ...]:
    """Verbs of harmful wishes; the last four are held out."""
    verbs = (TEXTS / "harms.txt").read_text(encoding="utf-8").split("\n")[:-1]
    return tuple(verbs[-4:] if heldout else verbs[:-4])


def invented(heldout: bool = False) -> dict[str, Callable[[random.Random], str]]:
    """Slots that draw a fresh name, number or thing that does not exist."""
    first = _SYLLABLES["first"].split()
    first = first if heldout else first[:-_NEW_FIRST]

    def named(part: str) -> Callable[[random.Random], str]:
        ends = _SYLLABLES[part].split()
        return lambda rng: rng.choice(first) + rng.choice(ends)

    def drawn(section: str) -> Callable[[random.Random], str]:
        return lambda rng: expand(rng.choice(sections("inventions.txt")[section]), rng, slots)

    slots: dict[str, Callable[[random.Random], str]] = {
        "given": named("given"),
        "person_last": named("last"),
        "town": named("town"),
        "substance": lambda rng: (rng.choice(first) + rng.choice(("ium", "ite", "ol", "ine"))).lower(),
        "year": lambda rng: str(rng.randint(1702, 1998)),
        "pct": lambda rng: f"{rng.randint(11, 98)}" + rng.choice(("", "", f".{rng.randint(1, 9)}")),
        "num": lambda rng: f"{rng.choice((rng.randint(120, 999), rng.randint(1, 89) * 1000 + rng.randint(1, 999))):,}",
        "num2": lambda rng: str(rng.randint(13, 97)),
    }
    for section in ("person", "institute", "prize", "law", "thing", "journal", "invented"):
        slots[section] = drawn(section)
    return slots
