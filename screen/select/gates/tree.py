"""The tree of a gate: figures of a run beside their limits, joined. Knows neither how it is written nor any run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

FigureKind = Literal["share", "count", "max", "mean", "verdict", "group", "skipped", "skipped-count", "told"]


@dataclass(frozen=True, slots=True)
class Figure:
    """What is measured. `told`: the verdict of every trait, which `cannot-tell` by itself asks for.

    trait  None for what is of the whole run;  group  of the kind "group" alone;  at  where the trait stands in the text
    """

    kind: FigureKind
    trait: str | None = None
    group: str | None = None
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        match self.kind:
            case "group":
                return f"group('{(self.group or '').replace(chr(39), 2 * chr(39))}', {_named(self.trait or '')})"
            case "skipped" | "told":
                return "skipped" if self.kind == "skipped" else "verdict"
            case "skipped-count":
                return "count(skipped)"
        return f"{self.kind}({_named(self.trait or '')})"


def _named(trait: str) -> str:
    bare = trait.replace("-", "_").isidentifier() and trait.lower() not in ("and", "or", "not", "skipped")
    return trait if bare else f'"{trait}"'


class OfReference(NamedTuple):
    """A percentile of the clean rows that a trait is compared with; their mean where `percentile` is None."""

    percentile: float | None

    def __str__(self) -> str:
        return "reference" if self.percentile is None else f"reference.p{self.percentile:g}"


Limit: TypeAlias = float | OfReference | str  # shares as shares of 1; a str is a verdict


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """`figure op limit`; op is >, >=, <, <=, or of a verdict = and !=."""

    figure: Figure
    op: str
    limit: Limit


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """`and`, or `or`."""

    word: str
    left: GateNode
    right: GateNode


@dataclass(frozen=True, slots=True, eq=False)
class Negated:
    inner: GateNode


GateNode: TypeAlias = Condition | Joined | Negated


@dataclass(frozen=True, slots=True)
class Gate:
    """`text` as it was given: the gate fails where `tree` holds."""

    text: str
    tree: GateNode
    option: str


def conditions(node: GateNode, positive: bool = True) -> Iterator[tuple[Condition, bool]]:
    """The comparisons, from left to right, each with whether it counts as it stands or negated."""
    if isinstance(node, Joined):
        yield from conditions(node.left, positive)
        yield from conditions(node.right, positive)
    elif isinstance(node, Negated):
        yield from conditions(node.inner, not positive)
    else:
        yield node, positive


def holds(node: GateNode, holding: Callable[[Condition], bool]) -> bool:
    """Whether the tree is true, given which comparisons are."""
    if isinstance(node, Joined):
        both = holds(node.left, holding), holds(node.right, holding)
        return all(both) if node.word == "and" else any(both)
    return not holds(node.inner, holding) if isinstance(node, Negated) else holding(node)
