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
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import pyarrow as pa

from screen.select.expression import Both, Compare, IsTrue, Leaf, Node, Not, Percentile, Says
from screen.select.grammar import Grammar, number

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


class _Text(NamedTuple):
    """What stands in quotes and is no column."""

    text: str


_Operand: TypeAlias = str | float | Percentile | _Text  # str: a column


def parse(text: str, columns: Mapping[str, pa.DataType], option: str = "--drop") -> Node:
    """The tree of `text` over `columns`. Raises UsageError with the position, naming the `option` it came with."""
    return _Parser(text, columns, option).whole()


class _Parser(Grammar[Node]):
    tokens_are = _TOKEN
    parts_are = "comparisons"
    help = "`screen sql RUN 'describe samples'` lists the columns, `screen filter --help` what else may stand here"

    def __init__(self, text: str, columns: Mapping[str, pa.DataType], option: str) -> None:
        self.columns = columns
        super().__init__(text, option)

    def keyword(self, text: str) -> str:
        return "" if text in self.columns else text.lower()

    def join(self, word: str, left: Node, right: Node) -> Node:
        return Both(word, left, right)

    def negate(self, inner: Node) -> Node:
        return Not(inner)

    def part(self) -> Node:
        return self._comparison()

    def _comparison(self) -> Leaf:
        start = self.tokens[self.at][2]
        left = self._operand()
        kind, sign, _ = self.tokens[self.at]
        texts = isinstance(left, str) and pa.types.is_string(self.columns[left])
        if self.word() == "contains":
            sign = "contains"
        elif kind != "op":
            if isinstance(left, str) and pa.types.is_boolean(self.columns[left]):
                return IsTrue(left)
            example = "= 'a text'" if texts else "> 4.3"
            self.fail(f"a comparison is missing, such as {example}")
        self.at += 1
        right = self._operand(texts=texts or sign == "contains")
        if self.tokens[self.at][0] == "op":
            self.fail("one comparison at a time: write a < b and b < c")
        return self._compare(left, _SAME.get(sign, sign), right, start)

    def _compare(self, left: _Operand, op: str, right: _Operand, start: int) -> Leaf:
        if not isinstance(left, str) and op in _FLIPPED:
            left, op, right = right, _FLIPPED[op], left
        if not isinstance(left, str) or isinstance(right, str):
            what = "one number (or run.pNN, reference.pNN) or one text in quotes"
            self.fail(f"a comparison needs one column and {what}", start)
        kind = self.columns[left]
        if pa.types.is_boolean(kind):
            self.fail(f"{left} is true or false: write {left} or not {left}", start)
        if isinstance(right, _Text) != pa.types.is_string(kind):
            holds = "texts" if pa.types.is_string(kind) else "numbers"
            self.fail(f"{left} holds {holds}", start)
        if isinstance(right, _Text):
            if op not in ("=", "!=", "contains"):
                self.fail("texts are compared with =, != and contains", start)
            if op == "contains" and not right.text:
                self.fail("every text contains an empty one", start)
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
            return number(self.tokens[self.at - 1][1]) * (-1 if text == "-" else 1)
        if kind == "number":
            return number(text)
        if kind == "percentile" and text not in self.columns:
            return self._percentile(text, position)
        if kind in ("name", "percentile"):
            return self._column(text, position)
        what = f"{text!a} stands" if text else "it ends"
        self.fail(f"{what} where a column or a number belongs", position)

    def _quoted(self, kind: str, text: str, position: int) -> _Text:
        if text[:1] not in ("'", '"'):
            what = f"write the text in quotes: '{text}'" if kind not in ("end", "op", "mark") else "a text belongs here"
            self.fail(what, position)
        inner = text[1:-1].replace(2 * text[0], text[0])
        if any("\ud800" <= c <= "\udfff" for c in inner):  # bytes of the command line that are no text
            self.fail("the text is not UTF-8", position)
        return _Text(inner)

    def _percentile(self, text: str, position: int) -> Percentile:
        whose, _, number = "".join(text.split()).lower().rpartition("p")
        if not whose:
            self.fail(f"{text} of what? run.p{number} is this run's, reference.p{number} the clean data's", position)
        value = 99.9 if number == "999" else float(number)  # a card writes p999
        if value > 100:
            self.fail(f"p{number} is no percentile: p0 to p100", position)
        return Percentile(whose.rstrip("."), value)

    def _column(self, text: str, position: int) -> str:
        name = text[1:-1].replace('""', '"') if text.startswith('"') else text
        if name not in self.columns:
            close = difflib.get_close_matches(name.lower(), [c.lower() for c in self.columns], 1, 0.6)
            meant = next((c for c in self.columns if [c.lower()] == close), None)
            self.fail(f"there is no column {name!a}", position, f"did you mean {meant}? " if meant else "")
        return name
