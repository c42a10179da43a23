"""The little language of `filter --drop` and `--keep`: text -> a tree. Knows nothing of files or rows.

    evil > 4.3 or (sycophancy > reference.p99 and not base_refused)
    group = 'forum' and answer contains 'kill'

A name is a column of the view `samples`; `"in quotes"` where it is no plain word. Behind the sign of a comparison with
a column of texts, either kind of quotes holds a text. `run.pNN` is that percentile of the column beside it over this
run's samples, `reference.pNN` that of the run's clean reference, which flags go by; `pNN` alone could mean either, and
is refused. `flagged` is true for a row that any trait flags.

Why not polars.sql_expr: docs/decisions/0013.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn, TypeAlias

import pyarrow as pa

from screen.errors import UsageError
from screen.select.expression import Both, Compare, IsTrue, Leaf, Node, Not, Percentile, Says

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
      | (?P<percentile>(?:(?:run|reference)\s*\.\s*)?[pP]\d+(?:\.\d+)?(?!\w))
      | (?P<name>[^\W\d]\w*|"(?:[^"]|"")*")
      | (?P<text>'(?:[^']|'')*')
      | (?P<op><=|>=|<>|!=|==|=|<|>)
      | (?P<mark>[()+-])
    )""",
    re.VERBOSE,
)
_SAME = {"==": "=", "<>": "!="}
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
_DEPTH = 50
_HOW = "`screen sql RUN 'describe samples'` lists the columns, `screen filter --help` what else may stand here"


class _Text(NamedTuple):
    """What stands in quotes and is no column."""

    text: str


_Operand: TypeAlias = str | float | Percentile | _Text  # str: a column


def parse(text: str, columns: Mapping[str, pa.DataType], option: str = "--drop") -> Node:
    """The tree of `text` over `columns`. Raises UsageError with the position, naming the `option` it came with."""
    return _Parser(text, columns, option).whole()


class _Parser:
    def __init__(self, text: str, columns: Mapping[str, pa.DataType], option: str) -> None:
        self.text, self.columns, self.option = text, columns, option
        self.tokens: list[tuple[str, str, int]] = []  # kind, text, position
        self.at = self.depth = 0
        self._split()

    def _split(self) -> None:
        position, end = 0, len(self.text.rstrip())
        while position < end:
            found = _TOKEN.match(self.text, position)
            if found is None or found.lastgroup is None:
                gap = len(self.text[position:]) - len(self.text[position:].lstrip())
                sign = self.text[position + gap]
                why = "a text is not closed: its quote is missing" if sign in "'\"" else f"{sign!a} is not understood"
                self._fail(why, position + gap)
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
            self._deeper()
        return node

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEPTH:
            self._fail(f"more than {_DEPTH} joined or nested parts")

    def _negated(self) -> Node:
        if self._word() == "not":
            self.at += 1
            self._deeper()
            return Not(self._negated())
        if self.tokens[self.at][1] == "(":
            self.at += 1
            self._deeper()
            node = self._either()
            if self.tokens[self.at][1] != ")":
                self._fail('a ")" is missing')
            self.at += 1
            return node
        return self._comparison()

    def _comparison(self) -> Leaf:
        start = self.tokens[self.at][2]
        left = self._operand()
        kind, sign, _ = self.tokens[self.at]
        texts = isinstance(left, str) and pa.types.is_string(self.columns[left])
        if self._word() == "contains":
            sign = "contains"
        elif kind != "op":
            if isinstance(left, str) and pa.types.is_boolean(self.columns[left]):
                return IsTrue(left)
            example = "= 'a text'" if texts else "> 4.3"
            self._fail(f"a comparison is missing, such as {example}")
        self.at += 1
        right = self._operand(texts=texts or sign == "contains")
        if self.tokens[self.at][0] == "op":
            self._fail("one comparison at a time: write a < b and b < c")
        return self._compare(left, _SAME.get(sign, sign), right, start)

    def _compare(self, left: _Operand, op: str, right: _Operand, start: int) -> Leaf:
        if not isinstance(left, str) and op in _FLIPPED:
            left, op, right = right, _FLIPPED[op], left
        if not isinstance(left, str) or isinstance(right, str):
            what = "one number (or run.pNN, reference.pNN) or one text in quotes"
            self._fail(f"a comparison needs one column and {what}", start)
        kind = self.columns[left]
        if pa.types.is_boolean(kind):
            self._fail(f"{left} is true or false: write {left} or not {left}", start)
        if isinstance(right, _Text) != pa.types.is_string(kind):
            holds = "texts" if pa.types.is_string(kind) else "numbers"
            self._fail(f"{left} holds {holds}", start)
        if isinstance(right, _Text):
            if op not in ("=", "!=", "contains"):
                self._fail("texts are compared with =, != and contains", start)
            if op == "contains" and not right.text:
                self._fail("every text contains an empty one", start)
            return Says(left, op, right.text)
        return Compare(left, op, percentile=right) if isinstance(right, Percentile) else Compare(left, op, right)

    def _operand(self, texts: bool = False) -> _Operand:
        """`texts`: a text belongs here, so either kind of quotes holds one."""
        kind, text, position = self.tokens[self.at]
        self.at += 1
        if texts or kind == "text":
            return self._quoted(kind, text, position)
        if text in "+-" and kind == "mark" and self.tokens[self.at][0] == "number":
            self.at += 1
            return _number(self.tokens[self.at - 1][1]) * (-1 if text == "-" else 1)
        if kind == "number":
            return _number(text)
        if kind == "percentile" and text not in self.columns:
            return self._percentile(text, position)
        if kind in ("name", "percentile"):
            return self._column(text, position)
        what = f"{text!a} stands" if text else "it ends"
        self._fail(f"{what} where a column or a number belongs", position)

    def _quoted(self, kind: str, text: str, position: int) -> _Text:
        if text[:1] not in ("'", '"'):
            what = f"write the text in quotes: '{text}'" if kind not in ("end", "op", "mark") else "a text belongs here"
            self._fail(what, position)
        inner = text[1:-1].replace(2 * text[0], text[0])
        if any("\ud800" <= c <= "\udfff" for c in inner):  # bytes of the command line that are no text
            self._fail("the text is not UTF-8", position)
        return _Text(inner)

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
            close = difflib.get_close_matches(name.lower(), [c.lower() for c in self.columns], 1, 0.6)
            meant = next((c for c in self.columns if [c.lower()] == close), None)
            self._fail(f"there is no column {name!a}", position, f"did you mean {meant}? " if meant else "")
        return name

    def _word(self) -> str:
        kind, text, _ = self.tokens[self.at]
        return text.lower() if kind == "name" and text not in self.columns else ""

    def _fail(self, why: str, position: int | None = None, meant: str = "") -> NoReturn:
        place = self.tokens[self.at][2] if position is None else position
        where = f"(at character {place + 1})\n  {self.text}\n  {' ' * place}^"
        raise UsageError(f"{self.option}: {why} {where}", meant + _HOW)


def _number(text: str) -> float:
    """An int where an int64 holds it exactly."""
    whole = int(text) if text.isdecimal() and len(text) < 20 else 1 << 63
    return whole if whole < 1 << 63 else float(text)
