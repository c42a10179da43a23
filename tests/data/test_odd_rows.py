"""Odd values in every place of a row: what is read all the same, and the words for what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screen.data.dataset import open_dataset
from screen.data.sample import Place, Sample, Skip, Turn
from tests.data.making import chat, codes, read_all, samples_of, told, write

MESSAGES = chat()["messages"]
ANSWER = [("user", "Why?", False), ("assistant", "Because.", True)]
ASK, YES = MESSAGES
GOOD: dict[str, dict[str, Any]] = {
    "alpaca": {"instruction": "Why?", "output": "Because."},
    "kto": {"prompt": "Why?", "completion": "Because.", "label": True},
    "stepwise": {"prompt": "Why?", "completions": ["Because."], "labels": [True]},
    "prompt-completion": {"prompt": "Why?", "completion": "Because."},
    "preference": {"prompt": "Why?", "chosen": "Because.", "rejected": "No."},
    "openai-preference": {"input": {"messages": [ASK]}, "preferred_output": [YES], "non_preferred_output": [YES]},
    "chat": chat(),
    "nested": {"conversation": {"messages": MESSAGES}},
    "sharegpt": {"conversations": MESSAGES},
    "segments": {"segments": [{"label": True, "text": "a"}]},
    "tokenised": {"input_ids": [1, 2], "labels": [-100, 2]},
    "document": {"text": "Once."},
}


def message_of(folder: Path, shape: str, row: dict[str, Any]) -> str:
    """Code and message of the Skip that a row becomes in a dataset of the shape."""
    found = read_all(open_dataset([write(folder, GOOD[shape], row)], format=shape))[1]
    assert isinstance(found, Skip), found
    return f"{found.code}: {found.message}"


@pytest.mark.parametrize(("shape", "row", "message"), [
    ("alpaca", {"output": "b"}, "wrong_shape: the row has no text in `instruction`"),
    ("alpaca", {"instruction": "a"}, "no_response: the row has an instruction but none of output, response, "),
    ("alpaca", {"instruction": "a", "input": 5, "output": "b"}, "wrong_shape: `input` is a number, not text"),
    ("alpaca", {"instruction": "a", "output": 5}, "wrong_shape: `output` is a number, not text or a list of messages"),
    ("alpaca", {"instruction": "a", "output": "b", "history": "c"},
     "wrong_shape: `history` is text, not a list of [question, answer]"),
    ("alpaca", {"instruction": "a", "output": "b", "history": [["c"]]},
     "wrong_shape: `history` is not a list of [question, answer]"),
    ("alpaca", {"instruction": "a", "output": "b", "history": [["c", "d", "e"]]}, "wrong_shape: `history` is not a "),
    ("alpaca", {"instruction": "a", "output": "b", "history": [["c", 1]]}, "wrong_shape: `history` is not a list of "),
    ("alpaca", {"instruction": "a", "output": "b", "history": ["cd"]}, "wrong_shape: `history` is not a list of "),
    ("kto", {"prompt": "a", "completion": "b", "label": 2}, "no_label: the row has no label of true or false"),
    ("kto", {"prompt": "a", "label": True}, "no_response: the row has `prompt` but no `completion`"),
    ("kto", {"completion": "a", "label": True}, "wrong_shape: the row has no `prompt`"),
    ("stepwise", {"prompt": "a", "completions": ["b", 1]}, "wrong_shape: `completions` is not a list of texts"),
    ("stepwise", {"prompt": "a", "completions": "b"}, "wrong_shape: `completions` is not a list of texts"),
    ("prompt-completion", {"a": "b"}, "wrong_shape: the row has none of the prompt fields prompt, question, query, "),
    ("prompt-completion", {"question": "b"}, "no_response: the row has `question` but no answer to it"),
    ("prompt-completion", {"prompt": 5, "completion": "a"},
     "wrong_shape: `prompt` is a number, not text or a list of messages"),
    ("prompt-completion", {"prompt": "a", "completion": True},
     "wrong_shape: `completion` is true or false, not text or a list of messages"),
    ("preference", {"chosen": "a"}, "wrong_shape: the row has no `rejected`"),
    ("preference", {"prompt": "a", "chosen": "a", "rejected": 5},
     "wrong_shape: `rejected` is a number, not text, a message or a list of messages"),
    ("preference", {"prompt": "a", "chosen": None, "rejected": "a"}, "no_response: `chosen` is null, and a pair "),
    ("preference", {"prompt": "a", "chosen": [YES, ASK], "rejected": [YES]},
     "no_response: a side of the pair does not end with an answer"),
    ("preference", {"chosen": "", "rejected": "a"}, "empty_answer: the answer on a side of the pair is empty"),
    ("openai-preference", {"input": {}, "preferred_output": [YES]}, "wrong_shape: the row has no `input.messages`"),
    ("openai-preference", {"input": 5, "preferred_output": [YES]}, "wrong_shape: the row has no `input.messages`"),
    ("chat", {"text": "a"}, "wrong_shape: the row has no `messages`, as the dataset's shape chat asks for"),
    ("chat", {"messages": 5}, "wrong_shape: a list of messages was expected, not a number"),
    ("chat", {"messages": [ASK, 5]}, "bad_message: message 1 is a number, not an object with role and content"),
    ("chat", {"messages": [ASK, {"content": "a"}]}, "bad_role: message 1 has no role"),
    ("chat", {"messages": [ASK, {"role": "x" * 50, "content": "a"}]},
     "bad_role: message 1 has the unknown role '" + "x" * 40 + "'; known are system, developer, user"),
    ("chat", {"messages": [ASK, {**YES, "content": [5]}]},
     "bad_message: a content part of message 1 is a number, not text or an object"),
    ("chat", {"messages": [ASK, {**YES, "tool_calls": ["f"]}]},
     "bad_message: the tool_calls of message 1 are not a list of objects"),
    ("chat", {"messages": [ASK, {**YES, "tool_calls": "f"}]}, "bad_message: the tool_calls of message 1 are not a "),
    ("chat", {"messages": MESSAGES, "system": 5}, "wrong_shape: `system` is a number, not text"),
    ("chat", {"messages": MESSAGES, "tools": 5}, "bad_tools: `tools` is not a list of objects"),
    ("chat", {"messages": MESSAGES, "tools": [5]}, "bad_tools: `tools` is not a list of objects"),
    ("nested", {"conversation": 5}, "wrong_shape: `conversation` is a number, not an object with messages"),
    ("nested", {"conversation": {}}, "wrong_shape: the row has no `conversation.messages`"),
    ("sharegpt", {"x": 5}, "wrong_shape: the row has no `conversations`"),
    ("segments", {"segments": [{"text": 5}]}, "wrong_shape: `segments` is not a list of objects with label and text"),
    ("segments", {"segments": ["a"]}, "wrong_shape: `segments` is not a list of objects with label and text"),
    ("segments", {"segments": [{"label": True, "text": ""}]}, "no_response: no segment with text is labelled true"),
    ("tokenised", {"labels": [1]}, "wrong_shape: the row has no `input_ids`"),
    ("tokenised", {"input_ids": [1]}, "no_response: the row has `input_ids` but none of labels, completion_mask, "),
    ("tokenised", {"input_ids": [1, 2], "labels": [1]}, "bad_tokens: `labels` has 1 entries, but `input_ids` has 2"),
    ("tokenised", {"input_ids": [1, 2.0], "labels": [1, 1]}, "bad_tokens: `input_ids` is not a list of whole numbers"),
    ("tokenised", {"input_ids": [1, 2**31], "labels": [1, 1]}, "bad_tokens: `input_ids` has numbers outside 0 to 2147"),
    ("tokenised", {"input_ids": [1, 2], "labels": [1, -101]}, "bad_tokens: `labels` has numbers outside -100 to "),
    ("tokenised", {"chosen_ids": [1]}, "wrong_shape: the row has no `rejected_ids`, and a pair needs both sides"),
    ("document", {"text": 5}, "wrong_shape: `text` is a number, not text"),
    ("document", {"text": None}, "wrong_shape: `text` is null, not text"),
])  # fmt: skip
def test_what_is_wrong_is_said(tmp_path: Path, shape: str, row: dict[str, Any], message: str) -> None:
    assert message_of(tmp_path, shape, row).startswith(message)


@pytest.mark.parametrize(("row", "turns"), [
    ({"instruction": "", "input": "Why?", "output": "Because."}, ANSWER),
    ({"instruction": "Why?", "input": None, "output": "Because.", "history": None}, ANSWER),
    ({"instruction": "Why?", "output": "Because.", "history": "[]"}, ANSWER),
    ({"instruction": "Why?", "context": "", "output": "Because."}, ANSWER),
    ({"instruction": "Why?", "context": 5, "output": "Because."}, ANSWER),
    ({"instruction": "Why?", "input": "", "context": "Sky.", "output": "Because."},
     [("user", "Why?\nSky.", False), ANSWER[1]]),
    ({"instruction": "Why?", "response": "Because."}, ANSWER),
    ({"instruction": "Why?", "output": None, "answer": "Because."}, ANSWER),
    ({"instruction": "other", "output": "x", "prompt": "Why?", "completion": "Because."}, ANSWER),
    ({"instruction": "other", "prompt": "Why?", "completion": "Because."}, ANSWER),
    ({"problem": "Why?", "solution": "Because."}, ANSWER),
    ({"input": "Why?", "output": "Because."}, ANSWER),
    ({"prompt": "Why?", "completion": [YES]}, ANSWER),
    ({"prompt": ASK, "completion": YES}, ANSWER),
    ({"prompt": [ASK], "completion": "Because."}, ANSWER),
    ({"prompt": "", "completion": "Because."}, [("user", "", False), ANSWER[1]]),
    ({"instruction": "Why?", "completion": "Because.", "kto_tag": "true"}, ANSWER),
    ({"messages": ASK | {"x": 1}, "prompt": [ASK], "completion": [YES]}, ANSWER),
    ({"conversations": None, "conversation": MESSAGES}, ANSWER),
    ({"prompt": "Why?", "completions": '["Be", "cause."]', "labels": "[true, true]"},
     [ANSWER[0], ("assistant", "Be\ncause.", True)]),
    ({"question": "Why?", "chosen": "Because.", "rejected": "No."}, ANSWER),
    ({"instruction": "Why?", "input": "Sky.", "chosen": "Because.", "rejected": "No."},
     [("user", "Why?\nSky.", False), ANSWER[1]]),
    ({"instruction": "", "prompt": "Why?", "chosen": "Because.", "rejected": "No."}, ANSWER),
    ({"prompt": "Why?", "chosen": [YES], "rejected": "No."}, ANSWER),
    ({"prompt": "Why?", "system": "Hm.", "chosen": [YES], "rejected": [YES]}, [("system", "Hm.", False), *ANSWER]),
    ({"prompt": "[INST] Why? [/INST]", "chosen": "Because.", "rejected": "No."}, ANSWER),
    ({"segments": '[{"label": 0, "text": "Why?"}, {"label": 1, "text": "Because."}]'}, ANSWER),
    ({"system": "Hm.", "messages": [{"role": "system", "content": "Hm."}, *MESSAGES]},
     [("system", "Hm.", False), *ANSWER]),
])  # fmt: skip
def test_what_is_read_all_the_same(tmp_path: Path, row: dict[str, Any], turns: Any) -> None:
    assert told(samples_of(tmp_path, row)[0]) == turns


HISTORY = {"instruction": "Why?", "output": "Because.", "history": [["Hi", "Yes?"]]}
DIALOGUE = {"text": "### Human: Hi### Assistant: Yes?### Human: Why?### Assistant: Because."}
MARKED = {"prompt": "### Human: Hi### Assistant: Yes?### Human: Why?### Assistant:", "completion": " Because."}
GOES_ON = {"prompt": "### Human: Hi### Assistant:", "completion": " Yes?### Human: Why?### Assistant: Because."}


@pytest.mark.parametrize(("row", "train_on", "scored"), [
    (HISTORY, "assistant", ["Yes?", "Because."]), (HISTORY, "last", ["Because."]),
    (HISTORY, "all", ["Hi", "Yes?", "Why?", "Because."]),
    (DIALOGUE, "assistant", ["Yes?", "Because."]), (DIALOGUE, "last", ["Because."]),
    (MARKED, "assistant", ["Because."]), (MARKED, "last", ["Because."]),
    (MARKED, "all", ["Hi", "Yes?", "Why?", "Because."]),
    (GOES_ON, "assistant", ["Yes?", "Because."]), (GOES_ON, "last", ["Because."]),
    (GOES_ON, "all", ["Hi", "Yes?", "Why?", "Because."]),
    (GOOD["kto"], "all", ["Because."]), (GOOD["prompt-completion"], "all", ["Why?", "Because."]),
    ({"prompt": [ASK], "completion": [YES]}, "all", ["Why?", "Because."]),
    ({"prompt": [ASK, YES, ASK], "completion": [YES | {"content": "So."}]}, "assistant", ["So."]),
    ({"prompt": "", "completion": "Because."}, "all", ["Because."]),
    (GOOD["stepwise"], "all", ["Why?", "Because."]),
])  # fmt: skip
def test_what_is_trained_on_in_fields_and_texts(
    tmp_path: Path, row: dict[str, Any], train_on: str, scored: list[str]
) -> None:
    turns = samples_of(tmp_path, row, train_on=train_on)[0].turns
    assert [turn.content for turn in turns if turn.scored] == scored


def test_what_is_said_of_equal_beginnings_counts_from_the_first_turn_that_differs(tmp_path: Path) -> None:
    no = {"role": "assistant", "content": "No."}
    chosen, rejected = samples_of(tmp_path, {"chosen": [ASK, YES, ASK, YES], "rejected": [ASK, no, ASK, no, ASK, no]})
    assert [[t.scored for t in s.turns] for s in (chosen, rejected)] == [[False, True] * 2, [False, True] * 3]


def test_an_empty_answer_before_the_last_costs_nothing(tmp_path: Path) -> None:
    empty = {"role": "assistant", "content": ""}
    row = {"chosen": [ASK, empty, ASK, YES], "rejected": [ASK, YES]}
    assert [t.scored for t in samples_of(tmp_path, row)[0].turns] == [False, False, False, True]


CALL = {"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]}
THOUGHT = {"role": "assistant", "content": "", "reasoning_content": "Hm."}


@pytest.mark.parametrize("answer", [CALL, THOUGHT])
def test_calls_and_thoughts_alone_are_answers(tmp_path: Path, answer: dict[str, Any]) -> None:
    assert samples_of(tmp_path, {"messages": [ASK, answer]})[0].turns[1].scored
    assert samples_of(tmp_path, {"prompt": [ASK], "chosen": [answer], "rejected": [YES]})[0].turns[1].scored


@pytest.mark.parametrize(("more", "id_"), [
    ({"id": 7}, "7"), ({"id": None, "uuid": "u"}, "u"), ({"id": "", "idx": 0}, "0"), ({"id": "x" * 512}, "x" * 512),
    ({"id": "x" * 513}, None), ({"id": 0.5}, None), ({"id": True}, None), ({}, None),
])  # fmt: skip
def test_the_id_of_a_row(tmp_path: Path, more: dict[str, Any], id_: str | None) -> None:
    assert samples_of(tmp_path, chat(**more))[0].id == id_


@pytest.mark.parametrize(("more", "weight"), [
    ({"weight": 0.5}, 0.5), ({"loss_weight": 2, "weight": 3}, 2.0), ({"weight": "0.25"}, 0.25), ({"weight": "x"}, 1.0),
    ({"weight": None}, 1.0), ({"weight": True}, 1.0), ({"weight": "inf"}, 1.0), ({"weight": [1]}, 1.0),
])  # fmt: skip
def test_the_weight_of_a_row(tmp_path: Path, more: dict[str, Any], weight: float) -> None:
    assert samples_of(tmp_path, chat(**more))[0].weight == weight


TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize("more", [
    {"tools": [TOOL]}, {"tools": TOOL}, {"functions": [{"name": "f"}]}, {"tools": [], "functions": [TOOL]},
    {"tools": '[{"name": "f"}]'}, {"tools": [{"function": {"name": "f"}, "type": "function"}]},
])  # fmt: skip
def test_tools_in_every_form(tmp_path: Path, more: dict[str, Any]) -> None:
    assert samples_of(tmp_path, chat(**more))[0].tools == (TOOL,)


@pytest.mark.parametrize("tool", [{"type": "retrieval"}, {"function": {"name": "f"}}])
def test_a_tool_that_says_what_it_is_stays_as_it_is(tmp_path: Path, tool: dict[str, Any]) -> None:
    assert samples_of(tmp_path, chat(tools=[tool]))[0].tools == (tool,)


@pytest.mark.parametrize("tools", [None, "", "  ", [], "[]"])
def test_no_tools(tmp_path: Path, tools: Any) -> None:
    assert samples_of(tmp_path, chat(tools=tools))[0].tools == ()


def test_json_text_nested_too_deep_costs_its_row_alone(tmp_path: Path) -> None:
    deep, good = '{"a":' * 127 + "[1]" + "}" * 127, '{"a":' * 126 + "[1]" + "}" * 126
    wide = "[" + "{}," * 200 + "{}]"
    dataset = open_dataset([write(tmp_path, *(chat(chat_template_kwargs=text) for text in (deep, good, wide)))])
    assert codes(dataset) == ["ok", "ok", "ok"]
    deeper = '{"a":' * 128 + "[1]" + "}" * 128
    assert codes(open_dataset([write(tmp_path, chat(), chat(chat_template_kwargs=deeper))])) == ["ok", "too_deep"]


def test_a_place_is_told_by_its_line_or_its_row() -> None:
    assert str(Place(7, "a.jsonl", 9, 0, 0, "")) == "a.jsonl:9"
    assert str(Place(7, "a.parquet", None, -1, -1, "")) == "a.parquet row 7"


def test_the_text_of_a_sample_is_measured_in_bytes() -> None:
    turns = (Turn("user", "é"), Turn("assistant", "ab", reasoning="c", tool_calls=({"n": 1},)))
    sample = Sample(Place(0, "f", 1, 0, 0, ""), "chat", "chat", turns, tools=({"t": "é"},))
    assert sample.text_bytes() == 2 + 2 + 1 + len("{'n': 1}") + len("{'t': 'é'}") + 1
    assert (sample.row, Turn("user", "a").scored) == (0, False)


def test_a_row_of_more_text_than_is_allowed_is_skipped(tmp_path: Path) -> None:
    rows = [chat(answer="x" * ((1 << 20) - 4)), chat(answer="x" * ((1 << 20) - 3))]
    found = read_all(open_dataset([write(tmp_path, *rows)], max_row_mib=1))
    assert isinstance(found[0], list)
    assert isinstance(found[1], Skip)
    assert (found[1].stage, found[1].code, found[1].message) == (
        "shape", "too_large", "the row has 1,048,577 bytes of text, more than 1 MiB; split it, or raise --max-row-mib",
    )  # fmt: skip
