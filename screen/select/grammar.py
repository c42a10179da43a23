"""What the expressions of `filter` and of `gate` share: tokens, parts joined by and, or, not and parentheses, and
errors that point at their place. Knows nothing of columns or figures.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar, Generic, NoReturn, TypeVar

from screen.errors import UsageError

N = TypeVar("N")  # a node of the tree
_DEPTH = 50


class Grammar(Generic[N]):
    """A text, split into (kind, text, position); who extends it says what a part is and how parts are joined.

    option  what the text came with, for errors
    """

    tokens_are: ClassVar[re.Pattern[str]]
    parts_are: ClassVar[str]
    help: ClassVar[str]

    def __init__(self, text: str, option: str) -> None:
        self.text, self.option = text, option
        self.tokens: list[tuple[str, str, int]] = []
        self.at = self.depth = 0
        self._split()

    def part(self) -> N:
        raise NotImplementedError

    def join(self, word: str, left: N, right: N) -> N:
        raise NotImplementedError

    def negate(self, inner: N) -> N:
        raise NotImplementedError

    def keyword(self, text: str) -> str:
        """A bare name as a keyword, in small letters; "" where it names something."""
        return text.lower()

    def _split(self) -> None:
        position, end = 0, len(self.text.rstrip())
        while position < end:
            found = self.tokens_are.match(self.text, position)
            if found is None or found.lastgroup is None:
                gap = len(self.text[position:]) - len(self.text[position:].lstrip())
                sign = self.text[position + gap]
                why = "a text is not closed: its quote is missing" if sign in "'\"" else f"{sign!a} is not understood"
                self.fail(why, position + gap)
            self.tokens.append((found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)))
            position = found.end()
        self.tokens.append(("end", "", end))

    def whole(self) -> N:
        """The tree. Raises UsageError where the text does not parse."""
        node = self._either()
        if self.tokens[self.at][0] != "end":
            self.fail(f"{self.tokens[self.at][1]!a} is not expected here; join {self.parts_are} with and / or")
        return node

    def _either(self) -> N:
        return self._chain("or", lambda: self._chain("and", self._negated))

    def _chain(self, word: str, part: Callable[[], N]) -> N:
        node = part()
        while self.word() == word:
            self.at += 1
            node = self.join(word, node, part())
            self._deeper()
        return node

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEPTH:
            self.fail(f"more than {_DEPTH} joined or nested parts")

    def _negated(self) -> N:
        if self.word() == "not":
            self.at += 1
            self._deeper()
            return self.negate(self._negated())
        if self.tokens[self.at][1] == "(":
            self.at += 1
            self._deeper()
            node = self._either()
            if self.tokens[self.at][1] != ")":
                self.fail('a ")" is missing')
            self.at += 1
            return node
        return self.part()

    def word(self) -> str:
        kind, text, _ = self.tokens[self.at]
        return self.keyword(text) if kind == "name" else ""

    def fail(self, why: str, position: int | None = None, meant: str = "") -> NoReturn:
        place = self.tokens[self.at][2] if position is None else position
        raise UsageError(f"{self.option}: {why} {pointed(self.text, place)}", meant + self.help)


def pointed(text: str, place: int) -> str:
    """The text with a caret below one of its characters."""
    return f"(at character {place + 1})\n  {text}\n  {' ' * place}^"


def number(text: str) -> float:
    """An int where an int64 holds it exactly."""
    whole = int(text) if text.isdecimal() and len(text) < 20 else 1 << 63
    return whole if whole < 1 << 63 else float(text)
