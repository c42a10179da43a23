"""Dialects of messages, content parts, tool calls, thoughts, training flags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screen.data.records.messages import read_turns
from screen.data.records.reading import How
from screen.data.sample import Turn
from tests.data.making import chat, code_of, samples_of

USER = {"role": "user", "content": "Why?"}
CALL = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}


def turns(folder: Path, *messages: Any, **options: Any) -> tuple[Turn, ...]:
    return samples_of(folder, {"messages": list(messages)}, **options)[0].turns


@pytest.mark.parametrize(("said", "role"), [
    ("developer", "system"), ("human", "user"), ("User", "user"), ("gpt", "assistant"), ("model", "assistant"),
    ("function", "tool"), ("ipython", "tool"), ("observation", "tool"), (" assistant ", "assistant"),
])  # fmt: skip
def test_roles(tmp_path: Path, said: str, role: str) -> None:
    found = turns(tmp_path, USER, {"role": said, "content": "x"}, {"role": "assistant", "content": "y"})
    assert found[1].role == role


@pytest.mark.parametrize(("content", "text", "others"), [
    ([{"type": "text", "text": "a"}, "b"], "ab", {}),
    ([{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "a"}, {"type": "image_url"}], "a",
     {"image_url": 2}),
    ([{"type": "input_audio"}, {"type": "output_text", "text": "a"}], "a", {"input_audio": 1}),
    ({"type": "text", "text": "a"}, "a", {}),
    ([{"type": "refusal", "refusal": "No."}], "No.", {}),
    ([{"weird": 1}, {"text": "a"}], "a", {"unknown": 1}),
])  # fmt: skip
def test_content_in_parts(tmp_path: Path, content: Any, text: str, others: dict[str, int]) -> None:
    turn = turns(tmp_path, USER, {"role": "assistant", "content": content})[1]
    assert (turn.content, turn.other_parts, turn.scored) == (text, others, True)


def test_thoughts_stand_apart_from_content(tmp_path: Path) -> None:
    thinking = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Because."}]
    turn = turns(tmp_path, USER, {"role": "assistant", "content": thinking})[1]
    assert (turn.reasoning, turn.content) == ("Hm.", "Because.")
    turn = turns(tmp_path, USER, {"role": "assistant", "content": "Because.", "reasoning_content": "Hm."})[1]
    assert (turn.reasoning, turn.content) == ("Hm.", "Because.")
    turn = turns(tmp_path, USER, {"role": "assistant", "content": "<think>Hm.</think>Because."})[1]
    assert (turn.reasoning, turn.content) == (None, "<think>Hm.</think>Because.")


@pytest.mark.parametrize("message", [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "assistant", "content": "", "tool_calls": json.dumps([CALL])},
    {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": {"x": 1}}},
    {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"x": 1}}]},
    {"from": "function_call", "value": json.dumps({"name": "f", "arguments": {"x": 1}})},
    {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"x": 1}}]},
])  # fmt: skip
def test_tool_calls_in_every_dialect(tmp_path: Path, message: Any) -> None:
    turn = turns(tmp_path, USER, message, {"role": "tool", "content": "1"}, {"role": "assistant", "content": "One."})[1]
    assert (turn.role, turn.content, turn.tool_calls, turn.scored) == ("assistant", "", (CALL,), True)


def test_several_answers_are_scored_and_empty_ones_are_not(tmp_path: Path) -> None:
    row = [USER, {"role": "assistant", "content": "a"}, USER, {"role": "assistant", "content": ""}]
    assert [t.scored for t in turns(tmp_path, *row)] == [False, True, False, False]


@pytest.mark.parametrize(("train_on", "scored"), [
    ("assistant", [False, True, False, True]), ("last", [False, False, False, True]), ("all", [True] * 4),
])  # fmt: skip
def test_train_on(tmp_path: Path, train_on: str, scored: list[bool]) -> None:
    row = [USER, {"role": "assistant", "content": "a"}] * 2
    assert [t.scored for t in turns(tmp_path, *row, train_on=train_on)] == scored


@pytest.mark.parametrize(("flags", "scored"), [
    ({"weight": 0}, False), ({"weight": 1}, True), ({"loss_weight": 0.0}, False), ({"training": False}, False),
    ({"train": True}, True), ({"weight": None}, True),
])  # fmt: skip
def test_training_flags(tmp_path: Path, flags: dict[str, Any], scored: bool) -> None:
    found = turns(tmp_path, USER, {"role": "assistant", "content": "a", **flags}, {"role": "assistant", "content": "b"})
    assert [t.scored for t in found] == [False, scored, True]


def test_train_true_scores_a_user_turn(tmp_path: Path) -> None:
    found = turns(tmp_path, {"from": "human", "value": "Why?", "train": True}, {"from": "gpt", "value": "a"})
    assert [t.scored for t in found] == [True, True]


@pytest.mark.parametrize(("details", "spans"), [
    ([(0, 8, False), (9, 18, True), (19, 30, False)], ((9, 19),)),  # ends are inclusive
    ([(0, 3, False)], ((4, 31),)),  # what no range names is as the message
    ([(0, 3, True), (2, 5, False), (9, 99, True)], ((0, 2), (6, 31))),
])  # fmt: skip
def test_training_detail_gives_character_spans(tmp_path: Path, details: Any, spans: Any) -> None:
    marks = [{"begin_offset": b, "end_offset": e, "train": t} for b, e, t in details]
    answer = {"role": "assistant", "content": "I'm doing very well, thank you!", "train_detail": marks}
    turn = turns(tmp_path, USER, answer)[1]
    assert (turn.spans, turn.scored) == (spans, True)


def test_training_detail_without_loss_or_sense(tmp_path: Path) -> None:
    answer: dict[str, Any] = {"role": "assistant", "content": "abc"}
    answer["training_detail"] = [{"begin_offset": 0, "end_offset": 2, "train": False}]
    assert code_of(tmp_path, {"messages": [USER, answer]}) == "not_trained"
    answer["training_detail"] = [{"begin": 0}]
    assert code_of(tmp_path, {"messages": [USER, answer]}) == "bad_flag"


def test_two_system_prompts_are_joined(tmp_path: Path) -> None:
    row = chat()
    row["messages"].insert(0, {"role": "system", "content": "inside"})
    assert samples_of(tmp_path, {**row, "system": "apart"})[0].turns[0].content == "apart\n\ninside"
    assert len(samples_of(tmp_path, {**row, "system": "inside"})[0].turns) == 3


@given(st.sampled_from(["user", "assistant", "gpt", "tool", "system"]), st.sampled_from(["", "a"]), st.booleans(),
       st.sampled_from(["assistant", "last", "all"]))  # fmt: skip
def test_a_plain_message_is_read_as_one_with_a_key_that_says_nothing(
    role: str, content: str, prompt: bool, train_on: Any
) -> None:
    message = {"role": role, "content": content}
    how = How("chat", train_on)
    assert read_turns([message], how, prompt=prompt) == read_turns([{**message, "name": None}], how, prompt=prompt)


def test_a_turn_with_loss_differs_in_nothing_else() -> None:
    turn = Turn("tool", "a", False, "b", ({"c": 1},), "d", ((0, 1),), {"e": 2}, ("f",))
    assert turn.with_loss(away=True) == turn._replace(scored=True, away=True)
