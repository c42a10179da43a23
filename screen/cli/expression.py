"""The little language of `filter --drop`: text -> a tree that says which samples match. Knows nothing of files.

    evil > 4.3 or (sycophancy > reference.p99 and not base_refused)

A name is a column of `scores` that holds numbers or true/false; `"in quotes"` where it is no plain word. `run.pNN` is
that percentile of the column beside it over this run's samples, `reference.pNN` that of the run's clean reference,
which flags go by; `pNN` alone could mean either, and is refused. `flagged` is true for a row that any trait flags. As
in SQL a comparison with a null is neither true nor false, so that a row without a score never matches, not even under
`not`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from screen.errors import UsageError

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
      | (?P<percentile>(?:(?:run|reference)\s*\.\s*)?[pP]\d+(?:\.\d+)?(?!\w))
      | (?P<name>[^\W\d]\w*|"(?:[^"]|"")*")
      | (?P<op><=|>=|<>|!=|==|=|<|>)
      | (?P<mark>[()+-])
    )""",
    re.VERBOSE,
)
_COMPARE = {
    "<": pc.less,
    ">": pc.greater,
    "<=": pc.less_equal,
    ">=": pc.greater_equal,
    "=": pc.equal,
    "!=": pc.not_equal,
}
_SAME = {"==": "=", "<>": "!="}
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
_DEPTH = 50


class Percentile(NamedTuple):
    """`whose`: "run", of the column over the run's samples; "reference", of the run's clean reference."""

    whose: str
    number: float  # 0 to 100

    def __str__(self) -> str:
        return f"{self.whose}.p{self.number:g}"


Limits: TypeAlias = Mapping[tuple[str, Percentile], float]


@dataclass(frozen=True, slots=True)
class Compare:
    """`column op limit`; the limit is a number or a percentile of the column."""

    column: str
    op: str
    number: float | None = None
    percentile: Percentile | None = None

    def limit(self, limits: Limits) -> float:
        if self.percentile is not None:
            return limits[self.column, self.percentile]
        assert self.number is not None
        return self.number

    def test(self, table: pa.Table, limits: Limits) -> pa.ChunkedArray:
        column = table[self.column]
        if pa.types.is_floating(column.type):  # a float32 score against the number the user typed
            column = pc.if_else(pc.is_nan(column), None, column).cast(pa.float64())
        return _COMPARE[self.op](column, pa.scalar(self.limit(limits), pa.float64()))

    def __str__(self) -> str:
        return f"{self.column} {self.op} {self.percentile or f'{self.number:g}'}"


@dataclass(frozen=True, slots=True)
class IsTrue:
    """A true/false column by itself."""

    column: str

    def test(self, table: pa.Table, limits: Limits) -> pa.ChunkedArray:
        return table[self.column]

    def __str__(self) -> str:
        return self.column


@dataclass(frozen=True, slots=True)
class Not:
    inner: Node

    def test(self, table: pa.Table, limits: Limits) -> pa.ChunkedArray:
        return pc.invert(self.inner.test(table, limits))


@dataclass(frozen=True, slots=True)
class Both:
    """`and`, or `or`."""

    word: str
    left: Node
    right: Node

    def test(self, table: pa.Table, limits: Limits) -> pa.ChunkedArray:
        join = pc.and_kleene if self.word == "and" else pc.or_kleene
        return join(self.left.test(table, limits), self.right.test(table, limits))


Leaf: TypeAlias = Compare | IsTrue
Node: TypeAlias = Compare | IsTrue | Not | Both


def leaves(node: Node, positive: bool = True) -> Iterator[tuple[Leaf, bool]]:
    """The comparisons of a tree, each with whether it counts as it stands or negated."""
    if isinstance(node, Not):
        yield from leaves(node.inner, not positive)
    elif isinstance(node, Both):
        yield from leaves(node.left, positive)
        yield from leaves(node.right, positive)
    else:
        yield node, positive


def parse(text: str, columns: Mapping[str, pa.DataType]) -> Node:
    """The tree of `text` over `columns`. Raises UsageError with the position and what may stand there."""
    return _Parser(text, columns).whole()


