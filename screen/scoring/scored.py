"""A shard's scores as arrays, before they become tables (METHOD section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from screen.data.sample import Sample
from screen.model.forward.items import Branch
from screen.rendering.rendered import Rendered, ScoredTurn
from screen.scoring.concentration import carried
from screen.spec import BaselineKind

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BaselineResponse:
    """The baseline response to one prompt: `ids` may be empty (it ended at once).

    Of `ids`, `[said:]` are the answer and `thought` is the range of the thought before it, without its tags. Where the
    limit cut it off in its thought there is no answer: `said` is len(ids).
    """

    ids: tuple[int, ...]
    text: str
    cut: bool
    refused: bool
    said: int = 0
    thought: tuple[int, int] = (0, 0)

    @property
    def thinks(self) -> bool:
        return self.said > 0

    @property
    def unfinished(self) -> bool:
        """It never came to an answer: there is only a thought."""
        return self.thinks and self.said == len(self.ids)

    def branch(self, at: int) -> Branch | None:
        """It as a continuation of a prompt of `at` tokens; None where nothing of it can be measured."""
        made = Branch(at, np.array(self.ids, dtype=np.int32), self.said, self.thought)
        return made if made.lengths else None


@dataclass(frozen=True)
class Scored:
    """A shard's scored samples and turns. Arrays are (turns, columns) float32: the k traits, then the controls.

    The turns of sample i are `turns[starts[i]:starts[i + 1]]`, at least one. NaN where a baseline or an estimate is not
    there. `tokens` is (n, k), turn i's from offsets[i] to offsets[i + 1]; `trimmed` and `own_trimmed` (turns, k), as
    are the means over thoughts, `thought` and `own_thought`; `highest` (turns, k, 2); `window` (turns, k, top); `own`
    holds the answers behind a turn's exact baseline.
    """

    samples: Sequence[tuple[Sample, Rendered]]
    turns: Sequence[ScoredTurn]
    starts: npt.NDArray[np.intp]
    k: int
    projection: Float32
    baseline: Float32
    last: Float32
    estimate: Float32
    se: Float32
    tokens: Float32
    offsets: npt.NDArray[np.int64]
    trimmed: Float32
    own_trimmed: Float32
    highest: Float32
    window: Float32
    window_chars: Sequence[Sequence[Sequence[tuple[int, int]]]]
    thought: Float32
    own_thought: Float32
    own: Sequence[Sequence[BaselineResponse]]
    hashes: npt.NDArray[np.uint64]
    kind: BaselineKind

    @cached_property
    def sample_projection(self) -> Float32:
        """(samples, columns): mean over the scored turns."""
        return self._mean(self.projection)

    @cached_property
    def sample_baseline(self) -> Float32:
        """(samples, columns): mean over the scored turns, NaN where one lacks it; or the other side of a pair."""
        return self._rejected(self.sample_projection) if self.kind == "contrast" else self._mean(self.baseline)

    def _rejected(self, values: Float32) -> Float32:
        """(samples, columns): for the chosen side of a pair the value of the rejected one; else NaN."""
        out = np.full_like(values, np.nan)
        rejected = {s.row: i for i, (s, _) in enumerate(self.samples) if s.variant == "rejected"}
        for i, (s, _) in enumerate(self.samples):
            if s.variant == "chosen" and s.row in rejected:
                out[i] = values[rejected[s.row]]
        return out

    @cached_property
    def turn_baseline(self) -> Float32:
        """(turns, columns): in a contrast, a sample with one turn has its baseline on the turn too."""
        if self.kind != "contrast":
            return self.baseline
        single = np.repeat(self.counts == 1, self.counts)
        spread: Float32 = np.repeat(self.sample_baseline, self.counts, axis=0)
        return np.where(single[:, None], spread, np.float32(np.nan))

    @cached_property
    def sample_se(self) -> Float32:
        """(samples, columns): of the mean over turns, whose errors are taken as independent."""
        if not len(self.samples):
            return self.se[:0]
        sums = np.add.reduceat(self.se.astype(np.float64) ** 2, self.starts[:-1], axis=0)
        return (np.sqrt(sums) / self.counts[:, None]).astype(np.float32)

    @cached_property
    def score(self) -> Float32:
        """(samples, columns): what the run ranks by, always of one kind in a run (schema.score_column)."""
        if self.kind == "contrast":
            return self.sample_projection - self.sample_baseline
        return self.sample_projection - self._mean(self._subtracted)

    @cached_property
    def sample_window(self) -> Float32:
        """(samples, k): the highest window of a turn."""
        return self._max(self.window[:, :, 0])

    @cached_property
    def highest_turn(self) -> Float32:
        """(samples, columns): the run's score of the turn that has most of it, NaN where a turn has none."""
        subtracted = self.turn_baseline if self.kind == "contrast" else self._subtracted
        return self._max(self.projection - subtracted)

    @cached_property
    def turn_top2(self) -> Float32:
        """(turns, k): see `concentration.carried`, of the turn's tokens and its own baseline."""
        centre = self.turn_baseline if self.kind == "contrast" else self._subtracted
        return carried(
            self.tokens, self.offsets, self.highest, centre[:, : self.k], np.arange(len(self.turns) + 1, dtype=np.intp)
        )

    @cached_property
    def sample_top2(self) -> Float32:
        """(samples, k): the same of all of the sample's tokens."""
        contrast = self.kind == "contrast"
        centre = np.repeat(self.sample_baseline, self.counts, axis=0) if contrast else self._subtracted
        return carried(self.tokens, self.offsets, self.highest, centre[:, : self.k], self.starts)

    @cached_property
    def turn_trimmed(self) -> Float32:
        """(turns, k): trimmed mean less that of the baseline response, or less the run's proxy baseline."""
        if self.kind == "contrast":
            single = np.repeat(self.counts == 1, self.counts)[:, None]
            return np.where(single, np.repeat(self.sample_trimmed, self.counts, axis=0), np.float32(np.nan))
        exact = self.kind in ("generate", "answers")
        return self.trimmed - (self.own_trimmed if exact else self._subtracted[:, : self.k])

    @cached_property
    def sample_trimmed(self) -> Float32:
        """(samples, k): mean over the scored turns; of a pair, the chosen side's less the rejected one's."""
        if self.kind == "contrast":
            sides = self._mean(self.trimmed)
            return sides - self._rejected(sides)
        return self._mean(self.turn_trimmed)

    @property
    def _subtracted(self) -> Float32:
        match self.kind:
            case "calibrated":
                return self.estimate
            case "last-prompt":
                return self.last
            case "none":
                return np.zeros_like(self.projection)
        return self.baseline

    @cached_property
    def counts(self) -> npt.NDArray[np.intp]:
        return np.diff(self.starts)

    def mean(self, values: Float32) -> Float32:
        """(samples, columns): the mean over each sample's turns."""
        return self._mean(values)

    def own_of(self, i: int) -> list[BaselineResponse]:
        """The baseline responses that stand behind sample i."""
        return [a for several in self.own[self.starts[i] : self.starts[i + 1]] for a in several]

    def _mean(self, values: Float32) -> Float32:
        if not len(self.samples):
            return values[:0]
        sums = np.add.reduceat(values.astype(np.float64), self.starts[:-1], axis=0)
        return (sums / self.counts[:, None]).astype(np.float32)

    def _max(self, values: Float32) -> Float32:
        return np.maximum.reduceat(values, self.starts[:-1], axis=0) if len(self.samples) else values[:0]
