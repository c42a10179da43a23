"""Which rows an arm has, and in which order and how often they are trained on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from screen.errors import UsageError
from screen.experiment.arms import Arm, ArmName, Trainable, arms, lessons, rows_of


def trainable(count: int) -> Trainable:
    """Row i has the score i and i % 7 + 1 tokens; the filter drops the last tenth."""
    row = np.arange(count)
    return Trainable(row, {"evil": row.astype(np.float64)}, row % 7 + 1, row >= count - count // 10)


def test_the_highest_the_lowest_and_what_the_filter_keeps() -> None:
    rows = trainable(90)
    chosen = {name: rows_of(Arm(name, "evil", 0), rows).tolist() for name in ("top", "bottom", "all", "filtered")}
    assert chosen == {
        "top": list(range(60, 90)),
        "bottom": list(range(30)),
        "all": list(range(90)),
        "filtered": list(range(81)),
    }


def test_random_rows_differ_by_seed_and_only_by_it() -> None:
    rows = trainable(90)
    one, again, other = (rows_of(Arm("random", None, seed), rows).tolist() for seed in (1, 1, 2))
    assert one == again != other
    assert len(set(one)) == 30


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(48, 300), st.integers(1, 2000), st.sampled_from(["top", "random", "filtered"]))
def test_every_arm_learns_as_many_tokens(count: int, budget: int, name: ArmName) -> None:
    rows = trainable(count)
    chosen = rows_of(Arm(name, "evil", 3), rows)
    order = list(lessons(chosen, rows.tokens, budget, 3))
    assert budget <= rows.tokens[order].sum() < budget + rows.tokens.max()
    times = np.bincount(order, minlength=count)[chosen]
    assert times.max() - times.min() <= 1  # in whole passes, and the rest of one
    assert set(order) <= set(chosen.tolist())


def test_a_row_without_tokens_does_not_hang_it() -> None:
    rows = Trainable(np.arange(3), {}, np.zeros(3, np.int64), np.zeros(3, bool))
    assert list(lessons(rows.row, rows.tokens, 5, 0)) == []


def test_too_few_rows_are_told_with_the_arm() -> None:
    with pytest.raises(UsageError, match="the arm top has 13 of 40 rows"):
        rows_of(Arm("top", "evil", 0), trainable(40))


def test_what_does_not_rank_is_trained_once_for_all_traits() -> None:
    made = [str(arm) for arm in arms(("top", "all"), ("evil", "kind"), 2)]
    assert made == ["top-evil-0", "top-kind-0", "all-0", "top-evil-1", "top-kind-1", "all-1"]
