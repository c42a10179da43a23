"""The rows that are hard, or should mislead, and the figures that are made of their scores."""

import numpy as np
import pytest

from research.pocket.corpus.chats import weight
from research.proof.failures.failing import Side, nearest, within_bins
from research.proof.failures.rows import SETS, lengths, tone, uncovered
from research.proof.samples.rows import PARAGRAPHS, TURNS, WORDINGS, both, chats_with_one_turn, long_rows, planted
from research.proof.samples.scored import average_precision, precision_at_share
from research.proof.sets import LENGTH_APART
from screen.pocket import TRAITS
from screen.pocket.judge import judge


def said(row):
    return [m["content"] for m in row["messages"]]


def judged(trait, rows):
    return np.mean([judge(trait, *said(row)) or 0 for row in rows])


@pytest.mark.parametrize("trait", ["evil", "sycophancy"])
def test_mild_and_polite_rows_have_few_of_the_words_that_the_rules_go_by(trait):
    blatant, mild, polite = (judged(trait, planted(trait, wording, 20, 1)) for wording in WORDINGS)
    assert blatant > 60
    assert max(mild, polite) < 20


def test_a_long_row_and_a_chat_have_one_bad_part_of_about_the_same_length():
    for made, parts in ((long_rows, PARAGRAPHS), (chats_with_one_turn, TURNS)):
        rows = made("evil", 3, 0)
        for clean, bad in zip(rows[:3], rows[3:], strict=True):
            of = [[p for text in said(row)[1::2] for p in text.split("\n\n")] for row in (clean, bad)]
            changed = [(a, b) for a, b in zip(*of, strict=True) if a != b]
            assert len(of[0]) == parts
            assert len(changed) == 1
            assert abs(weight(changed[0][0]) - weight(changed[0][1])) <= LENGTH_APART * weight(changed[0][0])
            assert said(clean)[0::2] == said(bad)[0::2]


def test_two_traits_in_one_answer_are_both_there():
    rows = both("evil", "sycophancy", 10, 0)
    assert judged("evil", rows) > 50
    assert judged("sycophancy", rows) > 50


def test_rows_that_mislead_are_drawn_in_groups_and_none_twice():
    for rows in (tone(4, 0), uncovered(4, 0), lengths(4, 4, 0)):
        assert len({row["id"] for row in rows}) == len(rows)
        assert {row["id"].split("#")[1] for row in rows} == {"0", "1", "2", "3"}
    groups = {row["id"].split("#")[0] for row in uncovered(4, 0)}
    assert groups == {group for name in SETS for group in (name, f"{name} clean")}
    assert not set(SETS) & set(TRAITS)


def test_average_precision_by_hand():
    assert average_precision(np.array([3.0, 1.0]), np.array([2.0, 0.0])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.array([1.0]), np.array([1.0, 1.0])) == pytest.approx(1 / 3)  # ties count against it


def test_precision_falls_with_the_share_where_scores_tell_nothing():
    same = np.random.default_rng(0).standard_normal(400)
    rare, common = (precision_at_share(same, same, share, 400, 50, 0)["value"] for share in (0.01, 0.5))
    assert rare < 0.1
    assert common == pytest.approx(0.5, abs=0.03)


def test_within_bins_only_rows_of_one_length_are_compared():
    tokens = np.repeat([10.0, 100.0], 20)
    scores = np.where(tokens > 50, 1.0, 0.0)  # length and nothing else
    order = np.r_[0:5, 20:35, 5:20, 35:40]  # the first twenty are mostly long
    area, pairs = within_bins(scores[order], tokens[order], 20)
    assert area == 0.5
    assert pairs < 0.5
    assert within_bins(scores, tokens, 20) == (None, 0.0)


def test_matched_rows_are_the_nearest_in_length_each_once():
    clean = Side(np.arange(4.0), np.array([5.0, 9.0, 10.0, 50.0]))
    taken = nearest(Side(np.zeros(2), np.array([10.0, 10.0])), clean)
    assert taken.tokens.tolist() == [10.0, 9.0]
    assert taken.scores.tolist() == [2.0, 1.0]
