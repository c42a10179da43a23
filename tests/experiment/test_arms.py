"""Which rows an arm has, and in which order and how often they are trained on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from screen.errors import UsageError
from screen.experiment.arms import Arm, ArmName, Trainable, above, arm_name, arms, lessons, rows_of


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


def test_a_cut_is_all_but_the_highest_and_equal_scores_stay_together() -> None:
    rows, cut = trainable(90), Arm("cut:10%", "evil", 0)
    assert rows_of(cut, rows).tolist() == list(range(81))
    assert above(cut, rows) == 80.0
    tied = np.where((rows.row > 77) & (rows.row < 84), 80.0, rows.row)
    assert rows_of(cut, Trainable(rows.row, {"evil": tied}, rows.tokens, rows.drops)).tolist() == list(range(84))
    assert str(cut) == "cut10-evil-0"  # the name of its file
    with pytest.raises(UsageError, match=r"the arm cut:10% drops none of 90 rows by evil"):
        rows_of(cut, Trainable(rows.row, {"evil": np.ones(90)}, rows.tokens, rows.drops))


def test_cuts_are_named_by_their_percent() -> None:
    assert [arm_name(text) for text in ("cut:5", "cut:2.50%", "top")] == ["cut:5%", "cut:2.5%", "top"]
    for text, why in (("cut:0", "drops none"), ("cut:100%", "drops all"), ("cut:-5", "no arm"), ("best", "no arm")):
        with pytest.raises(UsageError, match=why):
            arm_name(text)


def test_a_shuffled_ranking_deals_scores_and_filter_together_anew_for_each_seed() -> None:
    rows = trainable(200)
    dealt, again, other = rows.dealt(1), rows.dealt(1), rows.dealt(2)
    assert sorted(dealt.scores["evil"]) == sorted(rows.scores["evil"])
    assert np.array_equal(dealt.drops, dealt.scores["evil"] >= 180)  # as the row that they were of
    assert np.array_equal(dealt.tokens, rows.tokens)
    assert np.array_equal(dealt.scores["evil"], again.scores["evil"])
    assert abs(np.corrcoef(dealt.scores["evil"], rows.scores["evil"])[0, 1]) < 0.2
    assert abs(np.corrcoef(dealt.scores["evil"], other.scores["evil"])[0, 1]) < 0.2


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
    made = [str(arm) for arm in arms(("top", "cut:5%", "all"), ("evil", "kind"), 2)]
    once = ["top-evil-0", "top-kind-0", "cut5-evil-0", "cut5-kind-0", "all-0"]
    assert made == [*once, *(name[:-1] + "1" for name in once)]
