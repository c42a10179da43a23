"""Preference rows: what is shared is the prompt, the rest is scored on each side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screen.data.dataset import open_dataset
from tests.data.making import chat, codes, samples_of, told, write

ASK = {"role": "user", "content": "Why?"}
YES = {"role": "assistant", "content": "Because."}
NO = {"role": "assistant", "content": "No."}


def scored(folder: Path, row: dict[str, Any], **options: Any) -> list[list[tuple[str, bool]]]:
    return [[(t.content, t.scored) for t in s.turns] for s in samples_of(folder, row, **options)]


def test_the_common_beginning_is_the_prompt(tmp_path: Path) -> None:
    row = {"chosen": [ASK, NO, ASK, YES], "rejected": [ASK, NO, ASK, NO]}
    same = [("Why?", False), ("No.", False), ("Why?", False)]
    assert scored(tmp_path, row) == [[*same, ("Because.", True)], [*same, ("No.", True)]]


def test_sides_that_hold_the_prompt_already(tmp_path: Path) -> None:
    row = {"prompt": "Why?", "chosen": [ASK, YES], "rejected": [ASK, NO], "messages": [ASK, YES]}
    assert scored(tmp_path, row) == [[("Why?", False), ("Because.", True)], [("Why?", False), ("No.", True)]]


def test_a_prompt_in_messages(tmp_path: Path) -> None:
    row = {"prompt": [ASK, YES, ASK], "chosen": [YES], "rejected": [NO]}
    assert scored(tmp_path, row)[1] == [("Why?", False), ("Because.", False), ("Why?", False), ("No.", True)]


def test_equal_sides_are_fine(tmp_path: Path) -> None:
    side = [("Why?", False), ("Because.", True)]
    assert scored(tmp_path, {"chosen": [ASK, YES], "rejected": [ASK, YES]}) == [side, side]
    assert scored(tmp_path, {"prompt": "Why?", "chosen": "Because.", "rejected": "Because."}) == [side, side]


def test_old_dialogue_text(tmp_path: Path) -> None:
    start = "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Why?\n\nAssistant:"
    samples = samples_of(tmp_path, {"chosen": f"{start} Because.", "rejected": f"{start} No.\n"})
    same = [("user", "Hi", False), ("assistant", "Yes?", False), ("user", "Why?", False)]
    assert [told(s) for s in samples] == [
        [*same, ("assistant", "Because.", True)],
        [*same, ("assistant", "No.", True)],
    ]


def test_dialogues_that_part_early_score_the_last_answer_only(tmp_path: Path) -> None:
    chosen = "\n\nHuman: Hi\n\nAssistant: A\n\nHuman: Why?\n\nAssistant: B"
    rejected = "\n\nHuman: Hi\n\nAssistant: C"
    assert scored(tmp_path, {"chosen": chosen, "rejected": rejected}) == [
        [("Hi", False), ("A", False), ("Why?", False), ("B", True)],
        [("Hi", False), ("C", True)],
    ]


def test_a_dialogue_prompt_with_bare_answers(tmp_path: Path) -> None:
    row = {"prompt": "\n\nHuman: Why?\n\nAssistant:", "chosen": " Because.", "rejected": " No."}
    assert scored(tmp_path, row)[0] == [("Why?", False), (" Because.", True)]


@pytest.mark.parametrize(("chosen", "rejected", "prompt"), [
    ("Q: why? A: because", "Q: why? A: no", "Q: why? A: "),
    ("The sky", "The skyline", "The "),  # never inside a word, never all of a side
    ("one", "two", ""),
    ("same text", "same text", "same "),
])  # fmt: skip
def test_bare_texts_share_what_they_begin_with(tmp_path: Path, chosen: str, rejected: str, prompt: str) -> None:
    samples = samples_of(tmp_path, {"chosen": chosen, "rejected": rejected})
    assert [s.layout for s in samples] == ["plain", "plain"]
    for sample, text in zip(samples, (chosen, rejected), strict=True):
        assert "".join(t.content for t in sample.turns) == text
        assert "".join(t.content for t in sample.turns if not t.scored) == prompt


@pytest.mark.parametrize(("row", "code"), [
    ({"chosen": [ASK, YES], "rejected": [ASK, {"role": "assistant", "content": ""}]}, "empty_answer"),
    ({"chosen": [ASK, YES], "rejected": [ASK]}, "no_response"),
    ({"chosen": "\n\nHuman: Hi\n\nAssistant: A", "rejected": "\n\nHuman: Hi\n\nAssistant:"}, "empty_answer"),
    ({"chosen": [ASK, YES], "rejected": [ASK, {"role": "x", "content": "a"}]}, "bad_role"),
    ({"prompt": "Why?", "chosen": "a", "rejected": None}, "no_response"),
])  # fmt: skip
def test_one_bad_side_costs_the_row(tmp_path: Path, row: dict[str, Any], code: str) -> None:
    good = {"prompt": "Why?", "chosen": "a", "rejected": "b"}
    assert codes(open_dataset([write(tmp_path, good, row)], format="preference")) == ["ok", code]


def test_train_on_says_nothing_about_pairs(tmp_path: Path) -> None:
    row = {"prompt": "Why?", "chosen": "a", "rejected": "b"}
    assert scored(tmp_path, row, train_on="all")[0] == [("Why?", False), ("a", True)]


def test_ids_go_to_both_sides(tmp_path: Path) -> None:
    row = {"prompt_id": "p1", "prompt": "Why?", "chosen": chat()["messages"], "rejected": [ASK, NO], "margin": 1.5}
    assert [s.id for s in samples_of(tmp_path, row)] == ["p1", "p1"]


def test_what_stands_behind_a_prompt_given_apart_is_scored_though_both_sides_begin_with_it(tmp_path: Path) -> None:
    row = {"prompt": [ASK], "chosen": [YES, ASK, YES], "rejected": [YES, ASK, NO]}
    every = [("Why?", False), ("Because.", True), ("Why?", False)]
    assert scored(tmp_path, row) == [[*every, ("Because.", True)], [*every, ("No.", True)]]


def test_a_side_that_asks_otherwise_shares_nothing_with_the_prompt(tmp_path: Path) -> None:
    other = {"role": "user", "content": "How?"}
    row = {"prompt": [ASK, YES, ASK], "chosen": [other, YES, other, YES], "rejected": [NO]}
    assert scored(tmp_path, row) == [
        [("How?", False), ("Because.", True)] * 2,
        [("Why?", False), ("Because.", True), ("Why?", False), ("No.", True)],
    ]
