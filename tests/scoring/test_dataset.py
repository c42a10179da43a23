"""What a run says of a dataset as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from screen.scan.summary.summarise import robust_scores
from screen.scoring.findings import dataset
from screen.stats import bootstrap_mean

RNG = np.random.default_rng


def test_the_bootstrap_draws_whole_prompts() -> None:
    rng = RNG(0)
    per_prompt = rng.normal(size=50)
    keys = np.repeat(np.arange(50), 20)
    scores = per_prompt[keys]  # a thousand rows, and no more evidence than fifty
    mean, low, high = bootstrap_mean(scores, keys)
    assert mean == pytest.approx(scores.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * per_prompt.std() / np.sqrt(50), rel=0.15)
    assert bootstrap_mean(scores, keys) == (mean, low, high)


def test_small_groups_are_named_and_not_measured() -> None:
    scores, keys = RNG(0).normal(size=100), np.arange(100)
    big, small = dataset.by_group(scores, keys, ["a"] * 70 + ["b"] * 30)
    assert (big["group"], big["rows"], big["low"] < big["mean"] < big["high"]) == ("a", 70, True)
    assert small == {"group": "b", "rows": 30}


def test_another_trait_that_explains_the_flags_better_is_named() -> None:
    z = {"evil": np.array([3.0, 4.0, 0.0]), "rude": np.array([5.0, 6.0, 0.0])}
    flags = {t: v > 2 for t, v in z.items()}
    assert dataset.better_explained(z, flags) == [{"trait": "evil", "other": "rude", "rows": 2, "of": 2}]
    assert dataset.correlations(z)["evil"]["rude"] == pytest.approx(0.99, abs=0.02)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_how_far_a_row_stands_out_is_on_the_scale_of_clean_rows(share: float) -> None:
    """However many rows are planted: on the run's own scale, a full set stands nowhere."""
    scores = RNG(0).normal(size=400).astype(np.float32) + 8 * (np.arange(400) < 400 * share)
    reference = {"quantiles": {"p25": -0.6745, "p50": 0.0, "p75": 0.6745}}
    np.testing.assert_allclose(robust_scores(scores, reference), scores, rtol=1e-4)
    assert abs(np.median(robust_scores(scores[:40] if share == 1 else scores, None))) < 1e-9


@pytest.mark.parametrize(
    ("higher", "of", "named"), [(1, 2, False), (2, 3, True), (2, 4, False), (3, 4, True), (0, 1, False)]
)
def test_another_trait_is_named_where_most_rows_stand_higher_on_it(higher: int, of: int, named: bool) -> None:
    z = {"evil": np.ones(of), "rude": np.where(np.arange(of) < higher, 2.0, 1.0)}
    flags = {"evil": np.ones(of, dtype=bool), "rude": np.zeros(of, dtype=bool)}
    assert bool(dataset.better_explained(z, flags)) is named


def test_a_group_of_just_enough_rows_is_measured() -> None:
    scores = RNG(0).normal(size=2 * dataset.GROUP_LEAST - 1)
    names = ["a"] * dataset.GROUP_LEAST + ["b"] * (dataset.GROUP_LEAST - 1)
    first, second = dataset.by_group(scores, np.arange(len(scores)), names)
    assert (first["mean"], "mean" in second) == (pytest.approx(scores[: dataset.GROUP_LEAST].mean()), False)


def test_an_interval_is_of_the_draws_quantiles() -> None:
    """Poisson weights a cluster, by hand and in pieces: how many are drawn at a time changes nothing that shows."""
    scores, keys = RNG(0).normal(size=40), np.arange(40) % 8
    sums, counts = np.bincount(keys, scores), np.bincount(keys).astype(float)
    weights = RNG(3).poisson(1.0, size=(500, 8)).astype(float)
    weights = weights[weights.sum(axis=1) > 0]
    low, high = np.quantile((weights @ sums) / (weights @ counts), [0.025, 0.975])
    assert bootstrap_mean(scores, keys, seed=3, draws=500) == pytest.approx((scores.mean(), low, high))
    mean, low, high = bootstrap_mean(scores, np.zeros(40, dtype=np.int64))
    assert (mean, np.isnan(low), np.isnan(high)) == (pytest.approx(scores.mean()), True, True)
    assert bootstrap_mean(scores[:2], np.arange(2))[1] == pytest.approx(scores[:2].min())


def test_draws_are_made_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, keys = RNG(0).normal(size=40), np.arange(40)
    whole = bootstrap_mean(scores, keys, draws=100)
    for at_once in (40 * 30, 1):
        monkeypatch.setattr("screen.stats._AT_ONCE", at_once)
        assert bootstrap_mean(scores, keys, draws=100) == pytest.approx(whole, rel=1e-12)


def test_groups_stand_by_their_size_and_each_is_measured_by_itself() -> None:
    names = np.array(["b"] * 64 + ["c"] * 70 + ["a"] * 64)
    scores = np.where(names == "c", 5.0, np.where(names == "a", 1.0, 2.0)) + RNG(0).normal(size=198) * 1e-3
    lines = dataset.by_group(scores, np.arange(198), list(names))
    assert [(line["group"], line["rows"], round(line["mean"])) for line in lines] == [
        ("c", 70, 5), ("a", 64, 1), ("b", 64, 2),
    ]  # fmt: skip
    inside = names == "c"
    assert (lines[0]["low"], lines[0]["high"]) == bootstrap_mean(scores[inside], np.arange(198)[inside])[1:]
    [one] = dataset.by_group(np.ones(64), np.zeros(64, dtype=np.int64), ["x"] * 64)
    assert (one["mean"], one["low"], one["high"]) == (1.0, None, None)


def test_traits_beside_each_other_over_the_rows_that_have_both() -> None:
    some = {"a": np.array([1.0, 2.0, 3.0, np.nan, 9.0]), "b": np.array([3.0, 2.0, 1.0, 5.0, np.nan])}
    made = dataset.correlations(some | {"none": np.full(5, np.nan)})
    assert made["a"] == {"a": pytest.approx(1.0), "b": pytest.approx(-1.0), "none": None}
