"""Whether the scores of a stream have come to lie higher than a clean reference's, and about since when.

An e-detector (Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection",
2024) that bets on how often scores lie above quantiles of the reference. Of the reference nothing is supposed but that
its scores are independent draws of what clean scores are; no score has to be normal. Constant memory a stream. Knows
nothing of models, texts or files.

What is stated of a stream of independent clean scores: in any n of them the expected number of alarms, and so the
chance of one, is at most n / per (so on average at least `per` scores pass before one), unless the reference happens to
have understated its own tail, which happens with a chance of at most `unsure`. docs/how-to/monitoring.md derives and
measures it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, TypedDict

import numpy as np
import numpy.typing as npt

from screen.scoring.findings.flags import TraitReference
from screen.stats import most_above, share_below

Float64 = npt.NDArray[np.float64]
QUANTILES: Final = ("p50", "p75", "p90", "p95", "p99")  # that cards and references both have
STAKES: Final = (0.05, 0.15, 0.4)  # shares of what is held that a bet puts at risk
PER: Final = 100_000  # clean scores a false alarm, at the least
UNSURE: Final = 0.01
WINDOW: Final = 50  # scores of the rolling mean
_ROUNDED: Final = 1e-6  # quantiles are kept to six decimals


@dataclass(frozen=True, slots=True)
class Bar:
    """At most `share` of clean scores lie above `value`."""

    value: float
    share: float


@dataclass(frozen=True, slots=True)
class Alarm:
    """at     the score, counted from 0, at which enough was seen; began  where the change seems to have begun
    mean      of the latest scores up to it (the rolling mean)
    evidence  what the bets had come to; an alarm is raised from `per` on
    """

    at: int
    began: int
    mean: float
    evidence: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


class DetectorState(TypedDict):
    """All that a detector knows, as JSON: a restarted process goes on with it."""

    seen: int
    alarms: int
    latest: list[float]
    held: list[float]
    run: list[float]
    began: list[int]


def bars(reference: TraitReference, unsure: float = UNSURE) -> tuple[Bar, ...]:
    """What the reference allows to say of clean scores: with a chance of 1 - `unsure` of all bars together at least.

    Empty where it has no quantiles, or fewer rows than tell anything.
    """
    rows, quantiles = int(reference.get("rows", 0)), reference.get("quantiles", {})
    known = [name for name in QUANTILES if name in quantiles]
    made = []
    for name in known if rows > 0 else []:
        rank = math.floor(share_below(name) * (rows - 1)) + 1  # the order statistic at or below the quantile
        share = most_above(rows, rank, unsure / len(known))
        if share < 1.0 and math.isfinite(quantiles[name]):
            made.append(Bar(float(quantiles[name]) + _ROUNDED, share))
    return tuple(made)


class ChangeDetector:
    """One stream of scores. `update` is told each in its turn; after an alarm it begins anew.

    bars    what is known of clean scores (`bars`), at least one; per  how rare a false alarm is to be
    window  how many of the latest scores the rolling mean is over
    """

    def __init__(self, bars: Sequence[Bar], per: float = PER, window: int = WINDOW) -> None:
        if not bars or not per >= 1.0 or window < 1:
            raise ValueError("a detector needs a bar, one score an alarm at the least, and a window of one score")
        self.per, self.seen, self.alarms = float(per), 0, 0
        grid = [(bar, stake) for bar in bars for stake in STAKES]
        self._values = np.array([bar.value for bar, _ in grid])
        self._below = np.array([1.0 - stake for _, stake in grid])  # what a bet is multiplied by: expected 1 at most
        self._above = np.array([1.0 + stake * (1.0 / bar.share - 1.0) for bar, stake in grid])
        self._latest: deque[float] = deque(maxlen=window)
        self._held: Float64 = np.zeros(len(grid))  # a sum over beginnings, a bet
        self._run: Float64 = np.ones(len(grid))  # since `_began`, the best of them
        self._began: npt.NDArray[np.int64] = np.zeros(len(grid), dtype=np.int64)

    @property
    def mean(self) -> float | None:
        """The rolling mean: of the latest scores, None before the first."""
        return math.fsum(self._latest) / len(self._latest) if self._latest else None

    @property
    def evidence(self) -> float:
        """Mean of the bets: sums, over when the change may have begun, of what a bet begun then has come to."""
        return float(self._held.mean())

    def update(self, score: float) -> Alarm | None:
        """Take the next score. Raises ValueError for one that is not finite."""
        if not math.isfinite(score):
            raise ValueError(f"{score} is no score")
        gain = np.where(score > self._values, self._above, self._below)
        self._held = (1.0 + self._held) * gain
        self._began = np.where(self._run > 1.0, self._began, self.seen)
        self._run = np.maximum(self._run, 1.0) * gain
        self._latest.append(score)
        self.seen += 1
        if self.evidence < self.per:
            return None
        best = int(np.argmax(self._run))  # the bet that did best, and since when
        alarm = Alarm(self.seen - 1, int(self._began[best]), self.mean or 0.0, self.evidence)
        self.alarms += 1
        self._restart()
        return alarm

    def _restart(self) -> None:
        self._held, self._run = np.zeros_like(self._held), np.ones_like(self._run)
        self._began = np.full_like(self._began, self.seen)

    def state(self) -> DetectorState:
        return {
            "seen": self.seen,
            "alarms": self.alarms,
            "latest": list(self._latest),
            "held": self._held.tolist(),
            "run": self._run.tolist(),
            "began": self._began.tolist(),
        }

    def resume(self, state: DetectorState) -> None:
        """Go on where a detector with the same bars was. Raises ValueError for the state of another."""
        if not len(state["held"]) == len(state["run"]) == len(state["began"]) == len(self._values):
            raise ValueError("the state is that of a detector with other bars")
        self.seen, self.alarms = int(state["seen"]), int(state["alarms"])
        self._latest.clear()
        self._latest.extend(state["latest"])
        self._held, self._run = np.array(state["held"]), np.array(state["run"])
        self._began = np.array(state["began"], dtype=np.int64)


EVERYTHING: Final = ""  # the group that every score counts for
OTHERS: Final = "(others)"


class Streams:
    """A detector a trait and group, made when the group is first seen, up to `most` groups; scores of further groups
    count for OTHERS. A trait without bars has no detector."""

    def __init__(
        self, bars: Mapping[str, Sequence[Bar]], per: float = PER, window: int = WINDOW, most: int = 1000
    ) -> None:
        self._bars, self._per, self._window, self._most = dict(bars), per, window, most
        self._groups: set[str] = set()
        self.detectors: dict[tuple[str, str], ChangeDetector] = {}

    def update(self, trait: str, group: str, score: float) -> Alarm | None:
        """Take a score of one stream; EVERYTHING is a stream like the others, and has to be told of by itself."""
        if not self._bars.get(trait):
            return None
        if group not in self._groups and group != EVERYTHING:
            group = OTHERS if len(self._groups) >= self._most else group
            self._groups.add(group)
        key = (trait, group)
        if key not in self.detectors:
            self.detectors[key] = ChangeDetector(self._bars[trait], self._per, self._window)
        return self.detectors[key].update(score)

    def state(self) -> list[tuple[str, str, DetectorState]]:
        """All that its detectors know, as JSON."""
        return [(trait, group, detector.state()) for (trait, group), detector in self.detectors.items()]

    def resume(self, state: Sequence[tuple[str, str, DetectorState]]) -> None:
        """Go on where streams of the same bars were. Raises ValueError for others; a trait that has no bars any more
        is left out."""
        for trait, group, known in state:
            if self._bars.get(trait):
                self._groups |= {group} - {EVERYTHING}
                self.detectors[trait, group] = ChangeDetector(self._bars[trait], self._per, self._window)
                self.detectors[trait, group].resume(known)
