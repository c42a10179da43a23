"""The user's own training configuration in place of --format and --map."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from screen.data.dataset import open_dataset
from screen.data.records.wording import Wording
from screen.data.trainers.config import StatedConfig, read_config
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


def stated(
    folder: Path, text: str, name: str = "a.yaml", datasets: tuple[str, ...] = ("d/rows.jsonl",)
) -> StatedConfig:
    (folder / name).write_text(text)
    return read_config(folder / name, datasets)


@pytest.mark.parametrize(("settings", "info", "notes"), [
    ("", "", ()),
    ("sequence_len: 512\n", "", ("sequence_len 512: axolotl drops or truncates rows there; here they go on to the "
                                 "model's context",)),
    ("chat_template: tokenizer_default\n", "", ()),
    ("chat_template: chatml\n", "", ("chat_template chatml is axolotl's own; here the tokenizer's renders, or "
                                     "--template",)),
    ("chat_template: chatml\n", "chat_template: tokenizer_default, ", ()),
])  # fmt: skip
def test_what_axolotl_does_and_this_does_not_is_told(
    tmp_path: Path, settings: str, info: str, notes: tuple[str, ...]
) -> None:
    text = f"{settings}datasets: [{{path: x, {info}type: %s}}]"
    assert stated(tmp_path, text % "chat_template").notes == notes
    of_length = tuple(note for note in notes if note.startswith("sequence_len"))
    assert stated(tmp_path, text % "alpaca").notes == of_length  # which has no chat template


@pytest.mark.parametrize(("text", "expected"), [
    ("type: chat_template", StatedConfig("chat", {"messages": "messages"})),
    ("type: sharegpt", StatedConfig("sharegpt", {"conversations": "conversations"}, role_key="role")),
    ("type: chat_template, field_messages: conversations",
     StatedConfig("sharegpt", {"conversations": "conversations"})),
    ("type: chat_template, message_field_role: who, message_field_content: says",
     StatedConfig("chat", {"messages": "messages"}, role_key="who", content_key="says")),
    ("type: chat_template, field_system: sys, field_tools: t",
     StatedConfig("chat", {"messages": "messages", "system": "sys", "tools": "t"})),
    ("type: chat_template, roles_to_train: null", StatedConfig("chat", {"messages": "messages"}, "last")),
    ("type: chat_template, roles_to_train: [gpt]", StatedConfig("chat", {"messages": "messages"})),
    ("type: chat_template, roles_to_train: [assistant, gpt]", StatedConfig("chat", {"messages": "messages"})),
    ("type: chat_template, roles: {user: [H, I], assistant: [A]}",
     StatedConfig("chat", {"messages": "messages"}, roles={"H": "user", "I": "user", "A": "assistant"})),
    ("type: completion", StatedConfig("document", {"text": "text"})),
    ("type: pretrain, field: body", StatedConfig("document", {"text": "body"})),
    ("type: input_output, train_on_inputs: true", StatedConfig("segments", train_on="all")),
    ("type: {field_instruction: q, field_output: a, field_system: s}",
     StatedConfig("alpaca", {"instruction": "q", "output": "a", "system": "s"})),
    ("type: {field_input: i, field_output: a, format: '{instruction}', system_prompt: Hm.}",
     StatedConfig("alpaca", {"input": "i", "output": "a"}, render="plain",
           wording=Wording("{instruction}", "{instruction}", "", "Hm."))),
    ("type: {format: a, no_input_format: b, system_format: c, system_prompt: d, field_system: e}",
     StatedConfig("alpaca", {}, render="plain", wording=Wording("a", "b", "c", "", "e"))),
])  # fmt: skip
def test_an_entry_of_axolotl(tmp_path: Path, text: str, expected: StatedConfig) -> None:
    assert stated(tmp_path, f"datasets: [{{path: x, {text}}}]") == expected


@pytest.mark.parametrize(("rl", "info", "shape", "fields"), [
    ("dpo", "", "preference", {}), ("kto", "", "kto", {}), ("ipo", ", field_system: s", "preference", {"system": "s"}),
])  # fmt: skip
def test_preferences_of_axolotl(tmp_path: Path, rl: str, info: str, shape: str, fields: dict[str, str]) -> None:
    found = stated(tmp_path, f"rl: {rl}\ntrain_on_inputs: true\ndatasets: [{{path: x, type: chatml.intel{info}}}]")
    assert (found.format, found.map, found.train_on) == (shape, fields, None)


@pytest.mark.parametrize(("text", "why"), [
    ("datasets: {path: x, type: alpaca}", "has `datasets` that are no list"),
    ("datasets: [x, {type: alpaca}]", "has `datasets` that are no list"),
    ("datasets: [{type: chat_template, roles: [user]}]", "has roles or message_property_mappings that are no mapping"),
    ("datasets: [{type: chat_template, message_property_mappings: x}]", "has roles or message_property_mappings"),
    ("datasets: [{type: {format: [a]}}]", "has a format that is no text"),
    ("datasets: [{type: {format: a, no_input_format: 1}}]", "has a format that is no text"),
    ("datasets: [{type: {format: a, system_format: 1}}]", "has a format that is no text"),
    ("{}", "is no configuration of axolotl, TRL or LLaMA-Factory that is known"),
    ("dataset: mine", "is no configuration of axolotl, TRL or LLaMA-Factory that is known"),
])  # fmt: skip
def test_what_is_wrong_with_a_configuration_is_said(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"a.yaml: the configuration {why}")):
        stated(tmp_path, text)


def test_an_entry_is_found_by_its_file_name(tmp_path: Path) -> None:
    two = "datasets: [{path: far/rows.jsonl, type: %s}, {path: a/folder/, type: chat_template}]"
    assert stated(tmp_path, two % "completion").format == "document"
    assert stated(tmp_path, two % "completion", datasets=("x/folder/",)).format == "chat"
    for datasets in (("other",), ("rows.jsonl", "folder")):
        with pytest.raises(InputError, match=r"cannot tell which of its 2 datasets this is \(far/rows.jsonl, a/fol"):
            stated(tmp_path, two % "completion", datasets=datasets)
    many = ", ".join(f"{{path: d{n}, type: completion}}" for n in range(9))
    with pytest.raises(InputError, match=r"\(d0, d1, d2, d3, d4, d5, d6, d7\)"):
        stated(tmp_path, f"datasets: [{many}]")


@pytest.mark.parametrize(("info", "expected"), [
    ({"columns": {"prompt": "body"}}, StatedConfig("document", {"text": "body"})),
    ({"columns": {"prompt": "q", "query": "i", "response": "a", "system": "s"}},
     StatedConfig("alpaca", {"system": "s", "instruction": "q", "input": "i", "output": "a"})),
    ({"columns": {}}, StatedConfig("alpaca", {})),
    ({"ranking": True, "columns": {"prompt": "q", "chosen": "a", "rejected": "b"}},
     StatedConfig("preference", {"chosen": "a", "rejected": "b", "instruction": "q"})),
    ({"formatting": "sharegpt"}, StatedConfig("sharegpt", {"conversations": "conversations"}, role_key="from",
                                       content_key="value")),
    ({"formatting": "sharegpt", "ranking": True}, StatedConfig("preference", {"conversations": "conversations"},
                                                        role_key="from", content_key="value")),
    ({"formatting": "sharegpt", "columns": {"messages": "m", "kto_tag": "k"},
      "tags": {"observation_tag": "o", "function_tag": "f", "system_tag": "s"}},
     StatedConfig("kto", {"kto_tag": "k", "conversations": "m"}, roles={"o": "observation", "f": "function_call",
                                                                "s": "system"}, role_key="from", content_key="value")),
])  # fmt: skip
def test_an_entry_of_llama_factory(tmp_path: Path, info: dict[str, Any], expected: StatedConfig) -> None:
    found = stated(tmp_path, json.dumps({"mine": {"file_name": "rows.jsonl", **info}}), "dataset_info.json")
    named = set(expected.map.values()) | set(info.get("columns", {}).values())
    assert found == replace(expected, ignored=frozenset(OWN_ONLY) - named)


OWN_ONLY = ("system", "system_prompt", "tools", "functions", "history", "context")


def test_fields_that_a_mapping_of_columns_names_are_read(tmp_path: Path) -> None:
    columns = {"prompt": "context", "response": "system"}
    found = stated(tmp_path, json.dumps({"x": {"file_name": "rows.jsonl", "columns": columns}}), "dataset_info.json")
    assert found.ignored == frozenset(OWN_ONLY) - {"context", "system"}


@pytest.mark.parametrize(("text", "why"), [
    ('{"x": {"columns": []}, "y": {}}', "cannot tell which of its 2 datasets this is (x, y)"),
    ('{"x": {"columns": ["a"]}}', "has columns or tags that are no mapping"),
    ('{"x": {"tags": "a"}}', "has columns or tags that are no mapping"),
    ('{"x": {}, "y": 1}', "is no configuration of axolotl"),
])  # fmt: skip
def test_what_is_wrong_with_a_list_of_datasets_is_said(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(InputError, match=re.escape(why)):
        stated(tmp_path, text, "dataset_info.json", ("other.jsonl",))


def training(folder: Path, more: str, info: Any = None) -> StatedConfig:
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data/dataset_info.json").write_text(json.dumps(info or INFO))
    return stated(folder, f"dataset: mine\n{more}", "train.yaml")


def test_a_training_file_finds_its_datasets_in_a_folder_above_it(tmp_path: Path) -> None:
    (tmp_path / "examples/sft").mkdir(parents=True)
    training(tmp_path, "stage: sft")
    (tmp_path / "examples/sft/train.yaml").write_text("dataset: mine\nstage: sft")
    assert read_config(tmp_path / "examples/sft/train.yaml", ["x"]).format == "alpaca"


@pytest.mark.parametrize("stage", ["sft", "rm", "dpo", "kto", "ppo", "orpo", "simpo"])
def test_stages_of_llama_factory(tmp_path: Path, stage: str) -> None:
    assert training(tmp_path, f"stage: {stage}").format == "alpaca"


def test_pretraining_reads_the_prompts_column_as_text(tmp_path: Path) -> None:
    found = training(tmp_path, "stage: pt\ncutoff_len: 9")
    assert (found.format, found.map, len(found.notes)) == ("document", {"text": "ask"}, 1)
    bare = training(tmp_path, "stage: pt", {"mine": {"columns": {"prompt": "body"}}})
    assert (bare.map, bare.notes) == ({"text": "body"}, ())
    assert training(tmp_path, "stage: pt", {"mine": {}}).map == {"text": "instruction"}


@pytest.mark.parametrize(("more", "why"), [
    ("stage: sftt", "has the stage 'sftt', which is not known"),
    ("stage: sft\ndataset: [mine, nope]", "names the dataset 'nope', which "),
])  # fmt: skip
def test_what_is_wrong_with_a_training_file_is_said(tmp_path: Path, more: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        training(tmp_path, more)


@pytest.mark.parametrize(("text", "expected"), [
    ("dataset_name: x", StatedConfig(None, {}, None, "all", render="plain")),
    ("dataset_text_field: text", StatedConfig(None, {}, None, "all", render="plain")),
    ("dataset_text_field: body", StatedConfig("document", {"text": "body"}, None, "all", render="plain")),
    ("completion_only_loss: true", StatedConfig(None, {}, None, "all", render="plain")),
    ("completion_only_loss: false", StatedConfig(None, {}, "all", "all", render="plain")),
    ("packing_strategy: bfd\nmax_seq_length: 8", StatedConfig(None, {}, None, "all", render="plain", notes=(
        "max_length 8: TRL truncates rows there; here they go on to the model's context",))),
])  # fmt: skip
def test_a_file_of_trl(tmp_path: Path, text: str, expected: StatedConfig) -> None:
    assert stated(tmp_path, text) == expected


def test_a_file_that_is_no_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text("dataset_name: x" + " " * (1 << 20))
    (tmp_path / "odd.yaml").write_bytes(b"\xff")
    for name, why in (("large", "too large for a configuration"), ("odd", "cannot be read"), ("no", "cannot be read")):
        with pytest.raises(InputError, match=f"{name}.yaml: {why}"):
            read_config(tmp_path / f"{name}.yaml", [])
    (tmp_path / "fits.yaml").write_text("dataset_name: x".ljust(1 << 20))
    assert read_config(tmp_path / "fits.yaml", []).render == "plain"
