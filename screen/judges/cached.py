"""A judge that judges nothing twice: each judgement is kept as soon as it is there.

A judge whose first judgements hold nothing to go by is given up: thousands more would be of no use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from screen.errors import ModelError
from screen.foreign import JsonObject
from screen.judges.cache import JudgementStore, key_of
from screen.judges.judgement import Judge, Judgement, Pair

TRIAL: Final = 16  # judgements after which a judge must have given something to go by


class CachedJudge(Judge):
    """Asks `judge` only for what `cache` does not hold; equal pairs are asked for once."""

    def __init__(self, judge: Judge, cache: JudgementStore) -> None:
        self._judge, self._cache = judge, cache
        self.asked = 0  # judgements that were not in the cache
        self._empty: int | None = 0  # judgements so far that say nothing; None once one has said something

    @property
    def identity(self) -> JsonObject:
        return self._judge.identity

    def stream(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, Judgement]]:
        identity = dict(self.identity)
        missing: dict[str, list[int]] = {}
        for i, (question, answer) in enumerate(pairs):
            key = key_of({"judgement": 1, "by": identity, "question": question, "answer": answer})
            known = self._known(key)
            if known is not None:
                self._look(known)
                yield i, known
            else:
                missing.setdefault(key, []).append(i)
        keys = list(missing)
        for at, judgement in self._judge.stream([pairs[missing[key][0]] for key in keys]) if keys else ():
            self.asked += 1
            self._cache.put(keys[at], judgement.to_json())
            self._look(judgement)
            for i in missing[keys[at]]:
                yield i, judgement

    def _look(self, judgement: Judgement) -> None:
        """Raises ModelError once TRIAL judgements, all there are, say nothing. A refusal says something."""
        if self._empty is None:
            return
        by = self.identity
        lacks = judgement.score is None or (by.get("coherence") is not None and judgement.coherence is None)
        if not lacks or judgement.refusal or judgement.how == "filtered":
            self._empty = None
            return
        self._empty += 1
        if self._empty >= TRIAL:
            what = "score" if judgement.score is None else "coherence"
            name = f" {model}" if isinstance(model := by.get("model"), str) else ""
            raise ModelError(
                f"the judge ({by.get('judge')}{name}) gave no {what} in any of its first {TRIAL} judgements",
                "check that it follows the rubric (a whole number from 0 to 100), or use another --judge",
            )

    def _known(self, key: str) -> Judgement | None:
        kept = self._cache.get(key)
        if kept is None:
            return None
        try:
            return Judgement.from_json(kept)
        except (TypeError, ValueError):
            return None
