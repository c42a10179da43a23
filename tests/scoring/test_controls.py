"""A trait beside its control directions, on the scale of clean rows and on the run's own."""

from __future__ import annotations

import numpy as np
import pytest

from screen.scoring.findings.comparison import Comparison, compare
from screen.scoring.findings.lengths import without_length
from screen.scoring.findings.ruler import Ruler, robust_z
from screen.scoring.findings.significance import exceeding
from tests.scoring.making import clean, lengths, reference

RNG = np.random.default_rng


def found(
    scores: np.ndarray, random: np.ndarray, known: dict | None, at: str = "p99", **more: np.ndarray
) -> Comparison:
    made = compare(scores, random, lengths(len(scores)), known, at, **more)
    assert made is not None
    return made


def test_heights_are_0_at_the_clean_median_and_1_at_the_threshold() -> None:
    known = {"rows": 9, "quantiles": {"p01": -6.0, "p25": 1.0, "p50": 2.0, "p75": 4.0, "p99": 10.0}}
    ruler = Ruler.of_reference(known, "p99")
    x = np.array([[2.0], [10.0], [-6.0]])
    assert ruler.heights(x)[:, 0].tolist() == [0, 1, -1]
    assert ruler.depths(x)[:, 0].tolist() == [0, -1, 1]
    assert ruler.z(x)[1, 0] == pytest.approx(8 / (3 / 1.349))


def test_on_clean_rows_the_trait_is_one_direction_among_others() -> None:
    got = found(*clean(1000, 1), reference())
    assert (got.scale, got.rows, got.expected) == ("reference", 1000, pytest.approx(10))
    assert got.above == pytest.approx(10, abs=8)
    assert got.random == pytest.approx(10, abs=2)
    assert got.chance > 0.05
    assert not got.tail_beyond
    assert got.moved == pytest.approx(0, abs=0.05)
    assert got.shift == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_no_share_of_planted_rows_moves_the_scale(share: float) -> None:
    scores, random = clean(240, 2)
    scores[: int(share * 240)] += 6
    got = found(scores, random, reference())
    assert got.tail_beyond
    assert got.above >= int(share * 240) - 1
    assert 1.8 < got.tail < 4  # 6 in units of 2.3, and the highest of some


def test_without_a_reference_the_run_is_the_scale_and_half_of_it_planted_hides() -> None:
    scores, random = clean(240, 2)
    few, half = scores.copy(), scores.copy()
    few[:5] += 8
    half[:120] += 8
    assert found(few, random, None).tail_beyond
    got = found(half, random, None)
    assert (got.scale, got.expected, got.chance, got.moved) == ("run", None, None, None)
    assert not got.tail_beyond


def test_a_reference_without_controls_leaves_the_run_as_the_scale() -> None:
    assert found(*clean(100, 1), reference(controls=False)).scale == "run"


def test_controls_count_in_either_sign() -> None:
    scores, random = clean(200, 3)
    random[:50, 4] -= 9
    assert found(scores, random, reference()).random_highest >= 50


def test_text_unlike_the_reference_moves_along_the_controls() -> None:
    scores, random = clean(200, 3)
    got = found(scores + 1.5, random + RNG(0).normal(size=32), reference())
    assert got.moved == pytest.approx(1, abs=0.3)
    assert got.shift == pytest.approx(1.5, abs=0.2)
    assert (got.above_moved, got.above_shift) == (pytest.approx(1, abs=0.4), pytest.approx(3.5, abs=0.8))


@pytest.mark.parametrize("n", [5, 20, 200])
def test_what_sampling_alone_moves_is_taken_out(n: int) -> None:
    squares = [found(*clean(n, seed), reference()).moved ** 2 for seed in range(20)]
    assert np.mean(squares) < 0.5 * np.pi / 2 / n + 0.01


def test_rows_that_are_trained_away_from_are_looked_at_from_the_other_end() -> None:
    scores, random = clean(200, 4)
    scores[:20] += 6
    away = np.arange(200) < 20
    assert found(scores, random, reference(), toward=~away).above <= 6
    scores[:20] -= 12
    assert found(scores, random, reference(), toward=~away).above >= 20


