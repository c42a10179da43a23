"""The language of gates: text -> Gate. Knows nothing of files, and of a run no more than its traits.

    evil > 1%                      the share of judged samples that is flagged: share(evil) > 1%
    count(evil) > 20               flagged samples
    max(evil) > p99.9              the highest score, against a percentile of clean rows
    mean(evil) > reference         the dataset's mean, against that of clean rows
    group('forum', evil) > 2%      the share within one group
    skipped > 0.5%                 rows that could not be scored; count(skipped) > 3
    verdict(evil) = review         or nothing, or cannot-tell; `cannot-tell` by itself: of any trait

joined by and, or, not and parentheses. docs/gates.md has what each means, and when a figure does not exist.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Final, get_args

from screen.errors import UsageError
from screen.scoring.findings.verdict import Kind
from screen.select.gates.tree import (
    Condition,
    Figure,
    FigureKind,
    Gate,
    GateNode,
    Joined,
    Limit,
    Negated,
    OfReference,
    conditions,
)
from screen.select.grammar import Grammar, number, pointed

CANNOT_TELL: Final = "cannot-tell"
VERDICTS: Final = get_args(Kind)
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
      | (?P<percentile>(?:(?:run|reference)\s*\.\s*)?[pP]\d+(?:\.\d+)?(?![\w-]))
      | (?P<name>[^\W\d][\w-]*|"(?:[^"]|"")*")
      | (?P<text>'(?:[^']|'')*')
      | (?P<op><=|>=|<>|!=|==|=|<|>)
      | (?P<mark>[()+%,-])
    )""",
    re.VERBOSE,
)
_FUNCTIONS: dict[str, FigureKind] = {
    "share": "share", "count": "count", "max": "max", "mean": "mean", "verdict": "verdict", "group": "group"
}  # fmt: skip
_SHARES = ("share", "group", "skipped")
_SAME = {"==": "=", "<>": "!="}
_KEYWORDS = ("and", "or", "not")


def parse(text: str, option: str = "gate") -> Gate:
    """Raises UsageError with the position where the text is no gate; `option` is what it came with."""
    return Gate(text, _GateParser(text, option).whole(), option)


def check_names(gates: Iterable[Gate], traits: Collection[str]) -> None:
    """Raises UsageError for a gate on a trait that is not scored."""
    for gate in gates:
        for figure in (condition.figure for condition, _ in conditions(gate.tree)):
            if figure.trait is not None and figure.trait not in traits:
                close = difflib.get_close_matches(figure.trait, traits, 1)
                hint = f"did you mean {close[0]}? " if close else ""
                raise UsageError(
                    f"{gate.option} names {figure.trait!a}, which is not scored {pointed(gate.text, figure.at)}",
                    f"{hint}scored are {', '.join(traits)}",
                )


