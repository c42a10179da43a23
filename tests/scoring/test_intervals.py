"""Intervals cover the truth about as often as they say, on draws whose truth is known."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from screen.stats import area, auroc, auroc_interval, share, wilson


def test_wilson_as_published() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    for (k, n), ends in {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0.0, 0.1611)}.items():
        assert wilson(k, n) == pytest.approx(ends, abs=5e-5)


def test_wilson_at_the_ends_and_outside() -> None:
    low, high = wilson(20, 20)
    assert (low, high) == (pytest.approx(1 - wilson(0, 20)[1]), 1.0)
    assert wilson(0, 0) == (0.0, 1.0)
    for k, n in ((-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="is no share"):
            wilson(k, n)


@pytest.mark.parametrize(("share", "n"), [(0.05, 60), (0.5, 20), (0.95, 40), (0.99, 300)])
def test_wilson_covers(share: float, n: int) -> None:
    drawn = np.random.default_rng(0).binomial(n, share, 2000)
    ends = [wilson(int(k), n) for k in range(n + 1)]
    covered = np.mean([ends[k][0] <= share <= ends[k][1] for k in drawn])
    assert 0.92 < covered < 0.985


def drawn(area: float, spread: float, m: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal values whose AUROC is `area`; the positive ones spread `spread` times as far."""
    rng = np.random.default_rng(seed)
    middle = NormalDist().inv_cdf(area) * np.sqrt(1 + spread**2)
    return rng.normal(middle, spread, m), rng.normal(0, 1, n)


@pytest.mark.parametrize("sizes", [(20, 200), (200, 60)])
@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("area", [0.5, 0.8, 0.99, 0.999])
def test_an_aurocs_interval_covers_it(area: float, spread: float, sizes: tuple[int, int]) -> None:
    ends = [auroc_interval(*drawn(area, spread, *sizes, seed)) for seed in range(200)]
    assert np.mean([low <= area <= high for low, high in ends]) >= 0.92


def test_it_is_no_wider_than_it_has_to_be() -> None:
    positive, negative = drawn(0.9, 1.0, 200, 200, 3)
    low, high = auroc_interval(positive, negative)
    assert low < auroc(positive, negative) < high
    assert 0.04 < high - low < 0.08  # two standard errors either way: 4 * 0.015
    assert auroc_interval(np.repeat(positive, 20), np.repeat(negative, 20))[1] - high < -0.01


def test_no_room_to_be_sure_of_a_perfect_separation() -> None:
    low, high = auroc_interval(np.arange(20) + 200.0, np.arange(200.0))
    assert (round(low, 3), high) == (0.946, 1.0)
    assert auroc_interval(np.zeros(20), np.ones(200)) == pytest.approx((0.0, 1 - low))


def test_turned_values_turn_the_interval() -> None:
    positive, negative = drawn(0.8, 2.0, 30, 50, 1)
    low, high = auroc_interval(positive, negative)
    assert auroc_interval(-positive, -negative) == pytest.approx((1 - high, 1 - low))
    assert auroc_interval(negative, positive) == pytest.approx((1 - high, 1 - low))


def test_ties_alone_tell_nothing() -> None:
    low, high = auroc_interval(np.ones(50), np.ones(50))
    assert low == pytest.approx(1 - high)
    assert low < 0.5 < high


@pytest.mark.parametrize(("positive", "negative"), [([], [1.0]), ([1.0], [])])
def test_without_values_on_either_side_anything_may_be_so(positive: list[float], negative: list[float]) -> None:
    assert auroc_interval(positive, negative) == (0.0, 1.0)


def test_a_figure_with_its_interval_as_it_is_printed() -> None:
    assert share(81, 263).shown(2) == "0.31 (0.26 to 0.37)"
    assert area([2.0, 3.0], [1.0]).shown().startswith("1.000 (0.")


def test_one_value_a_side_says_next_to_nothing() -> None:
    low, high = auroc_interval([2.0], [1.0])
    assert (low < 0.3, high) == (True, 1.0)