def test_a_control_along_which_clean_rows_do_not_vary_is_left_out() -> None:
    scores, random = clean(100, 5)
    known = reference()
    for values in known["controls"]["quantiles"].values():
        values[3] = 0.0
    random[:, 3] = 50
    got = found(scores, random, known)
    assert (got.directions, got.random_highest < 20) == (31, True)


def test_what_cannot_be_compared() -> None:
    scores, random = clean(50, 6)
    assert compare(scores[:0], random[:0], lengths(0), reference(), "p99") is None
    assert compare(scores, random[:, :0], lengths(50), None, "p99") is None
    assert compare(np.ones(50), random, lengths(50), None, "p99") is None
    assert compare(scores, np.zeros((50, 0)), lengths(50), None, "p99") is None


def test_a_run_larger_than_its_reference_is_judged_by_no_rarer_rows_than_that_knows() -> None:
    assert found(*clean(1000, 1), reference(rows=1500)).tail_rows in (5, 10)
    assert found(*clean(8000, 1), reference(rows=500)).tail_rows == 80


def test_layer_0_stands_beside_the_trait_on_the_runs_own_scale() -> None:
    scores, random = clean(300, 8)
    scores[:9] += 5
    assert found(scores, random, reference(), layer0=2 * scores).layer0 == pytest.approx(
        found(scores, random, reference()).tail_run
    )
    assert found(scores, random, reference(), layer0=np.full(300, np.nan)).layer0 is None


@pytest.mark.parametrize(
    ("above", "rows", "share", "clean_rows"),
    [(3, 60, 0.01, 1500), (9, 100, 0.05, 200), (0, 5, 0.1, 80), (2050, 5000, 0.4, 1500)],
)
def test_the_chance_of_as_many_is_what_simulation_gives(above: int, rows: int, share: float, clean_rows: int) -> None:
    rng = RNG(0)
    true = rng.beta(share * clean_rows + 0.5, (1 - share) * clean_rows + 0.5, size=200_000)
    simulated = (rng.binomial(rows, true) >= above).mean()
    assert exceeding(above, rows, share, clean_rows) == pytest.approx(simulated, abs=0.004)


def test_the_normal_approximation_takes_over_smoothly() -> None:
    exact, rough = (exceeding(k, 200_000, 0.01, 1500) for k in (2_000, 2_001))
    assert exact == pytest.approx(rough, abs=0.05)


@pytest.mark.parametrize("power", [1.0, 3.0])
def test_what_length_explains_is_taken_out(power: float) -> None:
    tokens = np.sort(np.exp(RNG(4).normal(4, 0.6, 2000)).astype(int) + 5)
    scores = np.log(tokens) ** power
    assert np.std(without_length(scores, tokens)) < 0.1 * np.std(scores)


def test_robust_z_by_hand() -> None:
    z = robust_z(np.array([0.0, 1, 2, 3, 100]))
    np.testing.assert_allclose(z, (np.array([0, 1, 2, 3, 100]) - 2) / 1.4826)
    assert robust_z(np.ones(4)).tolist() == [0, 0, 0, 0]


def test_within_a_run_the_threshold_stands_three_robust_deviations_above_its_median() -> None:
    values = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]]) + 10
    ruler = Ruler.of_run(values)
    assert ruler.heights(np.array([[10 + 3 * 1.4826]])) == pytest.approx(1.0)
    assert ruler.depths(np.array([[10 - 3 * 1.4826]])) == pytest.approx(1.0)
    assert (ruler.z(np.array([[10 - 1.4826]])), ruler.rows) == (pytest.approx(-1.0), 0)


def test_robust_z_does_not_depend_on_the_unit() -> None:
    values = RNG(0).normal(size=(50, 2))
    np.testing.assert_allclose(robust_z(values * 1e-3), robust_z(values), rtol=1e-9)
