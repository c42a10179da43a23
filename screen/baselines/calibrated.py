"""The model answers a sample of the prompts; the other baselines are estimated from what the pass sees of a prompt.

How the estimates are made, once and before the first shard: `fitting.py` (METHOD section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from screen.baselines.kind import Baseline, Fitted, Float32, Preparing, ShardValues

if TYPE_CHECKING:
    from screen.baselines.estimates.estimator import BaselineEstimator


class Calibrated(Baseline):
    name = "calibrated"
    meaning = "the model answers a sample of the prompts; the other baselines are estimated from it"
    remark = "baselines are estimates from a sample of the prompts; exact ones stand where answers were made"
    generates = calibrates = True
    like = "generate"  # estimates stand for exact differences

    def exact_name(self) -> str:
        return self.like

    def column(self, trait: str, refined: bool = False) -> str:
        return trait if refined else f"{trait}_estimate"

    def answered_first(self, hashes: npt.NDArray[np.uint64], estimator: BaselineEstimator | None) -> Sequence[int]:
        return [] if estimator is None else np.flatnonzero(estimator.has(hashes)).tolist()

    def subtracted(self, shard: ShardValues) -> Float32:
        return shard.estimate

    def prepare(self, run: Preparing) -> Fitted:
        """Answer a sample of the prompts and fit their baselines on what the pass sees of a prompt."""
        from screen.baselines.estimates.fitting import fitted  # here: who reads a run fits nothing, and starts sooner

        return fitted(run)
