"""Intervals cover the truth about as often as they say, on draws whose truth is known; other figures by hand."""

from __future__ import annotations

from math import comb
from statistics import NormalDist

import numpy as np
import pytest

from screen.stats import (
    QUANTILES,
    area,
    auroc,
    auroc_difference,
    auroc_interval,
    project,
    quantile_interval,
    quartile_spread,
    robust_spread,
    robust_z,
    share,
    share_below,
    summary,
    unit,
    wilson,
)


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


@pytest.mark.parametrize(("n", "at"), [(100, 0.9), (300, 0.95), (367, 0.99), (368, 0.99), (1000, 0.999)])
def test_the_interval_of_a_quantile_is_of_order_statistics(n: int, at: float) -> None:
    """Of x_1 < ... < x_n, from the highest r with P(K < r) <= 0.025 to the lowest with P(K < r) >= 0.975."""
    below = np.cumsum([comb(n, k) * at**k * (1 - at) ** (n - k) for k in range(n + 1)])  # P(K < k + 1)
    low, high = np.flatnonzero(below <= 0.025)[-1] + 1, np.flatnonzero(below >= 0.975)[0] + 1
    values = np.random.default_rng(0).permutation(n) + 1.0
    assert quantile_interval(values, at) == [low, high if high <= n else None]
    assert (high > n) == ((n, at) in ((367, 0.99), (1000, 0.999)))


def test_few_values_reach_neither_end_of_a_quantile() -> None:
    assert quantile_interval(np.array([5.0, 3.0]), 0.5) == [None, None]
    assert quantile_interval(np.arange(6.0), 0.5) == [0.0, 5.0]  # 2 * 0.5^6 < 0.05


def test_a_summary_by_hand() -> None:
    made = summary(np.arange(1001.0)[::-1])
    assert (made["mean"], made["sd"], made["highest"]) == (500.0, pytest.approx(np.sqrt(1001 * 1002 / 12)), 1000.0)
    assert made["quantiles"] == {name: 1000 * share_below(name) for name in QUANTILES}
    assert list(made["intervals"]) == ["p90", "p95", "p99", "p999"]
    assert made["intervals"]["p99"] == quantile_interval(np.arange(1001.0), 0.99)


def test_a_quantiles_name_tells_its_share() -> None:
    assert [share_below(name) for name in ("p5", "p05", "p50", "p99", "p999", "p001")] == [
        0.05, 0.05, 0.5, 0.99, 0.999, 0.001,
    ]  # fmt: skip


def test_robust_spreads_are_the_standard_deviation_of_a_normal_distribution() -> None:
    values = np.array([[3 + 2 * NormalDist().inv_cdf(p), 7.0] for p in (np.arange(10_000) + 0.5) / 10_000])
    np.testing.assert_allclose(robust_spread(values, np.median(values, axis=0)), [2.0, 0.0], rtol=1e-3)
    assert quartile_spread(*np.quantile(values[:, 0], [0.25, 0.75])) == pytest.approx(2.0, rel=1e-3)
    np.testing.assert_allclose(robust_z(values), np.stack([(values[:, 0] - 3) / 2, 0 * values[:, 1]], 1), atol=0.01)


def test_directions_are_of_length_one_and_zero_stays_zero() -> None:
    direction = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.5]], dtype=np.float32)
    assert unit(direction).tolist() == [[0.6, 0.8], [0.0, 0.0], [0.0, 1.0]]
    means = np.array([[[5.0, 10.0], [1.0, 1.0], [7.0, -2.0]]])
    np.testing.assert_allclose(project(means, direction), [[11.0, 0.0, -2.0]])


def test_the_difference_of_two_aurocs_of_the_same_rows() -> None:
    """DeLong's, from each row's share of the other side's rows that it is placed right against."""
    rng = np.random.default_rng(0)
    a, b, c, d = rng.normal(1.5, 1, 40), rng.normal(0, 1, 60), rng.normal(0.5, 1, 40), rng.normal(0, 1, 60)
    difference = (a[:, None] > b).astype(float) - (c[:, None] > d)
    rows, columns = difference.mean(1), difference.mean(0)
    half = 1.959964 * np.sqrt(rows.var(ddof=1) / 40 + columns.var(ddof=1) / 60)
    low, high = auroc_difference((a, b), (c, d))
    assert (low + high) / 2 == pytest.approx(auroc(a, b) - auroc(c, d)) == difference.mean()
    assert (high - low) / 2 == pytest.approx(half, rel=1e-6)
