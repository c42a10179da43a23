"""A shard's passes, and what of its rows stands in the tables beside their scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from screen.baselines.table import kind_of
from screen.data.sample import Place, Turn
from screen.model.forward.items import Item
from screen.scoring.context import ScoringContext
from screen.scoring.passes import _mean_of
from screen.scoring.scored import BaselineResponse
from screen.scoring.shard import GivenResponse, ShardInput, score_shard
from tests.scoring.test_shard import STATES, Says, TableModel, V, sample, score


def test_of_several_answers_those_without_the_part_are_left_out() -> None:
    one, two, none = np.array([1.0, 3.0], np.float32), np.array([2.0, 5.0], np.float32), np.full(2, np.nan, np.float32)
    assert _mean_of([one, none, two]).tolist() == [1.5, 4.0]
    assert np.isnan(_mean_of([none, none])).all()


def test_what_a_row_brings_stands_beside_its_scores() -> None:
    made, plain = sample(7, ([1, 2], [3, 4, 5]), ([6], [7]))
    place = Place(7, "d.jsonl", 8, 90, 10, "ab")
    parts = [Turn("user", "ask", other_parts={"image_url": 2, "audio": 1}), Turn("user", "", other_parts={"audio": 1})]
    made = dataclasses.replace(
        made, place=place, id="a1", weight=0.5, sign=-1, split_at="### Human:", marks="ChatML", unused=("context",),
        turns=tuple(parts),
    )  # fmt: skip
    dropped = {"reasoning": 1, "tool_calls": 2, "tools": 3, "messages": 4, "answers": 5}
    rendered = dataclasses.replace(plain, rung="prefix", tokens_lost=6, special_text=7, dropped=dropped)
    [row] = score((made, rendered))["scores"]
    assert {name: row[name] for name in list(row)[: list(row).index("baseline")]} == {
        "row": 7, "id": "a1", "variant": None, "file": "d.jsonl", "line": 8, "offset": 90, "length": 10, "sha256": "ab",
        "turns_scored": 2, "prompt_tokens": 2, "answer_tokens": 4, "thought_tokens": 0, "tokens_lost": 6,
        "truncated": True, "mask_rung": "prefix", "special_text": 7, "other_parts": 4, "shape": "chat",
        "split_at": "### Human:", "role_marks": "ChatML", "not_used": ["context"], "dropped_reasoning": 1,
        "dropped_tool_calls": 2, "dropped_tools": 3, "dropped_messages": 9, "weight": 0.5, "sign": -1,
        "group": "d.jsonl", "prompt_key": row["prompt_key"],
    }  # fmt: skip
    assert score(sample(0, ([1], [3])))["scores"][0]["truncated"] is False


def test_rows_of_one_group_and_of_one_prompt() -> None:
    rows = [sample(0, ([1], [3])), sample(1, ([2], [3])), sample(2, ([1], [4]))]
    shard = ShardInput(rows, groups={0: "one", 1: "\ud800"})
    scores = score_shard(shard, ["evil", "kind"], TableModel(), None, kind_of("none"))["scores"].to_pylist()
    assert [row["group"] for row in scores] == ["one", "?", "d.jsonl"]
    first, second, third = (row["prompt_key"] for row in scores)
    assert (first == third, first == second) == (True, False)


def test_a_turn_stands_with_its_prompt_its_text_and_its_baseline_response() -> None:
    tables = score(sample(3, ([1, 2], [3]), ([6], [7, 8])), says=Says([9], "no \ud800"), baseline="generate")
    facts = (
        "row",
        "variant",
        "turn",
        "prompt_tokens",
        "answer_tokens",
        "prompt",
        "text",
        "base_answer",
        "base_refused",
    )
    assert [tuple(turn[name] for name in facts) for turn in tables["turns"]] == [
        (3, None, 1, 2, 1, "ask", "x", "no ?", True),
        (3, None, 3, 4, 2, "ask", "xx", "no ?", True),
    ]
    assert (tables["turns"][0]["thought_start"], tables["turns"][0]["thought_end"]) == (None, None)
    assert tables["turns"][0]["evil_windows"] == [
        {"mean": pytest.approx(float(STATES[3] @ V[0]), abs=1e-5), "start": 0, "end": 1}
    ]


def test_what_is_told_of_baseline_responses_is_of_any_of_a_rows_turns() -> None:
    fine = BaselineResponse((9,), "ok", truncated=False, refused=False)
    odd = BaselineResponse((9, 8), "no", truncated=True, refused=True, said=1)

    class Both:
        def baseline_responses(self, prompts: Sequence[npt.NDArray[np.int32]]) -> list[BaselineResponse | None]:
            return [{1: fine, 2: odd, 5: None}[int(p[-1])] for p in prompts]

    rows = [sample(0, ([1], [3]), ([2], [4])), sample(1, ([1], [3])), sample(2, ([5], [3]))]
    told = score(*rows, says=Both(), baseline="generate")["scores"]
    names = ("baseline_tokens", "baseline_thinks", "baseline_cut", "base_refused", "baseline_unfinished", "baseline")
    assert [tuple(row[name] for name in names) for row in told] == [
        (3, True, True, True, False, "generate"),
        (1, False, False, False, False, "generate"),
        (None, None, None, None, None, "none"),
    ]


def test_further_windows_stand_with_their_places() -> None:
    best, worst = int(np.argmax(STATES @ V[0])), int(np.argmin(STATES @ V[0]))
    ids = [worst] * 8 + [best] * 32 + [worst] * 30 + [best] * 31 + [worst] * 5
    [turn] = score(sample(0, ([1], ids)))["turns"]
    first, second = turn["evil_windows"]
    high, low = (float(STATES[i] @ V[0]) for i in (best, worst))
    assert (first["start"], first["end"], first["mean"]) == (8, 40, pytest.approx(high, rel=1e-5))
    assert second["mean"] == pytest.approx((31 * high + low) / 32, rel=1e-5)
    assert (second["start"] in (69, 70), second["end"] - second["start"]) == (True, 32)
    assert len(turn["kind_windows"]) in (2, 3)


def test_a_shard_with_sequences_that_share_no_batch_runs_these_first_and_by_themselves() -> None:
    class Counts(TableModel):
        def measure(self, items: Sequence[Item], step: Any = None) -> list[Any]:
            calls.append(len(items))
            return super().measure(items)

    rows = [sample(n, ([1], [3 + n])) for n in range(4)]
    expected = score(*rows)["scores"]
    for drawn, sizes in (((0, 0), [4]), ((2, 9), [2, 2]), ((9, 3), [3, 1]), ((9, 9), [4])):
        calls: list[int] = []
        context = ScoringContext(drawn=drawn)
        tables = score_shard(ShardInput(rows), ["evil", "kind"], Counts(), None, kind_of("none"), context=context)
        assert (calls, tables["scores"].to_pylist()) == (sizes, expected)


def test_given_answers_of_a_turn_are_averaged_and_one_that_fails_fails_the_row() -> None:
    prompt = np.array([1], dtype=np.int32)
    answers = [BaselineResponse(ids, "ok", False, False) for ids in ((6,), (7, 8), ())]
    rows = [sample(0, ([1], [3])), sample(1, ([1], [3]))]
    shard = ShardInput(rows, given={(0, 0): [GivenResponse(prompt, answer) for answer in answers]})
    first, second = score_shard(shard, ["evil", "kind"], TableModel(), None, kind_of("answers"))["scores"].to_pylist()
    assert first["evil_baseline"] == pytest.approx(float((STATES[6] + STATES[[7, 8]].mean(0)) @ V[0]) / 2, abs=1e-5)
    assert (first["baseline"], first["baseline_tokens"], second["baseline"]) == ("answers", 3, "none")
    model = TableModel(broken={8: "boom"})
    [skip] = score_shard(shard, ["evil", "kind"], model, None, kind_of("answers"))["skipped"].to_pylist()
    assert (skip["row"], skip["message"]) == (0, "its baseline: the model failed on this row alone: boom")


def test_a_prompt_that_cannot_be_answered_costs_its_rows_alone() -> None:
    class Fails:
        def baseline_responses(self, prompts: Sequence[npt.NDArray[np.int32]]) -> list[BaselineResponse | str | None]:
            return ["boom" if p[0] == 2 else BaselineResponse((9,), "ok", False, False) for p in prompts]

    rows = [sample(0, ([1], [3])), sample(1, ([2], [3])), sample(2, ([2], [4]))]
    tables = score(*rows, says=Fails(), baseline="generate")
    assert [(r["row"], r["baseline"]) for r in tables["scores"]] == [(0, "generate")]
    assert [(s["row"], s["code"], s["message"]) for s in tables["skipped"]] == [
        (n, "worker_failed", "its baseline: the model failed on its prompt alone: boom") for n in (1, 2)
    ]
