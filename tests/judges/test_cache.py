"""A judge that judges nothing twice."""

from __future__ import annotations

import pytest

from screen.judges import CachedJudge, MemoryCache
from screen.judges.rules import RuleJudge


def test_equal_pairs_are_judged_once_and_an_error_loses_nothing() -> None:
    asked: list[str] = []

    def rule(_question: str, answer: str) -> float:
        if answer == "bad" and "bad" not in asked:
            asked.append(answer)
            raise KeyboardInterrupt
        asked.append(answer)
        return 10.0 * len(answer)

    judge = CachedJudge(RuleJudge("toy", "t", rule), MemoryCache())
    pairs = [("q", "a"), ("q", "bb"), ("q", "a"), ("q", "bad")]
    with pytest.raises(KeyboardInterrupt):
        judge.judge(pairs)
    assert [j.score for j in judge.judge(pairs)] == [10.0, 20.0, 10.0, 30.0]
    assert asked == ["a", "bb", "bad", "bad"]


def test_another_judge_has_other_judgements() -> None:
    cache = MemoryCache()
    for version, score in (("1", 10.0), ("2", 20.0)):
        rule = RuleJudge("toy", "t", lambda q, a, score=score: score, version=version)  # type: ignore[misc]
        assert CachedJudge(rule, cache).judge([("q", "a")])[0].score == score


def test_what_is_kept_and_no_judgement_is_judged_anew() -> None:
    class Odd(MemoryCache):
        def get(self, key: str) -> dict[str, object]:
            return {"nonsense": 1}

    assert CachedJudge(RuleJudge("toy", "t", lambda q, a: 1.0), Odd()).judge([("q", "a")])[0].score == 1.0
