"""The user's own training configuration in place of --format and --map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from screen.data.dataset import open_dataset
from screen.errors import InputError
from tests.data.making import chat, read_all, samples_of, told, write

ASKED = [("user", "Why?", False), ("assistant", "Because.", True)]
SPOKEN = [{"who": "H", "says": "Why?"}, {"who": "A", "says": "Because."}]
TAGS = {"role_tag": "who", "content_tag": "says", "user_tag": "H", "assistant_tag": "A"}


def turns(folder: Path, row: Any, name: str, text: str, **options: Any) -> list[list[tuple[str, str, bool]]]:
    (folder / name).write_text(text)
    found = read_all(open_dataset([write(folder, row)], config=folder / name, **options))[0]
    assert isinstance(found, list), found
    return [told(sample) for sample in found]


@pytest.mark.parametrize(("row", "info"), [
    ({"ask": "Why?", "tell": "Because."}, {"columns": {"prompt": "ask", "response": "tell"}}),
    ({"turns": SPOKEN}, {"formatting": "sharegpt", "columns": {"messages": "turns"}, "tags": TAGS}),
    ({"conversations": SPOKEN[:1], "good": {"who": "A", "says": "Because."}, "bad": {"who": "A", "says": "No."}},
     {"formatting": "sharegpt", "ranking": True, "columns": {"chosen": "good", "rejected": "bad"}, "tags": TAGS}),
    ({"ask": "Why?", "good": "Because.", "bad": "No."},
     {"ranking": True, "columns": {"prompt": "ask", "chosen": "good", "rejected": "bad"}}),
    ({"messages": chat()["messages"], "label": False},
     {"formatting": "sharegpt", "columns": {"messages": "messages", "kto_tag": "label"},
      "tags": {"role_tag": "role", "content_tag": "content"}}),
])  # fmt: skip
def test_llama_factory(tmp_path: Path, row: Any, info: Any) -> None:
    config = {"other": {"file_name": "other.json"}, "mine": {"file_name": "rows.jsonl", **info}}
    assert turns(tmp_path, row, "dataset_info.json", json.dumps(config))[0] == ASKED


@pytest.mark.parametrize(("row", "text"), [
    ({"q": "Why?", "a": "Because."}, "datasets: [{path: x, type: {field_instruction: q, field_output: a}}]"),
    ({"chat": SPOKEN}, "datasets: [{path: x, type: chat_template, field_messages: chat, roles: {user: [H], "
                       "assistant: [A]}, message_property_mappings: {role: who, content: says}}]"),
    (chat(), "datasets: [{path: x, type: chat_template}]"),
    ({"prompt": "Why?", "chosen": "Because.", "rejected": "No."}, "rl: dpo\ndatasets: [{path: x, type: chatml.intel}]"),
    ({"segments": [{"label": False, "text": "Why?"}, {"label": True, "text": "Because."}]},
     "datasets: [{path: x, type: input_output}]"),
])  # fmt: skip
def test_axolotl(tmp_path: Path, row: Any, text: str) -> None:
    assert turns(tmp_path, row, "axolotl.yaml", text)[0] == ASKED


ALPACA = {
    "instruction": "Why?",
    "input": "Sky.",
    "output": "Because.",
    "system": "Hm.",
    "context": "Sea.",
    "history": 1,
}
OWN = "datasets: [{path: x, type: {field_instruction: instruction, field_input: input, field_output: output, %s}}]"


@pytest.mark.parametrize(("text", "prompt"), [
    ("datasets: [{path: x, type: alpaca}]", "Below is an instruction that describes a task, paired with an input that "
     "provides further context. Write a response that appropriately completes the request.\n\n"
     "### Instruction:\nWhy?\n\n### Input:\nSky.\n\n### Response:\n"),
    ("datasets: [{path: x, type: alpaca_instruct.load_no_prompt}]",
     "### Instruction:\nWhy?\n\n### Input:\nSky.\n\n### Response:\n"),
    (OWN % "format: '[INST] {instruction} {input} [/INST]{{}}'", "[INST] Why? Sky. [/INST]{}"),
    (OWN % "field_system: system, system_format: '<{system}> ', format: '{instruction}'", "<Hm.> Why?"),
    (OWN % "system_prompt: Ah., system_format: '{system} ', format: '{instruction}'", "Ah. Why?"),
])  # fmt: skip
def test_axolotl_writes_instructions_into_a_plain_prompt(tmp_path: Path, text: str, prompt: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    (sample,) = samples_of(tmp_path, ALPACA, config=tmp_path / "a.yaml")
    assert (told(sample), sample.layout) == ([("user", prompt, False), ("assistant", "Because.", True)], "pieces")
    assert "context" in sample.unused


@pytest.mark.parametrize(("row", "layout"), [
    ({"prompt": "Why?", "completion": "Because."}, "plain"),
    ({"prompt": chat()["messages"][:1], "completion": chat()["messages"][1:]}, "chat"),
    ({"prompt": "Why?", "chosen": "Because.", "rejected": "No."}, "plain"),
    ({"prompt": "Why?", "completion": "Because.", "label": True}, "plain"),
    ({"text": "### Human: Why?### Assistant: Because."}, "document"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["trl.yaml", "trl.json"])
def test_trl_renders_conversations_and_no_texts(tmp_path: Path, row: Any, layout: str, name: str) -> None:
    (tmp_path / name).write_text('{"dataset_name": "x", "max_length": 512}')
    assert samples_of(tmp_path, row, config=tmp_path / name)[0].layout == layout


def test_a_mixture_of_datasets_in_a_trl_file(tmp_path: Path) -> None:
    text = "datasets: [{path: a}, {path: b}]\nassistant_only_loss: true"
    assert turns(tmp_path, chat(), "trl.yaml", text)[0] == ASKED


TRAINING = "stage: sft\ndataset: other,mine\ndataset_dir: {}\ntemplate: qwen\ncutoff_len: 1024\n"
INFO = {"other": {"file_name": "other.json"}, "mine": {"file_name": "rows.jsonl", "columns": {
    "prompt": "ask", "response": "tell", "history": "before"}}}  # fmt: skip
TALK = {"ask": "Why?", "tell": "Because.", "before": [["Hi", "Yes?"]], "system": "Hm."}


@pytest.mark.parametrize(("more", "scored"), [
    ("", ["Yes?", "Because."]),
    ("mask_history: true", ["Because."]),
    ("train_on_prompt: true", ["Hi", "Yes?", "Why?", "Because."]),
])  # fmt: skip
def test_a_training_file_of_llama_factory(tmp_path: Path, more: str, scored: list[str]) -> None:
    (tmp_path / "dataset_info.json").write_text(json.dumps(INFO))
    (tmp_path / "train.yaml").write_text(TRAINING.format(tmp_path) + more)
    dataset = open_dataset([write(tmp_path, TALK)], config=tmp_path / "train.yaml")
    ((sample,),) = read_all(dataset)  # type: ignore[misc]
    assert [turn.content for turn in sample.turns if turn.scored] == scored
    assert (sample.turns[0].role, sample.unused) == ("user", ("system",))  # a column that is not named is not read
    assert [note.split(" ")[0] for note in dataset.notes] == ["template", "cutoff_len"]


def test_kto_rows_of_llama_factory(tmp_path: Path) -> None:
    columns = {"prompt": "ask", "response": "tell", "kto_tag": "good"}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"x": {"file_name": "rows.jsonl", "columns": columns}}))
    row = {"ask": "Why?", "tell": "Because.", "good": False}
    (sample,) = samples_of(tmp_path, row, config=tmp_path / "dataset_info.json")
    assert (told(sample), sample.sign) == (ASKED, -1)


def test_what_is_trained_on(tmp_path: Path) -> None:
    everything = [("user", "Why?", True), ("assistant", "Because.", True)]
    both = "train_on_inputs: true\ndatasets: [{path: x, type: chat_template}]"
    assert turns(tmp_path, chat(), "a.yaml", both)[0] == everything
    assert turns(tmp_path, chat(), "a.yaml", both, train_on="last")[0] == ASKED
    assert turns(tmp_path, chat(), "trl.yaml", "dataset_name: x")[0] == everything  # TRL's default
    assert turns(tmp_path, chat(), "trl.yaml", "dataset_name: x\nassistant_only_loss: true")[0] == ASKED
    pair = {"prompt": "Why?", "completion": "Because."}
    assert turns(tmp_path, pair, "trl.yaml", "dataset_name: x")[0] == ASKED
    assert turns(tmp_path, pair, "trl.yaml", "completion_only_loss: false")[0] == everything


def test_text_fields(tmp_path: Path) -> None:
    document = [("assistant", "x", True)]
    assert turns(tmp_path, {"body": "x", "n": 1}, "trl.yaml", "dataset_text_field: body")[0] == document
    axolotl = "datasets: [{path: x, type: completion, field: body}]"
    assert turns(tmp_path, {"body": "x", "n": 1}, "a.yaml", axolotl)[0] == document


@pytest.mark.parametrize(("text", "message"), [
    ("datasets: [{path: a, type: alpaca}, {path: b, type: alpaca}]",
     "cannot tell which of its 2 datasets this is (a, b)"),
    ("datasets: [{path: a, type: pygmalion}]", "has the dataset type 'pygmalion', which is not read"),
    ("datasets: [{path: a, type: chat_template, roles_to_train: [user]}]", "trains on the roles ['user']"),
    ("learning_rate: 1", "is no configuration of axolotl, TRL or LLaMA-Factory that is known"),
    ("dataset: x\nstage: sft", "names its datasets in data/dataset_info.json, which is not here"),
    ("[1, 2]", "is not a mapping of settings"),
    ("a: [", "cannot be parsed: "),
    ("!!python/object/apply:os.system [ls]", "cannot be parsed: "),
])  # fmt: skip
def test_configurations_that_cannot_be_honoured(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        turns(tmp_path, chat(), "a.yaml", text)
    assert message in str(error.value)
    assert "--format" in error.value.next_step
