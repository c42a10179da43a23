"""The calibrated baseline against what it is meant to be: ridge regression, chosen on rows it did not see."""

from __future__ import annotations

import numpy as np
import pytest

from screen.scoring import calibrate
from screen.scoring.lengths import corrected, pearson, ranks, slope, spearman


def data(n: int = 300, f: int = 12, noise: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, f)) * np.linspace(0.1, 10, f) + 5
    y = x @ rng.normal(size=(f, 2)) + noise * rng.normal(size=(n, 2))
    return x, y


def test_a_fit_is_the_ridge_solution_at_the_penalty_it_chose() -> None:
    x, y = data()
    made = calibrate.fit(x, y)
    z = (x - x.mean(0)) / x.std(0)
    for j in range(2):
        plain = np.linalg.solve(z.T @ z + made.penalty[j] * np.eye(z.shape[1]), z.T @ (y[:, j] - y[:, j].mean()))
        np.testing.assert_allclose(made.weights[:, j], plain, rtol=1e-8)
    values, _ = made.predict(x[:7])
    np.testing.assert_allclose(values, z[:7] @ made.weights + y.mean(0))


def test_predictions_out_of_fold_do_not_see_their_row() -> None:
    x, y = data(n=60)
    before = calibrate.fit(x, y).out_of_fold
    y2 = y.copy()
    y2[3] += 1000.0
    fold = np.random.default_rng(0).permutation(60) % calibrate.FOLDS
    same_fold = np.flatnonzero(fold == fold[3])
    after = calibrate._path(x[fold != fold[3]], y2[fold != fold[3]], x[same_fold])
    unchanged = calibrate._path(x[fold != fold[3]], y[fold != fold[3]], x[same_fold])
    np.testing.assert_array_equal(after, unchanged)
    assert np.isfinite(before).all()


def test_noise_explains_nothing_and_signal_explains_much() -> None:
    x, y = data(noise=0.1)
    assert (calibrate.fit(x, y).r2 > 0.99).all()
    nothing = calibrate.fit(x, np.random.default_rng(5).normal(size=y.shape))
    assert (nothing.r2 < 0.05).all()


def test_the_standard_error_covers_new_rows_and_grows_far_out() -> None:
    x, y = data(n=400, noise=1.0)
    made = calibrate.fit(x[:300], y[:300])
    values, se = made.predict(x[300:])
    inside = (np.abs(values - y[300:]) < 1.96 * se).mean()
    assert 0.90 < inside < 0.99
    far = x[300:].mean(0) + 30 * x[300:].std(0)
    assert (made.predict(far[None])[1] > 1.3 * se.mean(0)).all()


def test_a_constant_feature_and_a_constant_target_do_no_harm() -> None:
    x, y = data()
    x[:, 0], y[:, 1] = 7.0, 2.0
    made = calibrate.fit(x, y)
    assert np.isfinite(made.predict(x)[0]).all()
    np.testing.assert_allclose(made.predict(x)[0][:, 1], 2.0)
    assert made.r2[1] == 0.0


def test_it_keeps_as_arrays() -> None:
    x, y = data()
    made = calibrate.fit(x, y)
    again = calibrate.Calibration.from_arrays(made.to_arrays())
    np.testing.assert_array_equal(again.predict(x)[1], made.predict(x)[1])


def test_too_few_prompts() -> None:
    with pytest.raises(ValueError, match="9 prompts are too few"):
        calibrate.fit(*data(n=9))


def test_a_sample_is_seeded_stratified_and_independent_of_order() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, size=1000, dtype=np.uint64)
    strata = np.repeat([0, 1, 2], [900, 97, 3])
    got = calibrate.sample(hashes, strata, 100, seed=1)
    assert np.bincount(strata[got]).tolist() == [90, 10, 1]  # in proportion, at least one
    order = rng.permutation(1000)
    assert set(hashes[order][calibrate.sample(hashes[order], strata[order], 100, seed=1)]) == set(hashes[got])
    assert set(calibrate.sample(hashes, strata, 100, seed=2)) != set(got)
    assert calibrate.sample(hashes[:5], strata[:5], 100).tolist() == [0, 1, 2, 3, 4]


def test_the_mean_with_a_control_variate_is_closer_and_its_interval_holds() -> None:
    rng = np.random.default_rng(3)
    hits, saved = 0, []
    for _ in range(200):
        truth = rng.normal(size=2000) + 1
        guess = truth + 0.4 * rng.normal(size=2000) + 0.3  # with an offset, as stand-ins have
        mean, low, high, more = calibrate.control_variate_mean(truth[:150], guess[:150], guess)
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
