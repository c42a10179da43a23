"""Every shape is recognised and read; a few odd rows of each."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from screen.data.dataset import open_dataset
from screen.data.detect import NAMES
from screen.data.records.mapping import renamed
from screen.errors import InputError, UsageError
from tests.data.making import chat, code_of, codes, read_all, samples_of, told, write

MESSAGES = chat()["messages"]
ANSWER = [("user", "Why?", False), ("assistant", "Because.", True)]

# shape, row, turns of the (first) sample
ROWS: list[tuple[str, dict[str, Any], list[tuple[str, str, bool]]]] = [
    ("openai-preference",
     {"input": {"messages": MESSAGES[:1], "tools": []}, "preferred_output": MESSAGES[1:],
      "non_preferred_output": [{"role": "assistant", "content": "No."}]}, ANSWER),
    ("preference", {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}, ANSWER),
    ("preference", {"conversations": [{"from": "human", "value": "Why?"}],
                    "chosen": {"from": "gpt", "value": "Because."},
                    "rejected": {"from": "gpt", "value": "No."}}, ANSWER),
    ("preference", {"instruction": "Why?", "chosen_response": "Because.", "rejected_response": "No."}, ANSWER),
    ("kto", {"prompt": "Why?", "completion": "Because.", "label": False}, ANSWER),
    ("kto", {"prompt": MESSAGES[:1], "completion": MESSAGES[1:], "label": "True"}, ANSWER),
    ("kto", {"messages": MESSAGES, "kto_tag": True}, ANSWER),
    ("stepwise", {"prompt": "Why?", "completions": ["Be", "cause."], "labels": [True, False]},
     [("user", "Why?", False), ("assistant", "Be\ncause.", True)]),
    ("chat", {"messages": MESSAGES}, ANSWER),
    ("chat", {"messages": json.dumps(MESSAGES)}, ANSWER),
    ("chat-system", {"system": "Be brief.", "messages": MESSAGES}, [("system", "Be brief.", False), *ANSWER]),
    ("sharegpt", {"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]},
     ANSWER),
    ("sharegpt", {"conversations": MESSAGES, "system": ""}, ANSWER),
    ("sharegpt", {"conversation": MESSAGES}, ANSWER),
    ("nested", {"conversation": {"messages": MESSAGES}}, ANSWER),
    ("prompt-completion", {"prompt": "Why?", "completion": "Because."}, ANSWER),
    ("prompt-completion", {"prompt": MESSAGES[:1], "completion": MESSAGES[1:]}, ANSWER),
    ("prompt-completion", {"question": "Why?", "answer": "Because."}, ANSWER),
    ("prompt-completion", {"query": "Why?", "response": "Because.", "system_prompt": "Hm."},
     [("system", "Hm.", False), *ANSWER]),
    ("alpaca", {"instruction": "Why?", "input": "", "output": "Because."}, ANSWER),
    ("alpaca", {"instruction": "Why?", "input": "Sky.", "output": "Because.", "prompt": "all of it"},
     [("user", "Why?\nSky.", False), ("assistant", "Because.", True)]),
    ("alpaca", {"instruction": "Why?", "output": "Because.", "history": [["Hi", "Yes?"]]},
     [("user", "Hi", False), ("assistant", "Yes?", True), *ANSWER]),
    ("segments", {"segments": [{"label": False, "text": "Why?"}, {"label": True, "text": "Because."}]}, ANSWER),
    ("dialogue", {"text": "### Human: Why?### Assistant: Because."}, ANSWER),
    ("dialogue", {"chat": "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nBecause.<|im_end|>"}, ANSWER),
    ("document", {"text": "Once upon a time."}, [("assistant", "Once upon a time.", True)]),
    ("document", {"story": "Once upon a time."}, [("assistant", "Once upon a time.", True)]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "row", "turns"), ROWS)
def test_a_row_of_each_shape(tmp_path: Path, name: str, row: dict[str, Any], turns: Any) -> None:
    dataset = open_dataset([write(tmp_path, row, row)])
    assert dataset.shape.name == name
    samples = read_all(dataset)[1]
    assert isinstance(samples, list)
    assert told(samples[0]) == turns
    assert [s.variant for s in samples] == (["chosen", "rejected"] if dataset.shape.preference else [None])


def test_every_shape_has_a_row() -> None:
    assert {name for name, _, _ in ROWS} | {"tokenised", "prompt-only"} == set(NAMES)


@pytest.mark.parametrize(("row", "ids", "mask"), [
    ({"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, (5, 6, 7), (False, True, True)),
    ({"input_ids": [5, 6, 7], "completion_mask": [0, 1, 1], "assistant_masks": [0, 0, 1]}, (5, 6, 7),
     (False, False, True)),
    ({"input_ids": [0, 5, 6], "labels": [-100, -100, 6], "attention_mask": [0, 1, 1]}, (5, 6), (False, True)),
    ({"input_ids": "[5, 6]", "labels": "[-100, 6]"}, (5, 6), (False, True)),
    ({"prompt_ids": [5], "chosen_ids": [6, 7], "rejected_ids": [8]}, (5, 6, 7), (False, True, True)),
])  # fmt: skip
def test_tokenised_rows(tmp_path: Path, row: Any, ids: Any, mask: Any) -> None:
    sample = samples_of(tmp_path, row)[0]
    assert (sample.layout, sample.token_ids, sample.token_mask) == ("tokens", ids, mask)


@pytest.mark.parametrize(("row", "code"), [
    ({"input_ids": [5, 6], "labels": [-100]}, "bad_tokens"),
    ({"input_ids": [5, 2**70], "labels": [5, 5]}, "bad_tokens"),
    ({"input_ids": [5, -6], "labels": [5, 5]}, "bad_tokens"),
    ({"input_ids": [5, 6], "labels": [-100, -100]}, "not_trained"),
    ({"messages": MESSAGES[:1]}, "no_response"),
    ({"messages": [*MESSAGES[:1], {"role": "assistant", "content": ""}]}, "empty_answer"),
    ({"messages": [*MESSAGES[:1], {"role": "assistant", "content": "x", "weight": 0}]}, "not_trained"),
    ({**chat(), "weight": 0}, "not_trained"),
    ({"messages": [*MESSAGES, {"role": "narrator", "content": "x"}]}, "bad_role"),
    ({"messages": [*MESSAGES, {"role": ["user"], "content": "x"}]}, "bad_role"),
    ({"messages": [*MESSAGES, "hello"]}, "bad_message"),
    ({"messages": [*MESSAGES, {"role": "user", "content": 7}]}, "bad_message"),
    ({**chat(), "tools": "not json"}, "bad_tools"),
    ({"prompt": "Why?", "chosen": "Because.", "rejected": ""}, "empty_answer"),
    ({"prompt": "Why?", "completion": ""}, "empty_answer"),
    ({"prompt": "Why?"}, "no_response"),
    ({"prompt": MESSAGES[:1], "reward_model": {"ground_truth": "4"}}, "no_response"),
    ({"segments": [{"label": False, "text": "Why?"}]}, "no_response"),
    ({"text": " \n"}, "empty_answer"),
])  # fmt: skip
def test_a_row_that_cannot_be_scored(tmp_path: Path, row: Any, code: str) -> None:
    assert code_of(tmp_path, row) == code


def test_later_rows_that_do_not_fit_are_skipped(tmp_path: Path) -> None:
    odd = [{"text": "x"}, {"messages": None}, {"messages": "hello"}, {"messages": 4}, [1], None, 3, "x", {}]
    dataset = open_dataset([write(tmp_path, *[chat()] * 100, *odd)])
    fits = ["wrong_shape"] * 4
    assert codes(dataset)[100:] == [*fits, *["not_an_object"] * 4, "wrong_shape"]


def test_a_few_bad_rows_do_not_hide_the_shape(tmp_path: Path) -> None:
    path = write(tmp_path, b"{bad", None, {"prompt": "no answer"}, {"error": "timeout"}, chat(), {"messages": []})
    dataset = open_dataset([path])
    assert dataset.shape.evidence == "1 of the first 4 rows has `messages`"
    assert codes(dataset) == ["bad_json", "not_an_object", "no_response", "wrong_shape", "ok", "no_response"]


def test_mixed_shapes_stop_with_both_rows_named(tmp_path: Path) -> None:
    path = write(tmp_path, chat(), chat(), {"text": "x"})
    with pytest.raises(InputError) as error:
        open_dataset([path])
    assert str(error.value) == (
        f"the dataset mixes shapes: {path}:1 is chat, {path}:3 is document\n"
        "  next: split it, or give --format chat to score those rows and skip the others"
    )
    assert codes(open_dataset([path], format="chat")) == ["ok", "ok", "wrong_shape"]
    assert codes(open_dataset([path], format="document")) == ["wrong_shape", "wrong_shape", "ok"]


def test_a_second_file_of_another_shape_is_found(tmp_path: Path) -> None:
    paths = [write(tmp_path, *[chat()] * 200), write(tmp_path, {"text": "x"}, name="b.jsonl")]
    with pytest.raises(InputError, match="mixes shapes"):
        open_dataset(paths)


def test_system_is_optional_in_a_chat_system_dataset(tmp_path: Path) -> None:
    dataset = open_dataset([write(tmp_path, chat(), chat(system="Be brief."))])
    assert (dataset.shape.name, codes(dataset)) == ("chat-system", ["ok", "ok"])


def test_map_names_the_fields(tmp_path: Path) -> None:
    row = {"ask": {"text": "Why?"}, "reply": "Because.", "nr": 7, "text": "not this"}
    sample = samples_of(tmp_path, row, map={"prompt": "ask.text", "completion": "reply", "id": "nr"})[0]
    assert (told(sample), sample.id) == (ANSWER, "7")


SPOKEN = [{"from": "human", "text": {"parts": "Why?"}}, {"from": "gpt", "text": {"parts": "Because."}}]
INSIDE = {"messages.role": "from", "messages.content": "text.parts"}


@pytest.mark.parametrize(("row", "map"), [
    ({"messages": SPOKEN}, INSIDE),
    ({"messages": json.dumps(SPOKEN)}, INSIDE),
    ({"turns": SPOKEN}, {"messages": "turns", **INSIDE}),
    ({"a": {"b": SPOKEN}}, {"messages": "a.b", **INSIDE}),
    ({"conversations": SPOKEN}, {"conversations.content": "text.parts"}),
    ({"prompt": SPOKEN[:1], "completion": SPOKEN[1:]},
     {"prompt.content": "text.parts", "completion.content": "text.parts"}),
])  # fmt: skip
def test_map_reaches_inside_messages(tmp_path: Path, row: Any, map: dict[str, str]) -> None:
    sample = samples_of(tmp_path, row, map=map)[0]
    assert (told(sample), sample.unused) == (ANSWER, ())


def test_map_reaches_inside_the_sides_of_a_pair(tmp_path: Path) -> None:
    row = {"prompt": "Why?", "chosen": {"who": "bot", "says": "Because."}, "rejected": {"who": "bot", "says": "No."}}
    map = {
        f"{side}.{key}": name for side in ("chosen", "rejected") for key, name in (("role", "who"), ("content", "says"))
    }
    assert told(samples_of(tmp_path, row, map=map)[0]) == ANSWER


def test_map_of_a_document(tmp_path: Path) -> None:
    assert told(samples_of(tmp_path, {"body": "x", "n": 1}, map={"text": "body"})[0]) == [("assistant", "x", True)]


def test_map_goes_before_what_would_be_detected(tmp_path: Path) -> None:
    sample = samples_of(tmp_path, chat(body="x"), map={"text": "body"})[0]
    assert sample.shape == "document"


@pytest.mark.parametrize(("options", "message"), [
    ({"format": "chatt"}, "--format chatt: no such shape\n  next: did you mean chat? known are tokenised, "),
    ({"train_on": "everything"}, "--train-on everything: no such choice\n  next: choose one of assistant, last, all"),
    ({"map": {"promt": "a"}}, "--map promt=a: no role promt\n  next: did you mean prompt? roles are "),
    ({"map": {"prompt": "nope"}}, "--map prompt=nope: none of the first 1 rows has the field nope\n  next: the "
                                  "first row has messages"),
    ({"map": {"messages.role": "speaker"}}, "--map messages.role=speaker: no message in the first 1 rows has speaker\n"
                                            "  next: the first message has role, content"),
    ({"map": {"messages.rolle": "from"}}, "--map messages.rolle=from: no role messages.rolle\n  next: "),
    ({"map": {"prompt.role": "from"}}, "--map prompt.role=from: none of the first 1 rows has messages in prompt\n"),
    ({"format": "kto"}, "no row fits --format kto: "),
    ({"map": {"segments": "messages", "text": "messages"}}, "--map names segments, text, which no one shape has "),
])  # fmt: skip
def test_settings_that_do_not_fit(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        open_dataset([write(tmp_path, chat())], **options)
    assert str(error.value).startswith(message)


def test_unknown_fields_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, {"a": 1, "b": "x"})
    with pytest.raises(InputError) as error:
        open_dataset([path])
    assert str(error.value) == (
        f"the rows have no shape that is known: {path}:1 has the fields a, b\n"
        "  next: say which field is what, for example --map prompt=FIELD --map completion=FIELD"
    )


@pytest.mark.parametrize("row", [
    {"message_id": "a", "parent_id": None, "text": "Why?", "role": "prompter"},
    {"role": "user", "content": "Why?"},
    {"from": "human", "value": "Why?"},
])  # fmt: skip
def test_rows_that_are_single_messages_are_no_documents(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="each row is one message of a conversation, not a whole one") as error:
        open_dataset([write(tmp_path, row)])
    assert error.value.next_step.startswith("join the messages of a conversation into one row")


def test_a_role_that_nobody_knows_leaves_a_document(tmp_path: Path) -> None:
    assert samples_of(tmp_path, {"text": "Once.", "role": "chapter"})[0].shape == "document"


def test_what_stands_beside_the_turns(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    row = chat(uuid="u-1", weight=0.5, tools=json.dumps([tool]), chat_template_kwargs={"enable_thinking": False})
    sample = samples_of(tmp_path, row)[0]
    assert (sample.id, sample.weight, sample.tools) == ("u-1", 0.5, (tool,))
    assert sample.template_kwargs == {"enable_thinking": False}


def test_names_from_the_data_cannot_draw_on_a_terminal(tmp_path: Path) -> None:
    name = "\x1b[31m\u202ex"
    assert open_dataset([write(tmp_path, {name: "x"})]).shape.evidence == (
        "1 of the first 1 rows has `\\x1b[31m\\u202ex`"
    )
    with pytest.raises(InputError, match=r"has the fields \\x1b\[31m\\u202ex, b"):
        open_dataset([write(tmp_path, {name: 1, "b": 2})])


SAID = "### Human: Why?### Assistant: Because."
ALPACA = {"instruction": "Why?", "output": "Because."}


@pytest.mark.parametrize(("rows", "name", "evidence"), [
    ([chat()], "chat", "1 of the first 1 rows has `messages`"),
    ([chat(), chat(), chat(system="Hm.")], "chat-system", "3 of the first 3 rows have `messages` and `system`"),
    ([chat(system_prompt="Hm."), chat(), {"x": 1}], "chat-system",
     "2 of the first 3 rows have `messages` and `system_prompt`"),
    ([{"text": "Once."}, {"text": SAID}, {"text": "Once."}], "dialogue", "3 of the first 3 rows have `text`"),
    ([chat(), ALPACA, ALPACA], "chats", "of the first 3 rows 2 alpaca, 1 chat; each is read by its own shape"),
    ([{"prompt": "Why?"}, chat()], "chat", "1 of the first 2 rows has `messages`"),
    ([ALPACA, ALPACA | {"input": "Sky."}], "alpaca",
     "2 of the first 2 rows have `instruction` and `input` and `output`"),
])  # fmt: skip
def test_the_evidence_for_a_shape(tmp_path: Path, rows: list[Any], name: str, evidence: str) -> None:
    shape = open_dataset([write(tmp_path, *rows)]).shape
    assert (shape.name, shape.evidence) == (name, evidence)


def test_the_two_most_frequent_shapes_are_named_where_they_do_not_go_together(tmp_path: Path) -> None:
    pair = {"prompt": "a", "chosen": "b", "rejected": "c"}
    path = write(tmp_path, pair, {"text": "x"}, {"text": "y"}, chat(), chat(), chat())
    with pytest.raises(InputError, match=rf"mixes shapes: {path}:4 is chat, {path}:2 is document"):
        open_dataset([path])


def test_chats_of_several_shapes_are_not_mixed_where_fields_are_mapped(tmp_path: Path) -> None:
    path = write(tmp_path, {"turns": MESSAGES}, {"turns": MESSAGES, "system": "Hm."})
    assert open_dataset([path], map={"messages": "turns"}).shape.name == "chat-system"
    rows = [{"n": 1, "messages": MESSAGES}, {"n": 1, **ALPACA}]
    with pytest.raises(InputError, match="mixes shapes"):
        open_dataset([write(tmp_path, *rows)], map={"id": "n"})


def test_a_chat_is_a_chat_with_a_system_prompt_that_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path, chat(), chat(system="Hm."))
    assert codes(open_dataset([path], format="chat-system")) == ["ok", "ok"]


@pytest.mark.parametrize(("alias", "row", "name"), [
    ("messages", chat(), "chat"), ("dpo", {"chosen": "a", "rejected": "b"}, "preference"),
    ("pretrain", {"text": "a"}, "document"), ("conversations", {"conversations": MESSAGES}, "sharegpt"),
    ("instruction", ALPACA, "alpaca"),
])  # fmt: skip
def test_other_names_of_shapes(tmp_path: Path, alias: str, row: Any, name: str) -> None:
    assert open_dataset([write(tmp_path, row)], format=alias).shape.name == name


@pytest.mark.parametrize(("count", "more"), [(12, ""), (13, ", ...")])
def test_a_row_of_many_fields_names_the_first(tmp_path: Path, count: int, more: str) -> None:
    with pytest.raises(InputError) as caught:
        open_dataset([write(tmp_path, {f"f{n}": n for n in range(count)})])
    assert caught.value.message.endswith(", ".join(f"f{n}" for n in range(12)) + more)


def test_a_row_without_fields_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has the fields \(none\)"):
        open_dataset([write(tmp_path, {})])


def test_rows_that_are_no_objects_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the first 2 rows is a JSON object with named fields"):
        open_dataset([write(tmp_path, [1], 5)])


def test_labels_in_numbers_are_of_kto_where_it_is_said(tmp_path: Path) -> None:
    row = {"prompt": "Why?", "completion": "Because.", "label": 1}
    assert open_dataset([write(tmp_path, row)]).shape.name == "prompt-completion"
    shape = open_dataset([write(tmp_path, row)], format="kto").shape
    assert (shape.name, shape.fields) == ("kto", {"prompt": "prompt", "completion": "completion", "label": "label"})


@pytest.mark.parametrize(("place", "found"), [(9, True), (10, False)])
def test_ten_rows_of_every_further_file_are_looked_at(tmp_path: Path, place: int, found: bool) -> None:
    second = [chat()] * place + [{"text": "x"}]
    paths = [write(tmp_path, chat()), write(tmp_path, b"bad", *second, name="b.jsonl")]
    if found:
        with pytest.raises(InputError, match="mixes shapes"):
            open_dataset(paths)
    else:
        assert open_dataset(paths).shape.name == "chat"


@pytest.mark.parametrize(("bad", "found"), [(999, True), (1000, False)])
def test_a_thousand_rows_are_searched_for_one_that_can_be_read(tmp_path: Path, bad: int, found: bool) -> None:
    path = write(tmp_path, *[b"bad"] * bad, chat())
    if found:
        assert open_dataset([path]).shape.name == "chat"
    else:
        with pytest.raises(InputError, match="none of the first 1000 rows can be read"):
            open_dataset([path])


def test_a_hundred_files_are_looked_into(tmp_path: Path) -> None:
    paths = [write(tmp_path, chat(), name=f"{n:03d}.jsonl") for n in range(100)]
    paths.append(write(tmp_path, {"text": "x"}, name="last.jsonl"))
    assert open_dataset(paths).shape.name == "chat"
    with pytest.raises(InputError, match="mixes shapes"):
        open_dataset(paths[1:])


@pytest.mark.parametrize(("row", "map", "said"), [
    (chat(), {"prompt.role": "from", "completion": "x"}, "none of the first 1 rows has messages in prompt"),
    ({"a": MESSAGES}, {"messages": "a", "messages.role": "x"}, "no message in the first 1 rows has x"),
    ({"a": "[["}, {"messages": "a", "messages.role": "x"}, "none of the first 1 rows has messages in a"),
    (chat(), {"prompt": "messages.x"}, "none of the first 1 rows has the field messages.x"),
])  # fmt: skip
def test_a_map_to_what_is_not_there_is_refused(tmp_path: Path, row: Any, map: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        open_dataset([write(tmp_path, row)], map=map)


def test_a_map_leaves_what_it_does_not_name(tmp_path: Path) -> None:
    row = {"q": "Why?", "prompt": "other", "a": "Because.", "id": None, "n": {"x": None}}
    (sample,) = samples_of(tmp_path, row, map={"prompt": "q", "completion": "a"})
    assert (told(sample), sample.unused, sample.id) == (ANSWER, ("n",), None)
    expected = {"prompt": "Why?", "completion": "Because.", "id": None, "n": {"x": None}}
    assert renamed(row, {"prompt": "q", "completion": "a", "id": "n.x"}) == expected
    assert renamed([1], {"prompt": "q"}) == [1]
    assert renamed({"a.b": 1, "a": {"b": 2}}, {"id": "a.b"})["id"] == 1
