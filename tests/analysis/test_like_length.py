"""Rows compared with rows of like length: where that takes a false alarm away, and where it hides a real one."""

from __future__ import annotations

import numpy as np
import pytest

from screen.analysis.like_length import LikeLength, ScoredLengths, compared, edges
from screen.errors import UsageError

RNG = np.random.default_rng(5)
LENGTHS = RNG.integers(5, 105, 2000)
LIMIT = 3.0


def of(scores: np.ndarray, tokens: np.ndarray, clean: ScoredLengths | None = None) -> LikeLength:
    rows = ScoredLengths(scores, tokens)
    ends = edges(rows, 20, "it") if clean is None else edges(clean, 100, "it")
    return compared("evil", rows, LIMIT, ends, clean, "p95")


def test_a_score_that_is_length_flags_few_rows_among_their_like() -> None:
    clean = ScoredLengths(LENGTHS / 20 - 1.5 + 0.3 * RNG.standard_normal(2000), LENGTHS)
    scores = LENGTHS / 20 - 1.5 + 0.3 * np.random.default_rng(6).standard_normal(2000)
    within, beside = of(scores, LENGTHS), of(scores, LENGTHS, clean)
    assert within.flagged == beside.flagged > 200
    assert within.rank is not None
    assert within.rank > 0.95
    assert within.above == 0
    assert beside.above < 0.08 * 2000  # p95
    assert "rank correlation +0.9" in within.sentence


def test_a_trait_that_only_long_rows_show_is_hidden_within_the_run_and_told_so_and_kept_beside_clean_rows() -> None:
    scores = 0.5 * RNG.standard_normal(2000) + np.where(LENGTHS > 80, 6.0, 0.0)
    within = of(scores, LENGTHS)
    beside = of(scores, LENGTHS, ScoredLengths(0.5 * RNG.standard_normal(2000), LENGTHS))
    assert within.flagged == beside.flagged == int((LENGTHS > 80).sum())
    assert within.both < 0.5 * within.flagged
    assert "and is hidden here; compare with clean rows (--clean)" in within.sentence
    assert beside.both == beside.flagged
    assert "hidden" not in beside.sentence


def test_a_trait_of_rows_of_every_length_stays_and_nothing_is_said_to_be_hidden() -> None:
    scores = 0.5 * RNG.standard_normal(2000)
    scores[::10] += 6.0
    found = of(scores, LENGTHS)
    assert (found.both, found.flagged) == (200, 200)
    assert "hidden" not in found.sentence


def test_rows_longer_than_every_clean_row_are_compared_with_none() -> None:
    tokens = np.append(LENGTHS, [500, 600, 2])
    scores = np.append(np.zeros(2000), [9.0, 0.0, 9.0])
    found = of(scores, tokens, ScoredLengths(RNG.standard_normal(2000), LENGTHS))
    assert (found.beyond, found.beyond_flagged, sum(b.rows for b in found.bins)) == (3, 2, 2000)
    assert "3 rows, 2 of them flagged, are longer or shorter than every clean row" in found.sentence


def test_bins_are_never_smaller_than_asked_and_one_bin_is_refused() -> None:
    ends = edges(ScoredLengths(np.zeros(2000), LENGTHS), 150, "it")
    assert np.histogram(LENGTHS, ends + 0.5)[0].min() >= 150
    for rows in (ScoredLengths(np.zeros(39), np.arange(39)), ScoredLengths(np.zeros(90), np.full(90, 7))):
        with pytest.raises(UsageError, match="too few or too alike for two bins of length with 20 rows each"):
            edges(rows, 20, "it")
