"""Toward or away: the sign of the training signal, read from labels, sides and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screen.data.dataset import open_dataset
from tests.data.making import chat, codes, samples_of, write

MESSAGES = chat()["messages"]
KTO = {"prompt": "Why?", "completion": "Because."}
SHAREGPT = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because."}]


@pytest.mark.parametrize(("row", "sign"), [
    (chat(), 1),
    (KTO | {"label": True}, 1),
    (KTO | {"label": False}, -1),
    (KTO | {"label": "False"}, -1),
    ({"prompt": MESSAGES[:1], "completion": MESSAGES[1:], "label": False}, -1),
    ({"messages": MESSAGES, "kto_tag": False}, -1),
    ({"conversations": SHAREGPT, "kto_tag": "false"}, -1),
    (KTO | {"label": False, "weight": -1.0}, 1),
    (chat(weight=-0.5), -1),
    (chat(loss_weight="-2"), -1),
    ({"messages": [MESSAGES[0], MESSAGES[1] | {"weight": -1}]}, -1),
    ({"input_ids": [1, 2], "labels": [-100, 2], "weight": -1}, -1),
])  # fmt: skip
def test_the_sign_of_a_row(tmp_path: Path, row: dict[str, Any], sign: int) -> None:
    (sample,) = samples_of(tmp_path, row)
    assert sample.sign == sign


def test_labels_in_numbers_count_where_the_user_says_that_rows_are_of_kto(tmp_path: Path) -> None:
    row = KTO | {"label": 0}
    assert (samples_of(tmp_path, row)[0].sign, samples_of(tmp_path, row)[0].unused) == (1, ("label",))
    assert samples_of(tmp_path, row, format="kto")[0].sign == -1


@pytest.mark.parametrize("row", [
    {"prompt": "Why?", "chosen": "Because.", "rejected": "No."},
    {"chosen_ids": [1, 2], "rejected_ids": [1, 3]},
    {"input": {"messages": MESSAGES[:1]}, "preferred_output": MESSAGES[1:], "non_preferred_output": MESSAGES[1:]},
])  # fmt: skip
def test_a_rejected_side_is_trained_away_from(tmp_path: Path, row: dict[str, Any]) -> None:
    assert [(s.variant, s.sign) for s in samples_of(tmp_path, row)] == [("chosen", 1), ("rejected", -1)]


def test_a_negative_weight_stays_on_record(tmp_path: Path) -> None:
    assert samples_of(tmp_path, chat(weight=-0.5))[0].weight == -0.5


@pytest.mark.parametrize(("good", "bad", "code"), [
    (KTO | {"label": True}, KTO, "no_label"),
    (KTO | {"label": True}, KTO | {"label": "maybe"}, "no_label"),
    (chat(), chat(weight=0), "not_trained"),
    (chat(), {"messages": [*MESSAGES, MESSAGES[0], MESSAGES[1] | {"weight": -1}]}, "mixed_signs"),
])  # fmt: skip
def test_a_row_without_one_sign_is_skipped_by_name(
    tmp_path: Path, good: dict[str, Any], bad: dict[str, Any], code: str
) -> None:
    dataset = open_dataset([write(tmp_path, good, bad)], format="kto" if code == "no_label" else None)
    assert codes(dataset) == ["ok", code]
