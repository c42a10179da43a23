"""Directions that mean nothing, and what a card keeps of clean rows along them."""

from __future__ import annotations

import numpy as np
import pytest

from screen.vectors import controls

RNG = np.random.default_rng


def states(n: int = 300, d: int = 48) -> np.ndarray:
    """Activations whose first dimensions vary most."""
    return (RNG(0).normal(size=(n, d)) * np.linspace(4, 0.5, d)).astype(np.float32)


def test_directions_are_unit_vectors_that_lie_across_each_other_and_are_drawn_by_seed() -> None:
    made = controls.directions(states(), 32, seed=1)
    np.testing.assert_allclose(made @ made.T, np.eye(32), atol=1e-5)
    np.testing.assert_array_equal(made, controls.directions(states(), 32, seed=1))
    assert not np.allclose(made, controls.directions(states(), 32, seed=2))


def test_directions_lie_where_the_activations_vary() -> None:
    flat = states(d=64)
    flat[:, 40:] *= 1e-4
    made = controls.directions(flat, 32)
    np.testing.assert_allclose((made[:, :40] ** 2).sum(1), 1, atol=1e-4)


def test_more_directions_than_dimensions_are_several_rotations() -> None:
    made = controls.directions(states(d=12), 32)
    assert made.shape == (32, 12)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)


def test_evenly_spread_directions_are_worth_more_than_random_combinations_of_the_states() -> None:
    rows, rng = states() * np.linspace(3, 0.2, 48), RNG(3)
    mixed = rng.normal(size=(32, len(rows))) @ (rows - rows.mean(0))
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    spread = controls.directions(rows.astype(np.float32), 32)
    assert controls.effective(rows @ spread.T) > 1.5 * controls.effective(rows @ mixed.T)


@pytest.mark.parametrize("n", [0, 1])
def test_directions_without_states_are_plain_random_ones(n: int) -> None:
    made = controls.directions(np.zeros((n, 8), dtype=np.float32), 32)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)


def test_directions_hold_nothing_of_the_traits_they_control_for() -> None:
    rng = RNG(0)
    trait = rng.normal(size=(2, 48)).astype(np.float32)
    full = states() + np.outer(rng.normal(size=300) * 20, trait[0])  # a dataset full of a trait
    made = controls.directions(full.astype(np.float32), 32, without=trait)
    assert np.abs(made @ trait.T).max() < 1e-3


def test_the_effective_number_counts_what_is_independent() -> None:
    one = RNG(0).normal(size=(5000, 1))
    assert controls.effective(np.repeat(one, 7, axis=1)) == pytest.approx(1)
    assert controls.effective(RNG(1).normal(size=(5000, 7))) == pytest.approx(7, rel=0.02)
    assert controls.effective(np.ones((9, 3))) == 1


def test_the_distribution_has_a_value_a_direction_by_quantile() -> None:
    scores = np.stack([np.arange(101.0), np.arange(101.0) * -2], axis=1)
    kept = controls.distribution(scores)
    assert (kept["rows"], kept["quantiles"]["p95"], kept["quantiles"]["p05"]) == (101, [95.0, -10.0], [5.0, -190.0])
    assert controls.quantile(kept, "p50").tolist() == [50.0, -100.0]


def test_the_key_tells_sets_apart() -> None:
    one = controls.directions(states(), 32)
    assert controls.key(one) == controls.key(one.copy()) != controls.key(one[::-1])
