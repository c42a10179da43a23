"""The model answers every prompt itself: the projection difference as the paper defines it (METHOD section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from screen.baselines.kind import Baseline, Float32, ShardValues

if TYPE_CHECKING:
    from screen.baselines.estimates.estimator import BaselineEstimator


class Generate(Baseline):
    name = "generate"
    meaning = "the model answers every prompt itself; answers are kept and reused"
    generates = exact = chosen_by_auto = True

    def answered_first(self, hashes: npt.NDArray[np.uint64], estimator: BaselineEstimator | None) -> Sequence[int]:
        return range(len(hashes))

    def subtracted(self, shard: ShardValues) -> Float32:
        return shard.baseline

    def turn_trimmed(self, shard: ShardValues) -> Float32:
        return shard.trimmed - shard.own_trimmed
