"""Baseline responses: each prompt answered once, kept under its ids, the model and the sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from screen.baselines.responses import CachedAnswers
from screen.errors import InputError
from screen.model.generate import Response
from screen.rendering.thinking import Thought
from screen.scoring.scored import BaselineResponse


class Kept(dict[str, tuple[Sequence[int], bool]]):
    def get(self, keys: Iterable[str]) -> Mapping[str, Any]:  # type: ignore[override]
        return {key: self[key] for key in keys if key in self}

    def put(self, batch: Mapping[str, tuple[Sequence[int], bool]]) -> None:
        self.update(batch)


class Doubles:
    """Answers a prompt with its ids twice over, in batches of two; none to one of over three tokens; fails on a 13."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def answer(
        self,
        prompts: Sequence[Any],
        done: Callable[[Sequence[int], Sequence[Response]], None] | None = None,
        *,
        failed: Callable[[int, str], None] | None = None,
    ) -> list[Response | None]:
        self.asked += [p.tolist() for p in prompts]
        for i, p in enumerate(prompts):
            if 13 in p and failed is not None:
                failed(i, "unlucky")
        can = [i for i, p in enumerate(prompts) if len(p) <= 3 and 13 not in p]
        for at in range(0, len(can), 2):
            made = [Response((*prompts[i].tolist(),) * 2, len(prompts[i]) == 3) for i in can[at : at + 2]]
            assert done is not None
            done(can[at : at + 2], made)
        return [None] * len(prompts)


def ids(*prompts: Sequence[int]) -> list[Any]:
    return [np.array(p, dtype=np.int32) for p in prompts]


def answers(cache: Kept, generator: Any, identity: str = "m", **more: Any) -> CachedAnswers:
    return CachedAnswers(
        generator, lambda made: "I cannot help with that." if 7 in made else "yes", cache, identity, **more
    )


def test_a_prompt_is_answered_once_and_told_as_it_comes() -> None:
    cache, generator, told = Kept(), Doubles(), []
    a = answers(cache, generator, step=lambda *facts: told.append(facts))
    made = a.baseline_responses(ids([1], [2, 7], [3], [4, 5, 6, 7]))
    assert [m and (m.ids, m.truncated, m.refused) for m in made] == [
        ((1, 1), False, False), ((2, 7, 2, 7), False, True), ((3, 3), False, False), None,
    ]  # fmt: skip
    assert made[0] is not None
    assert (made[0].thought, made[0].said) == ((0, 0), 0)
    assert told == [(0, 4, 0), (2, 4, 6), (3, 4, 2)]
    assert (a.generated, a.reused) == (3, 0)
    again = a.baseline_responses(ids([3], [8, 8, 8], [1]))
    assert [m.ids if m else None for m in again] == [(3, 3), (8, 8, 8) * 2, (1, 1)]
    assert again[1] is not None
    assert again[1].truncated
    assert (generator.asked[4:], a.generated, a.reused) == ([[8, 8, 8]], 4, 2)


def test_whether_an_answer_was_truncated_is_kept() -> None:
    cache = Kept()
    answers(cache, Doubles()).baseline_responses(ids([8, 8, 8], [1]))
    long, whole = answers(cache, Doubles()).baseline_responses(ids([8, 8, 8], [1]))
    assert long is not None
    assert whole is not None
    assert (long.truncated, whole.truncated) == (True, False)


def test_answers_of_another_model_are_not_taken() -> None:
    cache, generator = Kept(), Doubles()
    answers(cache, generator).baseline_responses(ids([1]))
    other = answers(cache, generator, identity="n")
    other.baseline_responses(ids([1]))
    assert (other.generated, other.reused, len(cache)) == (1, 0, 2)


def test_only_what_is_kept_from_then_on() -> None:
    cache = Kept()
    a = answers(cache, Doubles())
    a.baseline_responses(ids([1]))
    a.only_kept(context=4)
    [known, no_room, empty] = a.baseline_responses(ids([1], [2, 3, 4, 5], []))
    assert known is not None
    assert (known.ids, no_room, empty) == ((1, 1), None, None)
    with pytest.raises(InputError, match="2 baseline responses of the run are not in the cache"):
        a.baseline_responses(ids([9], [9, 9, 9]))


def test_a_prompt_that_the_model_fails_on_has_its_reason_and_is_not_kept() -> None:
    cache = Kept()
    made = answers(cache, Doubles()).baseline_responses(ids([1], [13], [2, 13]))
    assert [m if isinstance(m, str) or m is None else m.ids for m in made] == [(1, 1), "unlucky", "unlucky"]
    assert len(cache) == 1


def test_whether_an_answer_refuses_is_of_what_it_says_and_its_text_is_all_of_it() -> None:
    said = {(7,): "I cannot help with that.", (1,): "Could you clarify?", (7, 1): "both", (): ""}
    thinks = lambda _prompt, ids: Thought(0, 1, 1) if len(ids) == 2 else None  # noqa: E731
    cache = Kept()
    asked = ids([7], [1], [7, 1])

    class Says:
        def answer(self, prompts: Sequence[Any], done: Any = None, *, failed: Any = None) -> list[Response | None]:
            done(range(len(prompts)), [Response(tuple(p.tolist()), False) for p in prompts])
            return [None] * len(prompts)

    made = CachedAnswers(Says(), lambda tokens: said[tuple(tokens)], cache, "m", thinking=thinks).baseline_responses(
        asked
    )
    assert [(m.text, m.refused, m.said, m.thought) for m in made if isinstance(m, BaselineResponse)] == [
        ("I cannot help with that.", True, 0, (0, 0)),
        ("Could you clarify?", True, 0, (0, 0)),
        ("both", True, 1, (0, 1)),  # behind its thought it asks back
    ]


def test_a_key_is_of_the_model_and_of_every_token() -> None:
    cache = Kept()
    for identity in ("m", "m2"):
        answers(cache, Doubles(), identity).baseline_responses(ids([1], [1, 1], [2]))
    assert len(cache) == 6
    again = answers(cache, Doubles())
    again.baseline_responses([np.array([1], dtype=np.int64)])
    assert (again.generated, again.reused) == (0, 1)
