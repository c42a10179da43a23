"""A judge made of two functions: for the embedded model, whose answers rules can tell. No model is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from screen.foreign import JsonObject
from screen.judges.judgement import Judge, Judgement, Pair

Rule = Callable[[str, str], float | None]  # (question, answer) -> 0 to 100, or None


class RuleJudge(Judge):
    """`name` and `version` stand for the rules in the cache: raise the version when they change.

    A rule that gives None for an answer that is not empty calls it a refusal.
    """

    def __init__(self, name: str, trait: str, score: Rule, coherence: Rule | None = None, version: str = "1") -> None:
        self._name, self._trait, self._version = name, trait, version
        self._score, self._coherence = score, coherence

    @property
    def identity(self) -> JsonObject:
        return {
            "judge": "rules",
            "name": self._name,
            "version": self._version,
            "trait": self._trait,
            "coherence": self._coherence is not None,
        }

    def stream(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, Judgement]]:
        for i, (question, answer) in enumerate(pairs):
            score = self._score(question, answer)
            coherence = self._coherence(question, answer) if self._coherence is not None else None
            yield i, Judgement(score, score is None and bool(answer.strip()), coherence, "rules")
