"""The calibrated baseline against what it is meant to be: ridge regression, chosen on rows it did not see."""

from __future__ import annotations

import numpy as np
import pytest

from screen.baselines.estimates import calibration
from screen.scoring.findings.lengths import corrected, slope, without_length
from screen.stats import pearson, ranks, spearman


def data(n: int = 300, f: int = 12, noise: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, f)) * np.linspace(0.1, 10, f) + 5
    y = x @ rng.normal(size=(f, 2)) + noise * rng.normal(size=(n, 2))
    return x, y


def test_a_fit_is_the_ridge_solution_at_the_penalty_it_chose() -> None:
    x, y = data()
    made = calibration.fit(x, y)
    z = (x - x.mean(0)) / x.std(0)
    for j in range(2):
        plain = np.linalg.solve(z.T @ z + made.penalty[j] * np.eye(z.shape[1]), z.T @ (y[:, j] - y[:, j].mean()))
        np.testing.assert_allclose(made.weights[:, j], plain, rtol=1e-8)
    values, _ = made.predict(x[:7])
    np.testing.assert_allclose(values, z[:7] @ made.weights + y.mean(0))


def test_noise_explains_nothing_and_signal_explains_much() -> None:
    x, y = data(noise=0.1)
    assert (calibration.fit(x, y).r2 > 0.99).all()
    nothing = calibration.fit(x, np.random.default_rng(5).normal(size=y.shape))
    assert (nothing.r2 < 0.05).all()


def test_the_standard_error_covers_new_rows_and_grows_far_out() -> None:
    x, y = data(n=400, noise=1.0)
    made = calibration.fit(x[:300], y[:300])
    values, se = made.predict(x[300:])
    inside = (np.abs(values - y[300:]) < 1.96 * se).mean()
    assert 0.90 < inside < 0.99
    far = x[300:].mean(0) + 30 * x[300:].std(0)
    assert (made.predict(far[None])[1] > 1.3 * se.mean(0)).all()


def test_a_constant_feature_and_a_constant_target_do_no_harm() -> None:
    x, y = data()
    x[:, 0], y[:, 1] = 7.0, 2.0
    made = calibration.fit(x, y)
    assert np.isfinite(made.predict(x)[0]).all()
    np.testing.assert_allclose(made.predict(x)[0][:, 1], 2.0)
    assert made.r2[1] == 0.0


def test_it_keeps_as_arrays() -> None:
    x, y = data()
    made = calibration.fit(x, y)
    again = calibration.Calibration.from_arrays(made.to_arrays())
    np.testing.assert_array_equal(again.predict(x)[1], made.predict(x)[1])


def test_too_few_prompts() -> None:
    with pytest.raises(ValueError, match="9 prompts are too few"):
        calibration.fit(*data(n=9))
    assert len(calibration.fit(*data(n=10)).out_of_fold) == 10


def test_a_sample_is_seeded_stratified_and_independent_of_order() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, size=1000, dtype=np.uint64)
    strata = np.repeat([0, 1, 2], [900, 97, 3])
    got = calibration.sample(hashes, strata, 100, seed=1)
    assert np.bincount(strata[got]).tolist() == [90, 10, 1]  # in proportion, at least one
    order = rng.permutation(1000)
    assert set(hashes[order][calibration.sample(hashes[order], strata[order], 100, seed=1)]) == set(hashes[got])
    assert set(calibration.sample(hashes, strata, 100, seed=2)) != set(got)
    assert calibration.sample(hashes[:5], strata[:5], 100).tolist() == [0, 1, 2, 3, 4]


def test_the_mean_with_a_control_variate_is_closer_and_its_interval_holds() -> None:
    rng = np.random.default_rng(3)
    hits, saved = 0, []
    for _ in range(200):
        truth = rng.normal(size=2000) + 1
        guess = truth + 0.4 * rng.normal(size=2000) + 0.3  # with an offset, as proxy baselines have
        mean, low, high, more = calibration.control_variate_mean(truth[:150], guess[:150], guess)
        hits += low < 1.0 < high
        saved.append(more)
        assert abs(mean - 1) < 0.3
    assert hits >= 184  # 95 % of 200, less three standard deviations
    assert np.median(saved) > 500  # a plain mean of this width takes far more answers than 150


def test_rank_correlation_shares_ranks_among_ties() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0])).tolist() == [1.5, 0.0, 1.5]
    assert spearman(np.array([1, 2, 3, 4]), np.array([1, 4, 9, 16])) == pytest.approx(1.0)
    assert np.isnan(pearson(np.ones(4), np.arange(4)))


