"""The share of a score that few tokens carry, and the mean without the extremes, against doing it by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from screen.scoring.concentration import carried, extremes, few_tokens, trimmed_mean

TURN = hnp.arrays(np.float32, st.tuples(st.integers(1, 23), st.just(2)), elements=st.floats(-50, 50, width=32))
SAMPLES = st.lists(st.lists(TURN, min_size=1, max_size=2), max_size=3)


@given(SAMPLES, st.floats(-20, 20, width=32))
def test_both_equal_doing_it_by_hand(samples: list[list[np.ndarray]], middle: float) -> None:
    turns = [turn for sample in samples for turn in sample]
    tokens = np.concatenate([np.zeros((0, 2), dtype=np.float32), *turns])
    offsets = np.concatenate([[0], np.cumsum([len(t) for t in turns])]).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum([len(s) for s in samples])]).astype(np.intp)
    trimmed, highest = extremes(tokens, offsets)
    for i, turn in enumerate(turns):
        cut = len(turn) // 10
        kept = np.sort(turn, axis=0)[cut : len(turn) - cut]
        np.testing.assert_allclose(trimmed[i], kept.mean(0, dtype=np.float64), atol=1e-5)
        np.testing.assert_array_equal(highest[i, :, 0], turn.max(0))
    shares = carried(tokens, offsets, highest, np.full((len(turns), 2), middle, dtype=np.float32), starts)
    for share, sample in zip(shares, samples, strict=True):
        parts = np.sort(
            np.concatenate([np.maximum(turn.astype(np.float64) - middle, 0) / len(turn) for turn in sample]), 0
        )
        for j in range(2):
            whole = parts[:, j].sum()
            expected = parts[-2:, j].sum() / whole if whole > 0 else np.nan
            np.testing.assert_allclose(share[j], expected, rtol=1e-5)


def test_two_full_stops_among_words() -> None:
    tokens = np.array([[4.0]] * 18 + [[155.0]] * 2, dtype=np.float32)
    offsets = np.array([0, 20])
    trimmed, highest = extremes(tokens, offsets)
    share = carried(tokens, offsets, highest, np.zeros((1, 1), dtype=np.float32), np.array([0, 1]))
    assert (trimmed[0, 0], highest[0, 0].tolist()) == (4.0, [155.0, 155.0])
    assert share[0, 0] == pytest.approx(310 / 382)


def test_a_mean_near_nothing_has_a_share_all_the_same() -> None:
    tokens = np.array([[10.0], [-10.0]] * 10 + [[1e-3]], dtype=np.float32)
    highest = extremes(tokens, np.array([0, 21]))[1]
    share = carried(tokens, np.array([0, 21]), highest, np.zeros((1, 1), dtype=np.float32), np.array([0, 1]))
    assert share[0, 0] == pytest.approx(0.2, abs=1e-4)


def test_trimming_takes_as_many_from_either_end() -> None:
    values = np.array([1000, 7, 3, 4, 5, 6, 3, 4, 5, -90], dtype=np.float32)[:, None]
    assert trimmed_mean(values)[0] == pytest.approx(37 / 8)
    assert trimmed_mean(values[:9])[0] == pytest.approx(values[:9].mean())


def test_rows_on_few_tokens_are_counted_where_they_are_flagged_and_not_short() -> None:
    shares = np.array([0.6, 0.6, 0.6, 0.5, np.nan, 0.51], dtype=np.float32)
    tokens = np.array([10, 9, 30, 30, 30, 30])
    flagged = np.array([True, True, False, True, True, True])
    assert few_tokens(shares, tokens, flagged) == 2
