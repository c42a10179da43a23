"""What an export is asked for, and what it says of itself afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from screen.select.subset import Rest

Kind = Literal["clean", "weights", "inoculation", "audit", "hub"]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """As the flags of `screen export`, by their names."""

    drop: str | None = None  # "flagged"; with labels, what they say alone
    labels: bool = False
    unsure: Rest | None = None
    drop_skipped: bool | None = None
    rest: Rest | None = None
    dataset: Sequence[str] = ()
    force: bool = False
    dry_run: bool = False
    prompt: str | None = None
    trait: str | None = None
    signed_by: str | None = None
    report: bool | None = None
    weight: float | None = None
    inline: bool = False

    @property
    def expression(self) -> str:
        """Of the rows that go; "" where labels alone decide."""
        return ("" if self.labels else "flagged") if self.drop is None else self.drop

    @property
    def rule(self) -> str:
        """The same in words, with what labels decide."""
        if not self.labels:
            return self.expression
        rule = f"{self.expression}, unless a label says otherwise" if self.expression else "label = 'drop'"
        return f"{rule}; unsure rows are {'kept' if self.unsure == 'keep' else 'dropped'}" if self.unsure else rule


@dataclass(frozen=True, slots=True)
class Handover:
    """What was written. `files`: as named by the user, or in the folder `out`; none with `dry_run`.

    kept, dropped  rows of the dataset; with those that are "apart" they are all
    matching       rows that the expression matches; with inoculation, those that it and labels choose
    by_label       rows of which a label says otherwise than the expression
    rule           which rows go, in words
    inoculated     rows that were given a system prompt
    seal           of a bundle's manifest: to be noted down elsewhere
    notes          what the user may not have meant, or should know
    """

    kind: str
    out: str
    files: tuple[str, ...]
    rows: int
    kept: int
    dropped: int
    matching: int
    by_label: int
    rule: str
    skipped: int
    skipped_are: Literal["kept", "dropped", "apart"]
    not_reached: int
    inoculated: int | None
    seal: str | None
    notes: tuple[str, ...]


class Written(NamedTuple):
    """What only some kinds have to tell."""

    notes: tuple[str, ...] = ()
    seal: str | None = None
    inoculated: int | None = None
