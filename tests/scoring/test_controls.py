"""Whether a trait says more than its controls, and how many rows chance would flag."""

from __future__ import annotations

import numpy as np
import pytest

from screen.scoring import controls, verdict
from screen.scoring.significance import benjamini_hochberg, fdr_cut, p_values

RNG = np.random.default_rng
N = 2000


def planted(share: float = 0.02, height: float = 8.0, seed: int = 0) -> np.ndarray:
    rng = RNG(seed)
    scores = rng.normal(size=N)
    scores[: int(share * N)] += height
    return scores


def random(seed: int = 1) -> np.ndarray:
    return RNG(seed).normal(size=(N, 32))


TOKENS = RNG(2).integers(20, 400, N)


def test_directions_have_unit_norm_and_the_covariance_of_the_states() -> None:
    states = RNG(0).normal(size=(500, 16)) * np.linspace(0.1, 3, 16)
    made = controls.directions(states.astype(np.float32), 4000, seed=1)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert np.corrcoef((made**2).mean(0), states.var(0))[0, 1] > 0.9
    np.testing.assert_array_equal(made, controls.directions(states.astype(np.float32), 4000, seed=1))


@pytest.mark.parametrize("n", [0, 1])
def test_directions_without_states_are_plain_random_ones(n: int) -> None:
    made = controls.directions(np.zeros((n, 8), dtype=np.float32), 32)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)


def test_planted_rows_are_informative_and_noise_is_not() -> None:
    assert controls.standing(planted(), random(), TOKENS, 5).informative
    nothing = controls.standing(planted(0), random(), TOKENS, 5)
    assert not nothing.informative
    assert "no more than those of random directions" in nothing.reason


def test_a_dataset_that_is_moved_as_a_whole_is_informative() -> None:
    assert controls.standing(planted(0) + 3, random(), TOKENS, 5).informative


def test_a_vector_read_at_layer_0_never_is() -> None:
    found = controls.standing(planted(), random(), TOKENS, 0)
    assert (found.informative, "layer 0" in found.reason) == (False, True)


@pytest.mark.parametrize("power", [1.0, 3.0])
def test_what_length_explains_is_not_informative(power: float) -> None:
    """A dataset sorted by length: the highest rows are the longest ones."""
    tokens = np.sort(np.exp(RNG(4).normal(4, 0.6, N)).astype(int) + 5)
    tokens[-40:] *= 20
    scores = np.log(tokens) ** power + 0.05 * RNG(5).normal(size=N)
    scores -= np.median(scores)
    found = controls.standing(scores, random(), tokens, 5)
    assert not found.informative
    assert found.reason.startswith("what stands out")
    assert found.length_correlation > 0.95


def test_words_alone_are_a_note_not_the_mark() -> None:
    found = controls.standing(planted(), random(), TOKENS, 5, layer0=planted(height=20))
    assert (found.informative, found.note) == (True, "words alone (layer 0) stand out as far")


def test_no_verdict_on_a_handful_of_rows() -> None:
    assert controls.standing(np.ones(10), np.ones((10, 32)), np.ones(10), 5) is None


def test_what_the_controls_would_have_flagged() -> None:
    found = controls.would_flag(planted(), 4.0, random(), TOKENS)
    assert found["random"] < 1 < 40 <= (planted() > 4).sum()
    assert found["length"] == 0


def test_p_values_are_the_share_of_the_reference_at_or_above() -> None:
    p = p_values(np.array([0.0, 2.0, 9.0, np.nan]), np.array([1.0, 2.0, 3.0]))
    assert p[:3].tolist() == [1.0, 0.75, 0.25]
    assert np.isnan(p[3])


def test_benjamini_hochberg_against_its_definition() -> None:
    p = RNG(0).uniform(size=50) ** 3
    for q in (0.01, 0.05, 0.3):
        limits = [np.sort(p)[i] for i in range(50) if np.sort(p)[i] <= q * (i + 1) / 50]
        assert benjamini_hochberg(p, q) == (max(limits) if limits else None)
    assert benjamini_hochberg(np.array([np.nan]), 0.5) is None


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.2])
def test_the_false_share_stays_under_its_rate(share: float) -> None:
    false, found = [], []
    for seed in range(200):
        rng = RNG(seed)
        reference = np.sort(rng.normal(size=2000)).astype(np.float32)
        scores = rng.normal(size=1000).astype(np.float32)
        n = int(share * 1000)
        scores[:n] += 5
        cut = fdr_cut(scores, reference, 0.05)
        flagged = scores > cut if cut is not None else np.zeros(1000, dtype=bool)
        false.append(flagged[n:].sum() / max(1, flagged.sum()))
        found.append(flagged[:n].mean() if n else 1.0)
    assert np.mean(false) < 0.05 + 3 * np.std(false) / np.sqrt(200)
    assert share < 0.05 or np.mean(found) > 0.8


def test_the_bootstrap_draws_whole_prompts() -> None:
    rng = RNG(0)
    per_prompt = rng.normal(size=50)
    keys = np.repeat(np.arange(50), 20)
    scores = per_prompt[keys]  # a thousand rows, and no more evidence than fifty
    mean, low, high = verdict.bootstrap_mean(scores, keys)
    assert mean == pytest.approx(scores.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * per_prompt.std() / np.sqrt(50), rel=0.15)
    assert verdict.bootstrap_mean(scores, keys) == (mean, low, high)


def test_small_groups_are_named_and_not_measured() -> None:
    scores, keys = RNG(0).normal(size=100), np.arange(100)
    big, small = verdict.by_group(scores, keys, ["a"] * 70 + ["b"] * 30)
    assert (big["group"], big["rows"], big["low"] < big["mean"] < big["high"]) == ("a", 70, True)
    assert small == {"group": "b", "rows": 30}


def test_another_trait_that_explains_the_flags_better_is_named() -> None:
    z = {"evil": np.array([3.0, 4.0, 0.0]), "rude": np.array([5.0, 6.0, 0.0])}
    flags = {t: v > 2 for t, v in z.items()}
    assert verdict.better_explained(z, flags) == [{"trait": "evil", "other": "rude", "rows": 2, "of": 2}]
    assert verdict.correlations(z)["evil"]["rude"] == pytest.approx(0.99, abs=0.02)


def test_directions_hold_nothing_of_the_traits_they_control_for() -> None:
    rng = RNG(0)
    trait = rng.normal(size=(2, 16)).astype(np.float32)
    states = rng.normal(size=(100, 16)) + np.outer(rng.normal(size=100) * 20, trait[0])  # a dataset full of a trait
    made = controls.directions(states.astype(np.float32), 32, without=trait)
    assert np.abs(made @ trait.T).max() < 1e-4
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
