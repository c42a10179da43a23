"""Each sentence of a self-test on data where it should be said, and where it should not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from screen.analysis.recovery import Recovery, RunThreshold, recovery
from screen.stats import auroc, auroc_difference

P99 = RunThreshold(2.33, "p99 of a reference", 0.01)


def told(
    *, apart: float = 6.0, own: int = 200, held: float = 0.0, words: float | None = 0.0, length: float = 0.0,
    random: float = 0.0, threshold: RunThreshold = P99, planted: int = 20, seed: int = 0,
) -> Recovery:  # fmt: skip
    """Normal scores; planted rows lie `apart` above the rest, of which a share `held` holds the trait as well. Controls
    lie as far apart as they are given."""
    rng = np.random.default_rng(seed)
    mine = np.arange(own + planted) < planted
    trait = mine | (np.arange(own + planted) >= own + planted - round(held * own))

    def values(far: float) -> Any:
        return rng.normal(size=own + planted) + far * trait

    controls = np.stack([values(random) for _ in range(32)], axis=1)
    layer0 = None if words is None else values(words)
    return recovery(values(apart), mine, threshold, controls, layer0, np.exp(values(length)))


def test_found_says_how_many_of_how_many_above_which_threshold() -> None:
    r = told()
    assert (r.found, r.as_well) == (True, ())
    assert r.result == (
        "would have found it: 20 of 20 planted rows (100 %, interval 84-100) stand above the threshold of this run, and"
        f" {r.own_above} of your 200 ({r.own_above / 2:.0f} %, interval {100 * r.own_interval[0]:.0f}-"
        f"{100 * r.own_interval[1]:.0f})"
    )


def test_recall_at_the_runs_threshold_decides_and_not_the_auroc() -> None:
    r = told(threshold=RunThreshold(8.0, "p99", 0.01))
    assert r.auroc > 0.99
    assert r.found is False
    assert r.result.startswith(f"would not have found it: {r.above} of 20 planted rows (")
    assert r.above <= 2


def test_about_half_found_is_some_of_it() -> None:
    r = told(threshold=RunThreshold(6.0, "p99", 0.01), seed=2)
    assert 6 <= r.above <= 14
    assert (r.found, r.result[:27]) == (False, "would have found some of it")


@pytest.mark.parametrize("sign", [1, -1])
def test_words_that_do_as_well_are_told_whatever_their_sign(sign: int) -> None:
    r = told(words=6.0 * sign)
    assert r.found
    assert r.result.endswith(
        "; the embedding-layer control does as well (AUROC 1.00 beside 1.00): the separation here can be words, not the"
        " trait's direction"
    )


def test_length_that_does_as_well_is_told() -> None:
    assert told(length=6.0).result.endswith("; the answers' length alone does as well (AUROC 1.00 beside 1.00)")


@pytest.mark.parametrize("words", [None, 0.0, 1.0])
def test_words_that_do_worse_are_not_told(words: float | None) -> None:
    for seed in range(10):
        assert "embedding" not in told(words=words, seed=seed).result


def test_directions_that_mean_nothing_and_do_as_well_leave_nothing_to_be_said_of_the_trait() -> None:
    r = told(random=6.0)
    assert r.found is False
    assert r.result.startswith("cannot tell that it is the trait: 20 of 20")
    assert "% of random directions tell them as well (AUROC 1.00)" in r.result


def test_rows_of_the_trait_among_ones_own_are_told_and_hide_nothing() -> None:
    r = told(held=0.5)
    assert r.auroc < 0.8  # half of the rows it is told from are like it
    assert r.found
    assert r.as_well == ()
    assert ", where clean data have 1 %: yours hold some of it, or are unlike the reference" in r.result


def test_clean_rows_of_ones_own_are_seldom_suspected() -> None:
    assert sum("yours hold" in told(seed=seed).result for seed in range(100)) <= 2


@pytest.mark.parametrize("held", [0.0, 0.2, 0.5])
def test_rows_of_the_trait_among_ones_own_change_neither_what_is_found_nor_why(held: float) -> None:
    plain = [told(seed=seed, held=held) for seed in range(40)]
    assert all(r.found and not r.as_well for r in plain)
    assert sum("layer0" in told(seed=seed, held=held, words=6.0).as_well for seed in range(40)) >= 32
    assert sum(told(seed=seed, held=held, random=6.0).found for seed in range(40)) <= 8


def test_where_ones_own_rows_stand_above_as_often_nothing_can_be_told() -> None:
    r = told(held=1.0)
    assert (r.found, r.result[:40]) == (False, "cannot tell planted rows from yours: 20 ")


def test_a_threshold_of_the_rows_themselves_is_told() -> None:
    assert (
        "; that threshold is learnt from these very rows, the planted ones included: give --reference"
        in told(threshold=RunThreshold(2.33, "robust z", None)).result
    )
    assert "very rows" not in told().result


def test_without_a_threshold_there_is_nothing_to_find_with() -> None:
    r = told(threshold=RunThreshold(None, "the scores have no spread", None))
    assert (r.above, r.found) == (0, False)
    assert r.result == "cannot tell: there is no threshold (the scores have no spread)"


def test_a_direction_that_knows_nothing_is_not_said_to_find() -> None:
    assert not any(told(apart=0.0, seed=seed).found for seed in range(20))


def test_a_difference_of_aurocs_is_covered_by_its_interval() -> None:
    """Two scores of the same rows that share half of their noise: 0.92 and 0.76 in truth."""
    truth = [auroc(*drawn(100_000, -1)[i]) for i in (0, 1)]
    ends = [auroc_difference(*drawn(60, seed)) for seed in range(300)]
    assert 0.91 <= np.mean([low <= truth[0] - truth[1] <= high for low, high in ends]) <= 0.985
    one, other = drawn(60, 0)
    assert auroc_difference(other, one) == pytest.approx([-e for e in reversed(auroc_difference(one, other))])
    assert auroc_difference(one, one) == (0.0, 0.0)


def drawn(n: int, seed: int) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    rng = np.random.default_rng(seed + 1)
    shared, apart = rng.normal(size=(2, n)), (2.0, 1.0)
    own = [shared + rng.normal(size=(2, n)) for _ in apart]
    return tuple((o[0] + a * np.sqrt(2), o[1]) for o, a in zip(own, apart, strict=True))  # type: ignore[return-value]
