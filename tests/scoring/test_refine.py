"""Which rows are answered once estimates are in: those that may lie beyond the threshold of their sign."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from screen.baselines.estimates.estimator import BaselineEstimator
from screen.scoring.context import ScoringContext
from tests.scoring.test_shard import STATES, Says, V, sample
from tests.scoring.test_shard_context import constant, score

MEAN = float((STATES[3] + STATES[4]) @ V[0]) / 2
REACH = 2 * 0.4 / np.sqrt(2)  # two turns: the mean's error is the turns' over the root of two
HIGH, LOW = (MEAN + REACH, -1e9), (1e9, MEAN - REACH)  # just reached from one side, far away on the other


@pytest.mark.parametrize(
    ("sign", "cuts", "nearer", "answered"),
    [
        *((1, HIGH, 1e-3, True), (1, HIGH, -1e-3, False), (1, LOW, 1e-3, False)),
        *((-1, LOW, 1e-3, True), (-1, LOW, -1e-3, False), (-1, HIGH, 1e-3, True)),
    ],
)
def test_a_row_that_may_reach_a_cut_is_answered(
    sign: int, cuts: tuple[float, float], nearer: float, answered: bool
) -> None:
    high, low = cuts[0] - nearer, cuts[1] + nearer
    none = np.zeros(0, dtype=np.uint64)
    stand = BaselineEstimator(
        constant(0.0, 0.4, 4), none, np.zeros((0, 2), np.float32), ("d.jsonl",), {"evil": high}, {"evil": low}
    )
    row, rendered = sample(0, ([1], [3]), ([2], [4]))
    tables = score(
        (replace(row, sign=sign), rendered), context=ScoringContext(calibration=stand, refine=True),
        baseline="calibrated", says=Says([6]),
    )  # fmt: skip
    assert (tables["scores"][0]["evil"] is not None) is answered
