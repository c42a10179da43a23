"""What a row holds and nothing reads is named; conversations of several shapes are one dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screen.data.dataset import open_dataset
from screen.data.sample import Skip
from screen.errors import InputError
from tests.data.making import chat, read_all, samples_of, told, write

MESSAGES = chat()["messages"]
SHAREGPT = {"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]}
ALPACA = {"instruction": "Why?", "output": "Because."}
IMAGE = {"type": "image_url", "image_url": {"url": "a.png"}}


@pytest.mark.parametrize(("row", "unused"), [
    (chat(id=7, source="web", category="qa"), ("source", "category")),
    (chat(tools=[], weight=1.0, chat_template_kwargs={}, note=None, tags=[]), ()),
    (ALPACA | {"context": "Sky.", "category": "qa"}, ("category",)),
    (ALPACA | {"input": "Sea.", "context": "Sky."}, ("context",)),
    (ALPACA | {"prompt": "all of it", "response": "another"}, ("prompt", "response")),
    (SHAREGPT | {"images": ["a.png"], "system": "Hm."}, ("images",)),
    ({"conversation": {"messages": MESSAGES, "rating": 3}, "lang": "en"}, ("lang", "rating")),
    ({"messages": [{**MESSAGES[0], "rating": 3, "ts": ""}, MESSAGES[1]]}, ("messages.rating",)),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Why?"}, IMAGE]}, MESSAGES[1]]},
     ("image_url parts",)),
    ({"prompt": "Why?", "completion": "Because.", "label": True, "score": 2}, ("score",)),
    ({"question": "Why?", "answer": "Because.", "context": "Sky."}, ("context",)),
    ({"prompt": "Why?", "chosen": "Because.", "rejected": "No.", "margin": 2.5}, ("margin",)),
    ({"prompt": "Why?", "completions": ["a"], "labels": [True]}, ("labels",)),
    ({"text": "Once.", "meta": {"url": "x"}, "system": "Hm."}, ("meta", "system")),
    ({"input_ids": [1, 2], "labels": [-100, 2], "attention_mask": [1, 1], "position_ids": [0, 1]}, ("position_ids",)),
])  # fmt: skip
def test_what_is_not_read_is_named(tmp_path: Path, row: dict[str, Any], unused: tuple[str, ...]) -> None:
    assert samples_of(tmp_path, row)[0].unused == unused


def test_a_field_that_map_takes_is_used(tmp_path: Path) -> None:
    row = {"ask": {"text": "Why?"}, "reply": "Because.", "lang": "en"}
    assert samples_of(tmp_path, row, map={"prompt": "ask.text", "completion": "reply"})[0].unused == ("lang",)


def test_the_context_of_an_instruction_is_part_of_its_prompt(tmp_path: Path) -> None:
    dolly = {"instruction": "Who?", "context": "Ann ran.", "response": "Ann.", "category": "closed_qa"}
    assert told(samples_of(tmp_path, dolly)[0])[0] == ("user", "Who?\nAnn ran.", False)


def test_files_of_several_chat_shapes_are_one_dataset(tmp_path: Path) -> None:
    rows = [
        chat(),
        SHAREGPT,
        ALPACA,
        {"prompt": "Why?", "completion": "Because."},
        {"conversation": {"messages": MESSAGES}},
    ]
    paths = [write(tmp_path, row, name=f"{i}.jsonl") for i, row in enumerate(rows)]
    dataset = open_dataset(paths)
    assert dataset.shape.name == "chats"
    found = [sample for row in read_all(dataset) if not isinstance(row, Skip) for sample in row]
    assert [sample.shape for sample in found] == ["chat", "sharegpt", "alpaca", "prompt-completion", "nested"]
    assert all(told(sample) == [("user", "Why?", False), ("assistant", "Because.", True)] for sample in found)


def test_a_chat_of_another_shape_far_down_is_read_by_its_own(tmp_path: Path) -> None:
    rows = read_all(open_dataset([write(tmp_path, *[chat()] * 150, SHAREGPT)]))
    assert [row[0].shape for row in rows if not isinstance(row, Skip)][149:] == ["chat", "sharegpt"]


@pytest.mark.parametrize("other", [{"text": "x"}, {"prompt": "a", "chosen": "b", "rejected": "c"}])
def test_conversations_with_anything_else_still_stop(tmp_path: Path, other: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"mixes shapes: .*:1 is chat, .*:3 is (document|preference)"):
        open_dataset([write(tmp_path, chat(), chat(), other)])
