"""What people said of rows, which rows were drawn for them to look at, and what counts. Knows nothing of files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

Word = Literal["keep", "drop", "unsure"]
WORDS: tuple[Word, ...] = get_args(Word)


@dataclass(frozen=True, slots=True)
class Label:
    """What one person said of a row, for one trait or, where `trait` is None, whatever the trait.

    label  one of WORDS; None takes an earlier one back
    at     when, UTC, ISO 8601
    """

    row: int
    label: str | None
    trait: str | None
    note: str | None
    at: str


@dataclass(frozen=True, slots=True)
class DrawnStratum:
    """Rows of a run with margins in (low, high], and those of them that a draw took, in the order of the draw.

    margin   how far above the cut a row lies; None is no bound
    rows     how many there are
    known    those that had a label before the first draw: they are not drawn
    """

    name: str
    low: float | None
    high: float | None
    rows: int
    known: tuple[int, ...]
    drawn: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    """Rows drawn at random around a trait's cut. `away`: the cut of rows that are trained away from."""

    trait: str
    cut: float
    away: float | None
    seed: int
    strata: tuple[DrawnStratum, ...]
    at: str


@dataclass(frozen=True)
class LabelRecord:
    """All that the file says, in its order."""

    said: tuple[Label, ...] = ()
    draws: tuple[Draw, ...] = ()

    @cached_property
    def current(self) -> dict[int, dict[str | None, Label]]:
        """Row -> trait -> the label that counts. One without a trait is of the whole row: it replaces all."""
        rows: dict[int, dict[str | None, Label]] = {}
        for label in self.said:
            own = rows.setdefault(label.row, {})
            if label.trait is None:
                own.clear()
            own.pop(label.trait, None)
            if label.label is not None:
                own[label.trait] = label
        return {row: own for row, own in sorted(rows.items()) if own}

    def listed(self) -> list[Label]:
        """The labels that count, by row."""
        return [label for own in self.current.values() for label in own.values()]

    def of(self, row: int, trait: str | None) -> str | None:
        """The label of a row for a trait: its own, or else the whole row's."""
        own = self.current.get(row, {})
        found = own.get(trait) or own.get(None)
        return found.label if found else None

    def verdict(self, row: int) -> Word | None:
        """What becomes of a row, whatever the trait: drop where any label says so, else keep, else unsure."""
        words = {label.label for label in self.current.get(row, {}).values()}
        order: tuple[Word, ...] = ("drop", "keep", "unsure")
        return next((word for word in order if word in words), None)
