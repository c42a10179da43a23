"""Layer choice, controls and separation as plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from screen.building.denoising import principal
from screen.building.spec import BuildSpec
from screen.building.validation.layers import by_separation, by_steering
from screen.building.validation.separation import aurocs, chance, effects, shuffled
from screen.building.validation.steering import Point
from screen.building.validation.validate import compare, top_share


def point(layer: int, score: float, coherence: float = 90.0, error: float = 0.0) -> Point:
    return Point(layer, 1.0, score, coherence, score / 100, error)


FLAT = [0.9] * 5


def test_the_highest_coherent_score_wins() -> None:
    points = [point(1, 50), point(2, 80), point(3, 95, coherence=60)]
    choice = by_steering(points, FLAT, FLAT, 75)
    assert (choice.layer, choice.by) == (2, "steering")
    assert choice.reason == "trait score 80.0 at coherence 90.0, coefficient 1"


def test_among_equal_scores_the_layer_that_reads_best() -> None:
    points = [point(1, 100), point(2, 100), point(3, 100)]
    assert by_steering(points, [0.5, 0.9, 0.95, 0.9, 0.9], FLAT, 75).layer == 2


def test_within_a_standard_error_the_layer_that_reads_best() -> None:
    points = [point(1, 80), point(2, 90, error=5), point(3, 86)]
    choice = by_steering(points, [0.5, 0.999, 0.9, 0.95], FLAT, 75)
    assert choice.layer == 3
    assert choice.reason.endswith("; layer 2 has 90.0, within a standard error of 5.0, and reads less well")


def test_without_a_coherent_point_separation_decides() -> None:
    choice = by_steering([point(1, 90, 20), point(2, 95, 30)], FLAT, [0, 3.0, 2.0, 0, 0], 75)
    assert (choice.layer, choice.by, choice.coefficient) == (1, "separation", None)
    assert choice.reason.startswith("no steering left a coherence of 75; AUROC 0.900")


def test_separation_takes_the_largest_effect_among_the_best() -> None:
    assert by_separation(range(1, 4), [1.0, 0.9, 0.995, 1.0], [9, 9, 5.0, 4.0]).layer == 2


def test_a_vector_must_beat_each_control() -> None:
    controls = {"layer_0": 0.8, "random": {"mean": 0.6, "p95": 0.9, "n": 32}, "length": 0.7}
    assert compare(0.95, controls) == ([], [])
    failed, warnings = compare(0.85, controls)
    assert (failed, warnings) == (["random (95th percentile 0.900)"], [])


def test_at_the_ceiling_a_control_is_told_and_fails_nobody() -> None:
    failed, warnings = compare(1.0, {"layer_0": 1.0})
    assert failed == []
    assert warnings == ["layer 0 (1.000) tells the held-out answers apart as well: the figure says little"]
    assert compare(0.97, {"layer_0": 0.995})[0] == ["layer 0 (0.995)"]


def test_separation_of_columns() -> None:
    shows = np.array([True] * 50 + [False] * 50)
    rng = np.random.default_rng(0)
    values = np.stack([shows + 0.0, rng.normal(size=100), -1.0 * shows], axis=1)
    assert aurocs(values, shows)[[0, 2]].tolist() == [1.0, 0.0]
    assert abs(aurocs(values, shows)[1] - 0.5) < 0.2
    assert effects(values[:, 1:2] + 2 * values[:, :1], shows)[0] > 1.5
    assert chance([0.3, 0.5]).mean == pytest.approx(0.6)
    assert 0.5 < shuffled(values[:, 1], shows).p95 < 0.7


def test_principal_components_hold_half_of_the_variance() -> None:
    rng = np.random.default_rng(0)
    states = np.zeros((60, 2, 6), dtype=np.float32)
    states[:, 0] = rng.normal(size=(60, 6)) * [10, 1, 1, 1, 1, 1]
    states[:, 1] = rng.normal(size=(60, 6))
    basis = principal("evil", states)
    assert basis.counts[0] == 1
    assert basis.counts[1] in (2, 3)
    assert abs(basis.rows[0, 0, 0]) > 0.99
    direction = np.ones((2, 6), dtype=np.float32)
    left = basis.remove(direction)
    assert abs(left[0, 0]) < 0.2
    np.testing.assert_allclose(basis.remove(np.stack([direction, direction])), np.stack([left, left]), atol=1e-6)


def test_top_share() -> None:
    direction = np.zeros((2, 40), dtype=np.float32)
    direction[0] = 1.0
    direction[1, 3] = 5.0
    assert top_share(direction) == [pytest.approx(0.25), 1.0]


def test_the_minimum_a_side_follows_what_is_asked() -> None:
    spec = BuildSpec(traits=())
    assert [spec.least(asked) for asked in (50, 100, 300, 1000)] == [10, 10, 30, 50]
    assert BuildSpec(traits=(), minimum=3).least(1000) == 3
    assert spec.longest(32_768) == 1000
    assert spec.longest(1024) == 512
