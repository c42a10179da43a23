"""A shard's scores as arrays, before they become tables (METHOD section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from screen.baselines.kind import Baseline
from screen.baselines.response import BaselineResponse
from screen.data.sample import Sample
from screen.rendering.rendered import Rendered, ScoredTurn
from screen.scoring.concentration import carried

Float32 = npt.NDArray[np.float32]


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
    kind: Baseline

    @cached_property
    def sample_projection(self) -> Float32:
        """(samples, columns): mean over the scored turns."""
        return self._mean(self.projection)

    @cached_property
    def sample_baseline(self) -> Float32:
        """(samples, columns): the exact baseline stored with a sample, NaN where one of its turns lacks it."""
        return self.kind.sample_baseline(self)

    @cached_property
    def turn_baseline(self) -> Float32:
        """(turns, columns): the exact baseline stored with a turn."""
        return self.kind.turn_baseline(self)

    def other_side(self, values: Float32) -> Float32:
        """(samples, columns) of the same: for the chosen side of a pair the value of the rejected one; else NaN."""
        out = np.full_like(values, np.nan)
        rejected = {s.row: i for i, (s, _) in enumerate(self.samples) if s.variant == "rejected"}
        for i, (s, _) in enumerate(self.samples):
            if s.variant == "chosen" and s.row in rejected:
                out[i] = values[rejected[s.row]]
        return out

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
        return self.kind.score(self)

    @cached_property
    def sample_window(self) -> Float32:
        """(samples, k): the highest window of a turn."""
        return self._max(self.window[:, :, 0])

    @cached_property
    def highest_turn(self) -> Float32:
        """(samples, columns): the run's score of the turn that has most of it, NaN where a turn has none."""
        return self._max(self.projection - self._subtracted)

    @cached_property
    def turn_top2(self) -> Float32:
        """(turns, k): see `concentration.carried`, of the turn's tokens and its own baseline."""
        each = np.arange(len(self.turns) + 1, dtype=np.intp)
        return carried(self.tokens, self.offsets, self.highest, self._subtracted[:, : self.k], each)

    @cached_property
    def sample_top2(self) -> Float32:
        """(samples, k): the same of all of the sample's tokens."""
        return carried(self.tokens, self.offsets, self.highest, self.kind.centre(self)[:, : self.k], self.starts)

    @cached_property
    def turn_trimmed(self) -> Float32:
        """(turns, k): trimmed mean less that of the baseline response, or less the run's proxy baseline."""
        return self.kind.turn_trimmed(self)

    @cached_property
    def sample_trimmed(self) -> Float32:
        """(samples, k): the same of a sample."""
        return self.kind.sample_trimmed(self)

    @cached_property
    def _subtracted(self) -> Float32:
        return self.kind.subtracted(self)

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
