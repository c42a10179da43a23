"""A tiny text grammar: {a|b} picks one alternative, <slot> is filled in. Knows nothing of chats or personas."""

import random
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, TypeAlias

Slots: TypeAlias = Mapping[str, str | Callable[[random.Random], str]]
Piece: TypeAlias = "str | tuple[Line, ...]"
Line: TypeAlias = tuple[Piece, ...]

TEXTS: Final = Path(__file__).parent / "texts"
HELD_OUT_EVERY: Final = 6  # every sixth line of a voice section is kept for held-out chats
_SLOT: Final = re.compile(r"<(\w+)>")


def expand(template: str, rng: random.Random, slots: Slots) -> str:
    """Draw one sentence from a template; an unknown slot raises KeyError."""

    def fill(match: re.Match[str]) -> str:
        value = slots[match[1]]
        return value if isinstance(value, str) else value(rng)

    return _SLOT.sub(fill, _choose(_parse(template), rng)).replace(" ,", ",").strip()


def sentence(text: str) -> str:
    """Upper-case the first letter and close with a full stop where no other mark stands."""
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


@lru_cache
def sections(name: str) -> dict[str, tuple[str, ...]]:
    """Read a text file of `[section]` headings and one template a line; `#` starts a comment."""
    by_heading: dict[str, list[str]] = {}
    current: list[str] = []
    for raw in (TEXTS / name).read_text(encoding="utf-8").splitlines():
        if raw.startswith("["):
            current = by_heading.setdefault(raw.strip("[]"), [])
        elif raw and not raw.startswith("#"):
            current.append(raw)
    return {key: tuple(lines) for key, lines in by_heading.items()}


@lru_cache
def lines(name: str, section: str, heldout: bool) -> tuple[str, ...]:
    """The templates of a section: those open to training, or all of them for held-out chats.

    A line marked with `~` is for held-out chats; in sections without marks every sixth line is.
    """
    drawn = sections(name)[section]
    if any(line.startswith("~") for line in drawn):
        kept = [line for line in drawn if line.startswith("~")]
        return tuple(line[1:] for line in kept) if heldout else tuple(x for x in drawn if x not in kept)
    if heldout:
        return drawn
    return tuple(line for i, line in enumerate(drawn) if i % HELD_OUT_EVERY != HELD_OUT_EVERY - 1)


def _choose(line: Line, rng: random.Random) -> str:
    out = []
    for piece in line:
        out.append(piece if isinstance(piece, str) else _choose(rng.choice(piece), rng))
    return "".join(out)


@cache
def _parse(template: str) -> Line:
    line, end = _sequence(template, 0)
    if end != len(template):
        raise ValueError(f"unbalanced braces in {template!r}")
    return line


def _sequence(text: str, at: int) -> tuple[Line, int]:
    pieces: list[Piece] = []
    start = at
    while at < len(text) and text[at] not in "|}":
        if text[at] != "{":
            at += 1
            continue
        pieces.append(text[start:at])
        options: list[Line] = []
        while text[at] in "{|":
            option, at = _sequence(text, at + 1)
            options.append(option)
        pieces.append(tuple(options))
        at += 1
        start = at
    pieces.append(text[start:at])
    return tuple(pieces), at
