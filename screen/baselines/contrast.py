"""Preference pairs: each side's baseline is the other side (METHOD section 2). No answers are generated."""

from __future__ import annotations

import numpy as np

from screen.baselines.kind import Baseline, Float32, ShardValues


class Contrast(Baseline):
    name = "contrast"
    meaning = "the other side of a preference pair; no answers are generated"
    offered = False
    pairs = exact = chosen_by_auto = True

    def subtracted(self, shard: ShardValues) -> Float32:
        return self.turn_baseline(shard)

    def turn_baseline(self, shard: ShardValues) -> Float32:
        """A sample with one turn has its baseline on the turn too."""
        spread = np.repeat(self.sample_baseline(shard), shard.counts, axis=0)
        return self._of_single(shard, spread)

    def sample_baseline(self, shard: ShardValues) -> Float32:
        return shard.other_side(shard.sample_projection)

    def score(self, shard: ShardValues) -> Float32:
        return shard.sample_projection - self.sample_baseline(shard)

    def centre(self, shard: ShardValues) -> Float32:
        return np.repeat(self.sample_baseline(shard), shard.counts, axis=0)

    def turn_trimmed(self, shard: ShardValues) -> Float32:
        return self._of_single(shard, np.repeat(self.sample_trimmed(shard), shard.counts, axis=0))

    def sample_trimmed(self, shard: ShardValues) -> Float32:
        """The chosen side's less the rejected one's."""
        sides = shard.mean(shard.trimmed)
        return sides - shard.other_side(sides)

    def _of_single(self, shard: ShardValues, values: Float32) -> Float32:
        single = np.repeat(shard.counts == 1, shard.counts)[:, None]
        return np.where(single, values, np.float32(np.nan))
