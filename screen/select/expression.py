"""The tree of an expression of `filter`: which samples match. Knows nothing of files, and not how it is written.

As in SQL a comparison with a null is neither true nor false, so that a row without a value never matches, not even
under `not`. NaN counts as null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

_COMPARE = {
    "<": pc.less,
    ">": pc.greater,
    "<=": pc.less_equal,
    ">=": pc.greater_equal,
    "=": pc.equal,
    "!=": pc.not_equal,
}


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
        column, limit = table[self.column], self.limit(limits)
        if pa.types.is_floating(column.type):  # a float32 score against the number the user typed
            column, limit = pc.if_else(pc.is_nan(column), None, column), float(limit)
        exact = isinstance(limit, int)  # float64 holds no hash of 64 bits
        wide = pa.int64() if exact else pa.float64()
        return _COMPARE[self.op](column.cast(wide, safe=False), pa.scalar(limit, wide))

    def __str__(self) -> str:
        return f"{self.column} {self.op} {self.percentile or f'{self.number:.15g}'}"


@dataclass(frozen=True, slots=True)
class Says:
    """`column op 'text'`; op is =, != or contains, which ignores case."""

    column: str
    op: str
    text: str

    def of(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """(n,) bool for (n,) strings."""
        if self.op == "contains":
            return pc.match_substring(values, self.text, ignore_case=True)
        return _COMPARE[self.op](values, self.text)

    def test(self, table: pa.Table, limits: Limits) -> pa.ChunkedArray:
        """Texts are large: whoever makes the table holds the answer ready, under the comparison's own name."""
        return table[str(self)]

    def __str__(self) -> str:
        return f"{self.column} {self.op} '{self.text.replace(chr(39), 2 * chr(39))}'"


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


Leaf: TypeAlias = Compare | Says | IsTrue
Node: TypeAlias = Compare | Says | IsTrue | Not | Both


def leaves(node: Node, positive: bool = True) -> Iterator[tuple[Leaf, bool]]:
    """The comparisons of a tree, each with whether it counts as it stands or negated."""
    if isinstance(node, Not):
        yield from leaves(node.inner, not positive)
    elif isinstance(node, Both):
        yield from leaves(node.left, positive)
        yield from leaves(node.right, positive)
    else:
        yield node, positive