class _GateParser(Grammar[GateNode]):
    tokens_are = _TOKEN
    parts_are = "gates"
    help = "write 'evil > 1%', 'mean(evil) > reference' or 'skipped > 0.5%'; `screen gate --help` has all"

    def join(self, word: str, left: GateNode, right: GateNode) -> GateNode:
        return Joined(word, left, right)

    def negate(self, inner: GateNode) -> GateNode:
        return Negated(inner)

    def part(self) -> Condition:
        figure, bare = self._figure()
        kind, op, at = self.tokens[self.at]
        if kind != "op":
            if bare and figure.trait == CANNOT_TELL:
                return Condition(Figure("told"), "=", CANNOT_TELL)
            close = difflib.get_close_matches(figure.trait or "", [CANNOT_TELL], 1) if bare else []
            self.fail("a comparison is missing, such as > 1%", meant=f"did you mean {close[0]}? " if close else "")
        self.at += 1
        op = _SAME.get(op, op)
        if bare and op in ("=", "!="):
            figure = Figure("verdict", figure.trait, at=figure.at)
        if (op in ("=", "!=")) != (figure.kind == "verdict"):
            which = "= and !=" if figure.kind == "verdict" else ">, >=, < and <="
            self.fail(f"{figure} is compared with {which}", at)
        limit = self._limit(figure)
        if self.tokens[self.at][0] == "op":
            self.fail("one comparison at a time; join them with and")
        return Condition(figure, op, limit)

    def _figure(self) -> tuple[Figure, bool]:
        """(what is measured, whether it is a trait's bare name)."""
        kind, text, at = self.tokens[self.at]
        if kind not in ("name", "percentile") or self.word() in _KEYWORDS:
            what = f"{text!a} stands" if text else "it ends"
            self.fail(f"{what} where a figure belongs: a trait, or max(...), mean(...), count(...)")
        if self.tokens[self.at + 1][1] == "(":
            return self._function(text.lower(), at), False
        name = self._name()
        if text.lower() == "skipped":
            return Figure("skipped"), False
        return Figure("share", name, at=at), True

    def _function(self, name: str, at: int) -> Figure:
        if name not in _FUNCTIONS:
            close = difflib.get_close_matches(name, _FUNCTIONS, 1)
            meant = f"did you mean {close[0]}? " if close else f"there are {', '.join(_FUNCTIONS)}; "
            self.fail(f"there is no figure {name!a}", at, meant)
        self.at += 2
        group = None
        if name == "group":
            group = self._group()
        start = self.tokens[self.at][2]
        bare = self.word() == "skipped"
        trait = self._name()
        if self.tokens[self.at][1] != ")":
            self.fail('a ")" is missing')
        self.at += 1
        if bare and name in ("share", "count"):
            return Figure("skipped" if name == "share" else "skipped-count")
        return Figure(_FUNCTIONS[name], trait, group, start)

    def _group(self) -> str:
        kind, text, _ = self.tokens[self.at]
        if kind != "text":
            self.fail("group takes a name in quotes and a trait: group('forum', evil)")
        if any("\ud800" <= c <= "\udfff" for c in text):  # bytes of the command line that are no text
            self.fail("the group is not UTF-8")
        self.at += 1
        if self.tokens[self.at][1] != ",":
            self.fail("a comma and a trait are missing: group('forum', evil)")
        self.at += 1
        return text[1:-1].replace("''", "'")

    def _name(self) -> str:
        """A trait, in quotes or of several words."""
        kind, text, start = self.tokens[self.at]
        if kind not in ("name", "percentile") or self.word() in _KEYWORDS:
            self.fail(f"{text!a} stands where a trait belongs" if text else "it ends where a trait belongs")
        self.at += 1
        if text.startswith('"'):
            return text[1:-1].replace('""', '"')
        end = start + len(text)
        while self.tokens[self.at][0] in ("name", "number") and self.word() not in _KEYWORDS:
            end = self.tokens[self.at][2] + len(self.tokens[self.at][1])
            self.at += 1
        return self.text[start:end]

    def _limit(self, figure: Figure) -> Limit:
        kind, text, at = self.tokens[self.at]
        if figure.kind == "verdict":
            return self._verdict(text.lower(), at)
        if kind == "percentile" and figure.kind == "max":
            self.at += 1
            return self._percentile(text, at)
        if self.word() == "reference" and figure.kind == "mean":
            self.at += 1
            return OfReference(None)
        sign = -1 if text == "-" else 1
        self.at += text in ("+", "-")
        kind, text, _ = self.tokens[self.at]
        takes = {"max": "a number or a percentile of clean rows, such as p99", "mean": "a number, or reference"}
        if kind != "number":
            self.fail(f"{figure} is compared with {takes.get(figure.kind, 'a number')}", at)
        self.at += 1
        return self._number(figure, sign, text, at)

    def _number(self, figure: Figure, sign: int, text: str, at: int) -> float:
        value = sign * number(text)
        percent = self.tokens[self.at][1] == "%"
        self.at += percent
        if percent != (figure.kind in _SHARES):
            of = figure.trait if figure.kind == "share" else "skipped" if figure.kind == "skipped" else None
            count = "" if of is None else f", or the number of them: count({of}) > {value:g}"
            self.fail(f"{figure} is no share" if percent else f"{figure} is a share: write {value:g}%{count}", at)
        if percent and not 0 <= value <= 100:
            self.fail("a share is 0 to 100 %", at)
        if not math.isfinite(value) or (value < 0 and "count" in figure.kind):
            self.fail("no such number", at)
        return float(Decimal(text).scaleb(-2)) if percent else value  # 0.7 / 100 is not 7 / 1000

    def _percentile(self, text: str, at: int) -> OfReference:
        whose, _, digits = "".join(text.split()).lower().rpartition("p")
        if whose == "run.":
            self.fail(f"the highest score is never below the run's own percentile: p{digits} is the reference's", at)
        value = 99.9 if digits == "999" else float(digits)  # a card writes p999
        if not 0 < value < 100:
            self.fail(f"p{digits} is no percentile of clean rows", at)
        return OfReference(value)

    def _verdict(self, word: str, at: int) -> str:
        if word not in VERDICTS:
            close = difflib.get_close_matches(word, VERDICTS, 1)
            self.fail(f"a verdict is {', '.join(VERDICTS)}", at, f"did you mean {close[0]}? " if close else "")
        self.at += 1
        return word
