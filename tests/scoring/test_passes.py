"""Means over several baseline responses of one prompt."""

from __future__ import annotations

import numpy as np

from screen.scoring.passes import _mean_of


def test_of_several_answers_those_without_the_part_are_left_out() -> None:
    one, two, none = np.array([1.0, 3.0], np.float32), np.array([2.0, 5.0], np.float32), np.full(2, np.nan, np.float32)
    assert _mean_of([one, none, two]).tolist() == [1.5, 4.0]
    assert np.isnan(_mean_of([none, none])).all()
