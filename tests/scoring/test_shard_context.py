"""What a shard's scores are compared with: control directions, reference sets, calibrations. By hand, on a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from screen.baselines.estimates import calibration
from screen.baselines.estimates.calibration import Calibration
from screen.baselines.estimates.estimator import BaselineEstimator, prompt_hashes
from screen.baselines.table import kind_of
from screen.scoring.context import ControlSet, Directions, ScoringContext
from screen.scoring.schema import RANDOM
from screen.scoring.shard import ShardInput, score_shard
from tests.scoring.test_shard import STATES, D, Says, TableModel, V, sample

RNG = np.random.default_rng(7)
PROBES = RNG.normal(size=(2 + 2 * RANDOM, D)).astype(np.float32)
SETS = (ControlSet("a", 3, "card"), ControlSet("b", 5, "run"))
DIRECTIONS = Directions(PROBES, (0, 0, *[3] * RANDOM, *[5] * RANDOM), 2, SETS, ("a", "b"), (True, False))


def score(
    *samples: Any, context: ScoringContext, baseline: Any = "none", says: Any = None
) -> dict[str, list[dict[str, Any]]]:
    model = TableModel(extra=context.directions.vectors.reshape(-1, D))
    shard = ShardInput(list(samples))
    tables = score_shard(shard, ["evil", "kind"], model, says, kind_of(baseline), context=context)
    return {name: table.to_pylist() for name, table in tables.items()}


def test_controls_are_scored_as_the_traits_are() -> None:
    tables = score(
        sample(0, ([1], [3, 4]), ([2], [5])), context=ScoringContext(DIRECTIONS), baseline="generate", says=Says([6, 7])
    )
    answers = (STATES[[3, 4]].mean(0) + STATES[5]) / 2 - STATES[[6, 7]].mean(0)
    [row] = tables["scores"]
    assert row["evil_layer0"] == pytest.approx(float(PROBES[0] @ answers), abs=1e-4)
    assert row["kind_layer0"] is None
    assert [(c["row"], c["layer"], c["set"]) for c in tables["controls"]] == [(0, 3, "a"), (0, 5, "b")]
    for control, start in zip(tables["controls"], (2, 2 + RANDOM), strict=True):
        np.testing.assert_allclose(control["random"], PROBES[start : start + RANDOM] @ answers, atol=1e-4)


def test_the_second_traits_layer_0_is_its_own() -> None:
    both = Directions(PROBES, DIRECTIONS.layers, 2, SETS, ("a", "b"), (True, True))
    [row] = score(sample(0, ([1], [3])), context=ScoringContext(both))["scores"]
    assert row["kind_layer0"] == pytest.approx(float(PROBES[1] @ STATES[3]), abs=1e-4)


def test_percentile_z_and_p_against_a_reference() -> None:
    [plain] = score(sample(0, ([1], [3])), context=ScoringContext())["scores"]
    value = plain["evil_projection"]
    reference = np.array([value - 3, value - 1, value, value + 2], dtype=np.float32)  # as high counts as not below
    context = ScoringContext(references={"evil": reference})
    [row] = score(sample(0, ([1], [3])), context=context)["scores"]
    assert row["evil_percentile"] == pytest.approx(50.0)
    assert row["evil_p"] == pytest.approx(3 / 5)
    assert row["evil_z"] == pytest.approx(0.5 / np.sqrt(3.25), rel=1e-4)
    assert (row["kind_percentile"], row["kind_z"], row["kind_p"]) == (None, None, None)
    [flat] = score(sample(0, ([1], [3])), context=ScoringContext(references={"evil": np.ones(4, np.float32)}))["scores"]
    assert (flat["evil_z"], flat["evil_percentile"]) == (None, 100.0 if value > 1 else 0.0)


def test_without_a_score_there_is_no_percentile() -> None:
    context = ScoringContext(references={"evil": np.arange(4, dtype=np.float32)})
    [row] = score(sample(0, ([1], [3])), context=context, baseline="generate", says=Says(None))["scores"]
    assert (row["evil"], row["evil_percentile"], row["evil_z"], row["evil_p"]) == (None, None, None, None)


def constant(baseline: float, se: float, width: int, prompts: int = 10**6) -> Calibration:
    """Predicts the same for every prompt."""
    none = np.zeros((width, 0))
    return Calibration(
        mean=np.zeros(width), scale=np.ones(width), weights=np.zeros((width, 2)), intercept=np.full(2, baseline),
        penalty=np.ones(2), r2=np.zeros(2), residual=np.full(2, se), rotation=none, singular=np.zeros(0),
        out_of_fold=np.zeros((prompts, 2)),
    )  # fmt: skip


def stand(model: Calibration, answered: Any = (), **cuts: float) -> BaselineEstimator:
    hashes = np.sort(np.array(answered, dtype=np.uint64))
    return BaselineEstimator(model, hashes, np.full((len(hashes), 2), 9.0, dtype=np.float32), ("d.jsonl",), cuts)


def test_an_estimate_is_the_projection_less_the_prediction_and_its_error_is_of_the_mean_over_turns() -> None:
    context = ScoringContext(calibration=stand(constant(0.25, 0.4, 4)))
    [row] = score(sample(0, ([1], [3]), ([2], [4])), context=context, baseline="calibrated", says=Says([6]))["scores"]
    assert row["evil_estimate"] == pytest.approx(float((STATES[3] + STATES[4]) @ V[0]) / 2 - 0.25, abs=1e-5)
    assert row["evil_se"] == pytest.approx(0.4 / np.sqrt(2), rel=1e-4)
    assert row["evil"] is None  # nothing was answered


def test_a_standard_error_is_of_its_own_samples_turns() -> None:
    samples = (sample(0, ([1], [3]), ([2], [4])), sample(1, ([1], [5])))
    rows = score(
        *samples, context=ScoringContext(calibration=stand(constant(0, 0.4, 4))), baseline="calibrated", says=Says([6])
    )
    assert [r["evil_se"] for r in rows["scores"]] == pytest.approx([0.4 / np.sqrt(2), 0.4], rel=1e-4)


def test_features_are_the_last_prompt_tokens_projections_the_length_and_the_file() -> None:
    x, y = RNG.normal(size=(30, 2 + 2 + 2)), RNG.normal(size=(30, 2))
    model = calibration.fit(x, y)
    held = BaselineEstimator(model, np.zeros(0, np.uint64), np.zeros((0, 2), np.float32), ("a.jsonl", "d.jsonl"))
    [row] = score(
        sample(0, ([1, 2], [3])), context=ScoringContext(calibration=held), baseline="calibrated", says=Says([6])
    )["scores"]
    seen = np.concatenate([V @ STATES[2], [np.log(2), np.log(2) ** 2, 0, 1]])[None]
    assert row["evil_projection"] - row["evil_estimate"] == pytest.approx(model.predict(seen)[0][0, 0], abs=1e-4)
    other = BaselineEstimator(
        model, held.answered, held.out_of_fold, ("a.jsonl", "b.jsonl")
    )  # the row's file was not sampled
    [row] = score(
        sample(0, ([1, 2], [3])), context=ScoringContext(calibration=other), baseline="calibrated", says=Says([6])
    )["scores"]
    seen[0, -1] = 0
    assert row["evil_projection"] - row["evil_estimate"] == pytest.approx(model.predict(seen)[0][0, 0], abs=1e-4)


def test_answered_prompts_are_exact_beside_their_estimates() -> None:
    known = prompt_hashes([np.array([1], dtype=np.int32)])
    context = ScoringContext(calibration=stand(constant(0.0, 1.0, 4), known))
    rows = score(sample(0, ([1], [3])), sample(1, ([2], [3])), context=context, baseline="calibrated", says=Says([6]))
    first, second = rows["scores"]
    assert first["evil"] == pytest.approx(float((STATES[3] - STATES[6]) @ V[0]), abs=1e-5)
    assert first["evil_projection"] - first["evil_estimate"] == pytest.approx(9.0)  # the fit that did not see it
    assert (second["evil"], second["baseline"], first["baseline"]) == (None, "none", "generate")


@pytest.mark.parametrize(("above", "answered"), [(1e-3, True), (-1e-3, False)])
def test_refine_answers_rows_that_may_reach_the_cut_within_two_standard_errors(above: float, answered: bool) -> None:
    """Two turns: the mean's error is the turns' over the root of two."""
    mean = float((STATES[3] + STATES[4]) @ V[0]) / 2
    cut = mean + 2 * 0.4 / np.sqrt(2) - above
    held = stand(constant(0.0, 0.4, 4), evil=cut, kind=1e9)
    says = Says([6])
    tables = score(
        sample(0, ([1], [3]), ([2], [4])), context=ScoringContext(calibration=held, refine=True), baseline="calibrated",
        says=says,
    )  # fmt: skip
    [row] = tables["scores"]
    assert (row["evil"] is not None) is answered
    assert len(says.asked) == 2 * answered
    if answered:
        assert row["evil"] == pytest.approx(mean - float(STATES[6] @ V[0]), abs=1e-5)


def test_controls_beside_a_calibration_have_their_own_columns() -> None:
    """In their order: embedding layer, control directions, then the features of prompts, which are no control."""
    extra = np.concatenate([PROBES, RNG.normal(size=(2, D)).astype(np.float32)])
    directions = Directions(extra, (*DIRECTIONS.layers, 1, 2), 2, SETS, ("a", "b"), (True, False))
    width, seen = 2 + len(PROBES), 2 + len(extra) + 2  # columns; features: every last-token projection, the length
    targets = np.arange(width, dtype=np.float64)  # what is predicted for each column
    model = replace(
        constant(0.0, 1.0, seen),
        weights=np.zeros((seen, width)),
        intercept=targets,
        residual=np.ones(width),
        penalty=np.ones(width),
    )
    held = BaselineEstimator(model, np.zeros(0, np.uint64), np.zeros((0, width), np.float32), ("d.jsonl",))
    tables = score(
        sample(0, ([1], [3])), context=ScoringContext(directions, held), baseline="calibrated", says=Says([6])
    )
    [row], expected = tables["scores"], extra[: len(PROBES)] @ STATES[3] - targets[2:]
    assert row["evil_layer0"] == pytest.approx(float(expected[0]), abs=1e-4)
    np.testing.assert_allclose(tables["controls"][1]["random"], expected[2 + RANDOM :], atol=1e-4)


@pytest.mark.parametrize("place", range(3))
def test_refine_answers_every_turn_of_the_rows_that_may_reach_the_cut_and_no_other(place: int) -> None:
    said = [[3], [4, 5], [5]]
    means = [float(STATES[tokens].mean(0) @ V[0]) for tokens in said]
    order = [i for i in range(3) if i != int(np.argmax(means))]
    order.insert(place, int(np.argmax(means)))  # the one that reaches it
    samples = [sample(n, *(([10 + t], [t]) for t in said[i])) for n, i in enumerate(order)]
    held, says = stand(constant(0.0, 0.0, 4), evil=max(means) - 1e-4, kind=1e9), Says([6])
    tables = score(*samples, context=ScoringContext(calibration=held, refine=True), baseline="calibrated", says=says)
    assert [row["evil"] is not None for row in tables["scores"]] == [n == place for n in range(3)]
    assert len(says.asked) == len(said[order[place]])
