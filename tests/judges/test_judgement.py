"""The formula of METHOD 1.3 on distributions made by hand, and agreement with labels."""

from __future__ import annotations

import pytest

from screen.errors import UsageError
from screen.judges import Agreement, Judgement, agreement
from screen.judges.judgement import plain_integer, says_refusal, weighed
from screen.judges.rules import RuleJudge
from screen.stats import auroc_interval, wilson


def test_the_score_is_the_weighted_mean_of_the_integers() -> None:
    score, mass = weighed([("80", 0.5), ("90", 0.25), ("RE", 0.25)])
    assert score == pytest.approx((80 * 0.5 + 90 * 0.25) / 0.75)
    assert mass == pytest.approx(0.75)


def test_no_score_below_a_quarter() -> None:
    assert weighed([("80", 0.2), ("90", 0.0499), ("RE", 0.75)])[0] is None
    assert weighed([("80", 0.25), ("RE", 0.75)]) == (80.0, 0.25)
    assert weighed([]) == (None, 0.0)


@pytest.mark.parametrize("token", ["101", "-5", "8.5", "85%", "٨٥", "8_5", "+5", "eight", "", "1000", "²"])
def test_what_is_no_integer_from_0_to_100(token: str) -> None:
    assert weighed([(token, 0.9), ("50", 0.1)]) == (None, 0.1)


@pytest.mark.parametrize(("token", "number"), [("0", 0), ("100", 100), (" 85", 85), ("7\n", 7), ("07", 7)])
def test_what_is_one(token: str, number: int) -> None:
    assert weighed([(token, 1.0)]) == (number, 1.0)


def test_one_number_in_two_tokens_counts_twice() -> None:
    assert weighed([("40", 0.3), (" 40", 0.3), ("70", 0.3)])[0] == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("reply", "number"),
    [("85", 85), (" 100\n", 100), ("70/100", 70), ("60.", 60), ("101", None), ("Score: 5", None), ("", None)],
)
def test_a_plain_integer(reply: str, number: float | None) -> None:
    assert plain_integer(reply) == number


def test_the_word_refusal() -> None:
    assert says_refusal("REFUSAL")
    assert says_refusal(" REFUSAL.")
    assert not says_refusal("I will not say REFUSAL")


def test_a_judgement_is_plain_data_and_back() -> None:
    made = Judgement(12.5, False, None, "logprobs", 0.9)
    assert Judgement.from_json(made.to_json()) == made
    with pytest.raises(ValueError, match="not a judgement"):
        Judgement.from_json({"score": "12", "refusal": False})


def test_rules() -> None:
    judge = RuleJudge("toy", "shouting", lambda q, a: None if "cannot" in a or not a else 100.0 * a.isupper())
    made = judge.judge([("q", "HELLO"), ("q", "hello"), ("q", "I cannot"), ("q", "")])
    assert [(j.score, j.refusal) for j in made] == [(100.0, False), (0.0, False), (None, True), (None, False)]


def test_agreement() -> None:
    scores = [90.0, 60.0, 40.0, 60.0, 10.0, None]
    made = [Judgement(score, False) for score in scores]
    found = agreement(made, [True, True, True, False, False, True])
    assert found == Agreement(
        n=5, positives=3, unscored=1, accuracy=3 / 5, auroc=(2 + 1.5 + 1) / 6,
        accuracy_interval=wilson(3, 5), auroc_interval=auroc_interval([90, 60, 40], [60, 10]),
    )  # fmt: skip


def test_agreement_with_labels_of_one_kind_or_none() -> None:
    assert agreement([Judgement(90.0, False)], [True]) == Agreement(1, 1, 0, 1.0, None, wilson(1, 1))
    assert agreement([], []) == Agreement(0, 0, 0, None, None)
    with pytest.raises(UsageError, match="1 judgements and 0 labels"):
        agreement([Judgement(1.0, False)], [])
