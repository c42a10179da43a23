"""METHOD section 4, thought against no thought: answers are compared with answers, thoughts with thoughts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from screen.baselines.response import BaselineResponse, GivenResponse
from screen.baselines.responses import CachedAnswers
from screen.baselines.table import kind_of
from screen.data.sample import Sample
from screen.model.generate import Response
from screen.rendering.rendered import Rendered
from screen.rendering.thinking import Thought
from screen.scoring.findings import unread
from screen.scoring.schema import scores_schema
from screen.scoring.shard import ShardInput, score_shard
from tests.scoring.test_shard import STATES, Says, TableModel, V, sample, score

THINKS = BaselineResponse((20, 21, 22, 23, 24, 25), "<think>hm</think>No.", False, False, said=4, thought=(1, 3))


def says(answer: BaselineResponse) -> Says:
    made = Says([1])
    made.answer = answer
    return made


def thinking(row: int, prompt: list[int], thought: list[int], answer: list[int]) -> tuple[Sample, Rendered]:
    """A row whose answer stands behind a thought."""
    plain, rendered = sample(row, (prompt, [*thought, *answer]))
    (sequence,) = rendered.sequences
    (turn,) = sequence.turns
    parts = np.split(turn.tokens, [len(thought)])
    made = dataclasses.replace(turn, tokens=parts[1], thought_tokens=parts[0], begin=len(prompt), thought=(0, 1))
    return plain, Rendered((dataclasses.replace(sequence, turns=(made,)),), "sentinel", 0, 0)


def mean(*ids: int) -> float:
    return float(STATES[list(ids)].mean(0) @ V[0])


def test_an_own_thought_is_left_out_of_the_baseline() -> None:
    tables = score(sample(0, ([1, 2], [3, 4])), says=says(THINKS), baseline="generate")
    [row], [turn] = tables["scores"], tables["turns"]
    assert row["evil"] == pytest.approx(mean(3, 4) - mean(24, 25), abs=1e-6)
    assert (row["baseline_thinks"], row["baseline_unfinished"], row["thought_tokens"]) == (True, False, 0)
    assert (turn["evil_thought"], turn["evil_thought_difference"]) == (None, None)


def test_a_thought_in_the_data_is_compared_with_the_own_thought_alone() -> None:
    row = thinking(0, [1, 2], [10, 11], [3, 4])
    tables = score(row, says=says(THINKS), baseline="generate")
    [turn] = tables["turns"]
    assert turn["evil"] == pytest.approx(mean(3, 4) - mean(24, 25), abs=1e-6)
    assert turn["evil_thought"] == pytest.approx(mean(10, 11), abs=1e-6)
    assert turn["evil_thought_difference"] == pytest.approx(mean(10, 11) - mean(21, 22), abs=1e-6)
    assert (turn["prompt_tokens"], turn["answer_tokens"], tables["scores"][0]["thought_tokens"]) == (2, 2, 2)


def test_a_thought_in_the_data_alone_has_nothing_to_be_compared_with() -> None:
    [turn] = score(thinking(0, [1], [10], [3]), says=Says([24, 25]), baseline="generate")["turns"]
    assert turn["evil"] == pytest.approx(mean(3) - mean(24, 25), abs=1e-6)
    assert turn["evil_thought"] == pytest.approx(mean(10), abs=1e-6)
    assert turn["evil_thought_difference"] is None


def test_a_baseline_response_that_never_left_its_thought_is_no_baseline() -> None:
    cut = BaselineResponse((20, 21, 22), "<think>hm hm", True, False, said=3, thought=(1, 3))
    tables = score(thinking(0, [1], [10], [3]), says=says(cut), baseline="generate")
    [row], [turn] = tables["scores"], tables["turns"]
    assert (row["evil"], row["evil_baseline"], row["baseline"]) == (None, None, "none")
    assert row["baseline_unfinished"] is True
    assert turn["evil_thought_difference"] == pytest.approx(mean(10) - mean(21, 22), abs=1e-6)


def test_the_last_prompt_token_stands_before_the_thought() -> None:
    [row] = score(thinking(0, [1, 2], [10, 11], [3, 4]), baseline="last-prompt")["scores"]
    assert row["evil_last_prompt"] == pytest.approx(mean(3, 4) - mean(2), abs=1e-6)


def test_given_answers_and_answers_run_alone_leave_thoughts_out_too() -> None:
    plain = sample(0, ([1, 2], [3, 4]))
    shard = ShardInput([plain], given={(0, 0): [GivenResponse(np.array([1, 2], dtype=np.int32), THINKS)]})
    [row] = score_shard(shard, ["evil", "kind"], TableModel(), None, kind_of("answers"))["scores"].to_pylist()
    assert row["evil_baseline"] == pytest.approx(mean(24, 25), abs=1e-6)
    broken = TableModel(broken={5: float("nan")})  # the row's pass fails: its baseline response is run by itself
    rows = score(
        sample(0, ([1, 2], [5])), sample(1, ([1, 2], [3])), model=broken, says=says(THINKS), baseline="generate"
    )
    assert rows["scores"][0]["evil_baseline"] == pytest.approx(mean(24, 25), abs=1e-6)


def test_whether_an_answer_refuses_is_read_behind_its_thought() -> None:
    words = {1: "I cannot help with that", 2: "Sure!"}
    answers = {1: (1, 2), 2: (2, 1)}  # a thought, then an answer

    class Generates:
        def answer(self, prompts: Any, done: Any = None, failed: Any = None) -> list[Any]:
            done(range(len(prompts)), [Response(answers[int(p[0])], False) for p in prompts])
            return [None] * len(prompts)

    class NoCache:
        def get(self, keys: Any) -> dict[str, Any]:
            return {}

        def put(self, batch: Any) -> None:
            pass

    split = lambda _prompt, _answer: Thought(0, 1, 1)  # noqa: E731
    kept = CachedAnswers(Generates(), lambda ids: " ".join(words[i] for i in ids), NoCache(), "m", thinking=split)
    made = kept.baseline_responses([np.array([1], dtype=np.int32), np.array([2], dtype=np.int32)])
    assert [(a.refused, a.said, a.thinks, a.unfinished) for a in made if isinstance(a, BaselineResponse)] == [
        (False, 1, True, False),
        (True, 1, True, False),
    ]


def scores(**columns: list[Any]) -> pa.Table:
    size = len(next(iter(columns.values())))
    zeros = dict.fromkeys(("thought_tokens", *(f"dropped_{kind}" for kind in unread.DROPPED)), [0] * size)
    nulls = dict.fromkeys(("baseline_thinks", "baseline_unfinished"), [None] * size)
    values = {**zeros, **nulls, **columns}
    return pa.table({name: pa.array(v, type=scores_schema(["evil"]).field(name).type) for name, v in values.items()})


def test_what_the_template_leaves_out_and_thoughts_without_answers_are_told_where_they_are() -> None:
    assert unread.notes(scores(thought_tokens=[0, 0])) == []
    assert unread.notes(scores(dropped_reasoning=[2, 10], dropped_tools=[1, 0])) == [
        "the chat template leaves out the reasoning of 12 turns, tools on offer (1 tool)"
    ]
    told = unread.notes(scores(thought_tokens=[5, 0], baseline_thinks=[True, True], baseline_unfinished=[False, True]))
    assert told[0].startswith(
        "thoughts stand before the answers of 1 row and before the baseline responses to 2 rows: "
    )
    assert told[1].startswith("the baseline responses to 1 row were still thinking at --max-new-tokens, ")


def test_what_is_left_out_is_summed_by_kind_and_named_with_its_number() -> None:
    table = scores(
        dropped_reasoning=[1, 0], dropped_tool_calls=[0, 1], dropped_tools=[1000, 500], dropped_messages=[2, 1]
    )
    assert unread.dropped(table) == {"reasoning": 1, "tool_calls": 1, "tools": 1500, "messages": 3}
    [told] = unread.notes(table)
    assert told.endswith(
        "the reasoning of 1 turn, tool calls of 1 turn, tools on offer (1,500 tools), the text of 3 messages"
    )
    assert unread.dropped(scores(thought_tokens=[0])) == {}


def test_thoughts_on_one_side_alone_are_told() -> None:
    data = scores(thought_tokens=[1, 0], baseline_thinks=[False, None])
    assert unread.thoughts(data) == {"rows": 1, "baseline": 0, "unfinished": 0}
    assert len(unread.notes(data)) == 1
    own = scores(thought_tokens=[0, 0], baseline_thinks=[True, None], baseline_unfinished=[False, None])
    assert unread.thoughts(own) == {"rows": 0, "baseline": 1, "unfinished": 0}
    assert len(unread.notes(own)) == 1
