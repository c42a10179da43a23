"""No baseline: scores are plain projections (METHOD section 2)."""

from __future__ import annotations

import numpy as np

from screen.baselines.kind import Baseline, Float32, ShardValues


class NoBaseline(Baseline):
    name = "none"
    meaning = "scores are plain projections, and rank less well than differences"
    remark = "scores are plain projections: there is no baseline, so nothing was subtracted"
    subtracts = False

    def column(self, trait: str, refined: bool = False) -> str:
        return f"{trait}_projection"

    def subtracted(self, shard: ShardValues) -> Float32:
        return np.zeros_like(shard.projection)
