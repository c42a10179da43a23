"""What a scan or a build says while it works. Silent by default; the command line prints it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

ROW, ANSWER = "row", "answer"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts so far. `tokens` are tokens that went through the model; `seconds` is this process's own time."""

    rows: int  # input rows done, scored and skipped, earlier sessions included
    rows_total: int | None  # None while the input's length is unknown
    skipped: int
    tokens: int
    seconds: float
    stage: str  # "reading", "baselines", "scoring"
    fresh_rows: int = 0  # rows scored or skipped by this process, for the rate
    flagged: int | None = None  # samples above a card's reference so far; None where no card has one
    unit: str = ROW  # what is counted; answers of a build are counted by stage
    carried: int = 0  # rows whose scores are an earlier run's


class Progress(Protocol):
    def note(self, kind: str, facts: Mapping[str, object]) -> None:
        """One fact, once: kind is "dataset", "mask", "model", "vectors", "resume", "judge", "warning", ...."""

    def tick(self, tally: Tally) -> None:
        """Called often; the listener decides how often to show it."""


class Silent:
    def note(self, kind: str, facts: Mapping[str, object]) -> None:
        pass

    def tick(self, tally: Tally) -> None:
        pass