def test_a_score_without_its_length_no_longer_goes_with_it() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 500, 400)
    scores = 2 * np.log(tokens) + rng.normal(size=400)
    assert slope(scores, tokens) == pytest.approx(2, abs=0.2)
    left = corrected(scores, tokens)
    assert abs(pearson(left, np.log(tokens))) < 1e-9
    assert left.mean() == pytest.approx(scores.mean())


def tailed(n: int, seed: int, heavy: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(exact, guess, se), (n, 1): standard errors right on average; where scores are high, errors twice as wide."""
    rng = np.random.default_rng(seed)
    guess = rng.normal(size=(n, 1))
    wide = np.where(guess > 1.0, 2.0, 0.75) if heavy else 1.0
    return guess + 0.3 * wide * rng.normal(size=(n, 1)), guess, np.full((n, 1), 0.3)


def test_standard_errors_cover_high_scores_as_well_where_their_errors_are_larger() -> None:
    covered = []
    for seed in range(60):
        exact, guess, se = tailed(500, seed, heavy=True)
        [factor] = calibration.tail_factors(exact, guess, se, (exact > 1.5).sum(axis=0))
        exact, guess, se = tailed(4000, 1000 + seed, heavy=True)
        inside = np.abs(exact - guess) < 1.96 * se * np.array([[1.0, factor]])
        covered += [[inside[(s > 1.5)[:, 0]].mean(axis=0) for s in (exact, guess)]]
    (before, after), (before_guess, after_guess) = np.mean(covered, axis=0)
    assert before < 0.75 > before_guess
    assert 0.93 < after < 0.995 > after_guess > 0.93


def test_standard_errors_that_are_right_stay_nearly_as_they_are() -> None:
    factors = [calibration.tail_factors(*tailed(2000, s, heavy=False), np.array([300]))[0] for s in range(40)]
    assert min(factors) >= 1.0
    assert np.mean(factors) < 1.12


def test_a_tail_factor_is_a_quantile_of_the_highest_by_either_score_and_never_below_one() -> None:
    guess, se = np.arange(100.0)[:, None], np.full((100, 1), 2.0)
    exact = guess + 0.5
    assert calibration.tail_factors(exact, guess, se, np.array([0])).tolist() == [1.0]
    exact[61:63] += 50.0  # two large errors: over 40 prompts, the 39th of 40 is the 95 % quantile
    assert calibration.tail_factors(exact, guess, se, np.array([0]))[0] == pytest.approx(50.5 / 2 / 1.96)
    exact[62] -= 50.0
    assert calibration.tail_factors(exact, guess, se, np.array([0])).tolist() == [1.0]
    assert calibration.tail_factors(exact, exact - 3, 0 * se, np.array([0]))[0] == pytest.approx(3 / 1.96)


def test_the_prompts_above_the_cut_count_where_there_are_many() -> None:
    guess, se = np.arange(100.0)[:, None], np.full((100, 1), 1.0)
    exact = guess - np.where(np.arange(100) < 50, 9.0, 0.0)[:, None]
    assert calibration.tail_factors(exact, guess, se, np.array([50])).tolist() == [1.0]
    assert calibration.tail_factors(exact, guess, se, np.array([70]))[0] == pytest.approx(9 / 1.96)


def test_widened_is_wider_by_the_factor_and_predicts_the_same() -> None:
    x, y = data()
    plain = calibration.fit(x, y)
    wide = plain.widened(np.array([2.0, 1.0]))
    np.testing.assert_array_equal(wide.predict(x)[0], plain.predict(x)[0])
    np.testing.assert_allclose(wide.predict(x)[1], plain.predict(x)[1] * [2.0, 1.0])


def test_the_features_of_a_prompt() -> None:
    made = calibration.features(np.array([[1.5], [2.5], [3.5]]), np.array([1, 8, 0]), np.array([0, 1, -1]), 2)
    log = np.log(8)
    np.testing.assert_allclose(made, [[1.5, 0, 0, 1, 0], [2.5, log, log**2, 0, 1], [3.5, 0, 0, 0, 0]], rtol=1e-6)
    assert calibration.features(np.ones((1, 1)), np.array([8]), np.array([0]), 1).shape == (
        1,
        3,
    )  # one source tells nothing


def test_a_standard_error_is_the_residual_and_the_leverage_of_a_ridge_fit() -> None:
    x, y = data()
    made = calibration.fit(x, y)
    z, new = (x - x.mean(0)) / x.std(0), x[:5] * 1.3
    for j in range(2):
        inverse = np.linalg.inv(z.T @ z + made.penalty[j] * np.eye(z.shape[1]))
        out = (new - x.mean(0)) / x.std(0)
        leverage = np.einsum("nf,fg,ng->n", out, inverse, out) + 1 / len(x)
        residual = np.sqrt(((made.out_of_fold[:, j] - y[:, j]) ** 2).mean())
        np.testing.assert_allclose(made.predict(new)[1][:, j], residual * np.sqrt(1 + leverage), rtol=1e-6)
        explained = 1 - residual**2 / y[:, j].var()
        assert made.r2[j] == pytest.approx(explained)


def test_estimates_that_are_exact_save_every_answer() -> None:
    truth = np.arange(30.0)
    mean, low, high, saved = calibration.control_variate_mean(truth[:10], truth[:10], truth)
    half = 1.96 * np.sqrt(truth.var() / 30)
    assert (mean, low, high, saved) == (14.5, pytest.approx(14.5 - half), pytest.approx(14.5 + half), np.inf)


def test_a_control_variates_interval_has_both_parts_of_its_error() -> None:
    truth, guess, everywhere = np.array([1.0, 4.0, 2.0, 5.0]), np.array([0.0, 4.0, 3.0, 4.0]), np.array([0.0, 1.0, 5.0])
    difference = truth - guess
    mean, low, high, saved = calibration.control_variate_mean(truth, guess, everywhere)
    half = 1.96 * np.sqrt(difference.var(ddof=1) / 4 + everywhere.var() / 3)
    assert (mean, low, high) == pytest.approx((2.25, 2.25 - half, 2.25 + half))
    assert saved == pytest.approx(4 * (truth.var(ddof=1) / difference.var(ddof=1) - 1))


def test_the_unit_of_a_feature_does_not_matter() -> None:
    x, y = data(60)
    plain, tiny = calibration.fit(x, y), calibration.fit(x * 1e-20, y)
    np.testing.assert_allclose(tiny.predict(x * 1e-20)[0], plain.predict(x)[0], rtol=1e-6)


def test_what_has_no_spread_has_no_slope_and_two_points_are_a_line() -> None:
    assert slope(np.array([1.0, 5.0]), np.array([7, 7])) == 0.0
    assert pearson(np.array([1.0, 2.0]), np.array([5.0, 3.0])) == pytest.approx(-1.0)
    assert np.isnan(pearson(np.array([1.0]), np.array([5.0])))


def test_predictions_out_of_fold_are_ridge_fits_on_all_other_folds_at_the_penalty_that_errs_least() -> None:
    x, y = data(60)
    made = calibration.fit(x, y)
    fold = np.random.default_rng(0).permutation(60) % calibration.FOLDS
    guesses = np.empty((len(calibration.PENALTIES), *y.shape))
    for k in range(calibration.FOLDS):
        seen, out = fold != k, fold == k
        mean, scale, centre = x[seen].mean(0), x[seen].std(0), y[seen].mean(0)
        z, new = (x[seen] - mean) / scale, (x[out] - mean) / scale
        for i, penalty in enumerate(calibration.PENALTIES):
            weights = np.linalg.solve(z.T @ z + penalty * np.eye(z.shape[1]), z.T @ (y[seen] - centre))
            guesses[i, out] = new @ weights + centre
    best = ((guesses - y) ** 2).sum(axis=1).argmin(axis=0)
    np.testing.assert_array_equal(made.penalty, calibration.PENALTIES[best])
    for j in range(2):
        np.testing.assert_allclose(made.out_of_fold[:, j], guesses[best[j], :, j], rtol=1e-8)


@pytest.mark.parametrize(("rows", "bins"), [(39, 1), (40, 2), (100, 5), (1000, 50), (2000, 50)])
def test_what_length_explains_is_the_median_of_rows_of_about_their_length(rows: int, bins: int) -> None:
    tokens = np.random.default_rng(0).permutation(rows)
    heights = np.random.default_rng(1).normal(size=rows)
    left = without_length(heights, tokens)
    taken = heights - left
    assert len(np.unique(taken.round(9))) == bins
    for value in np.unique(taken.round(9)):
        inside = taken.round(9) == value
        assert np.median(heights[inside]) == pytest.approx(value, abs=1e-8)
        assert tokens[inside].max() - tokens[inside].min() == inside.sum() - 1  # neighbours in length
    assert without_length(heights, np.ones(rows)) == pytest.approx(heights - np.median(heights))


def test_lengths_of_nothing_count_as_one_token() -> None:
    scores = np.array([1.0, 2.0, 5.0])
    assert slope(scores, np.array([0, 1, 8])) == pytest.approx(slope(scores, np.array([1, 1, 8])))
    np.testing.assert_allclose(corrected(scores, np.array([0, 1, 8])), corrected(scores, np.array([1, 1, 8])))
