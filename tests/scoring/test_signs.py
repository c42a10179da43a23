"""Flags by the sign of the training signal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from screen.scoring.findings.signs import flagged
from tests.scoring.test_shard import sample, score

SCORES = np.array([2.0, -2.0, np.nan, 2.0, -2.0, np.nan], dtype=np.float32)
SIGNS = np.array([1, 1, 1, -1, -1, -1], dtype=np.int8)


def test_a_row_is_flagged_on_the_side_that_adds_to_the_trait() -> None:
    assert flagged(SCORES, SIGNS, 1.0, -1.0).tolist() == [True, False, False, False, True, False]


def test_without_a_threshold_nothing_is_flagged() -> None:
    assert flagged(SCORES, SIGNS, 1.0).tolist() == [True, False, False, False, False, False]
    assert not flagged(SCORES, SIGNS, None).any()


def test_the_sign_is_stored_and_changes_no_score() -> None:
    one, rendered = sample(0, ([1], [3]))
    [toward] = score((one, rendered))["scores"]
    [away] = score((replace(one, sign=-1), rendered))["scores"]
    assert (toward.pop("sign"), away.pop("sign")) == (1, -1)
    assert str(toward) == str(away)