class _Parser:
    def __init__(self, text: str, columns: Mapping[str, pa.DataType]) -> None:
        self.text, self.columns = text, columns
        self.tokens: list[tuple[str, str, int]] = []  # kind, text, position
        self.at = self.depth = 0
        self._split()

    def _split(self) -> None:
        position, end = 0, len(self.text.rstrip())
        while position < end:
            found = _TOKEN.match(self.text, position)
            if found is None or found.lastgroup is None:
                gap = len(self.text[position:]) - len(self.text[position:].lstrip())
                self._fail(f"{self.text[position + gap]!a} is not understood", position + gap)
            self.tokens.append((found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)))
            position = found.end()
        self.tokens.append(("end", "", end))

    def whole(self) -> Node:
        node = self._either()
        if self.tokens[self.at][0] != "end":
            self._fail(f"{self.tokens[self.at][1]!a} is not expected here; join comparisons with and / or")
        return node

    def _either(self) -> Node:
        return self._chain("or", lambda: self._chain("and", self._negated))

    def _chain(self, word: str, part: Callable[[], Node]) -> Node:
        node = part()
        while self._word() == word:
            self.at += 1
            node = Both(word, node, part())
            self._deeper(1)
        return node

    def _deeper(self, step: int) -> None:
        self.depth += step
        if self.depth > _DEPTH:
            self._fail(f"more than {_DEPTH} joined or nested parts")

    def _negated(self) -> Node:
        if self._word() == "not":
            self.at += 1
            self._deeper(1)
            return Not(self._negated())
        if self.tokens[self.at][1] == "(":
            self.at += 1
            self._deeper(1)
            node = self._either()
            if self.tokens[self.at][1] != ")":
                self._fail('a ")" is missing')
            self.at += 1
            return node
        return self._comparison()

    def _comparison(self) -> Node:
        start = self.tokens[self.at][2]
        left = self._operand()
        kind, sign, _ = self.tokens[self.at]
        if kind != "op":
            if isinstance(left, str) and pa.types.is_boolean(self.columns[left]):
                return IsTrue(left)
            self._fail("a comparison is missing, such as > 4.3")
        self.at += 1
        right = self._operand()
        if self.tokens[self.at][0] == "op":
            self._fail("one comparison at a time: write a < b and b < c")
        return self._compare(left, _SAME.get(sign, sign), right, start)

    def _compare(self, left: Any, op: str, right: Any, start: int) -> Compare:
        if not isinstance(left, str):
            left, op, right = right, _FLIPPED[op], left
        if not isinstance(left, str) or isinstance(right, str):
            self._fail("a comparison needs one column and one number (or run.pNN, reference.pNN)", start)
        if pa.types.is_boolean(self.columns[left]):
            self._fail(f"{left} is true or false: write {left} or not {left}", start)
        if isinstance(right, Percentile):
            return Compare(left, op, percentile=right)
        return Compare(left, op, number=right)

    def _operand(self) -> str | float | Percentile:
        kind, text, position = self.tokens[self.at]
        self.at += 1
        if text in "+-" and kind == "mark" and self.tokens[self.at][0] == "number":
            self.at += 1
            return float(text + self.tokens[self.at - 1][1])
        if kind == "number":
            return float(text)
        if kind == "percentile" and text not in self.columns:
            return self._percentile(text, position)
        if kind in ("name", "percentile"):
            return self._column(text, position)
        what = f"{text!a} stands" if text else "it ends"
        self._fail(f"{what} where a column or a number belongs", position)

    def _percentile(self, text: str, position: int) -> Percentile:
        whose, _, number = "".join(text.split()).lower().rpartition("p")
        if not whose:
            self._fail(f"{text} of what? run.p{number} is this run's, reference.p{number} the clean data's", position)
        value = 99.9 if number == "999" else float(number)  # a card writes p999
        if value > 100:
            self._fail(f"p{number} is no percentile: p0 to p100", position)
        return Percentile(whose.rstrip("."), value)

    def _column(self, text: str, position: int) -> str:
        name = text[1:-1].replace('""', '"') if text.startswith('"') else text
        if name not in self.columns:
            self._fail(f"there is no column {name!a}", position)
        return name

    def _word(self) -> str:
        kind, text, _ = self.tokens[self.at]
        return text.lower() if kind == "name" and text not in self.columns else ""

    def _fail(self, why: str, position: int | None = None) -> NoReturn:
        place = self.tokens[self.at][2] if position is None else position
        known = ", ".join(n if re.fullmatch(r"[^\W\d]\w*", n) else f'"{n}"' for n in self.columns)
        raise UsageError(
            f"--drop: {why} (at character {place + 1})\n  {self.text}\n  {' ' * place}^",
            f"use these columns: {known}; with < > <= >= = !=, numbers, run.p99, reference.p99, and, or, not, ( )",
        )
