"""`screen inspect` says what it does not use, and by which shapes rows are read."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Screen
from tests.data.making import chat, write

TEXTS = {"prompt": "Why?", "completion": " Because."}
DOLLY = {"instruction": "Who?", "context": "Ann ran.", "response": "Ann.", "category": "qa"}


def test_what_is_not_used_is_said_with_its_rows(screen: Screen, tmp_path: Path) -> None:
    write(tmp_path, DOLLY, DOLLY, {**DOLLY, "category": ""})
    assert "not used  category (2 rows)\n" in screen("inspect", "rows.jsonl").out
    assert json.loads(screen("inspect", "rows.jsonl", "--json").out)["not_used"] == {"category": 2}


def test_nothing_is_said_where_all_is_used(screen: Screen, tmp_path: Path) -> None:
    write(tmp_path, chat(id=1), chat(id=2))
    said = screen("inspect", "rows.jsonl").out
    assert "not used" not in said
    assert "shapes" not in said


def test_a_folder_of_several_chat_shapes(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path / "data", chat(), chat(), name="a.jsonl")
    write(tmp_path / "data", DOLLY, name="b.jsonl")
    assert "shapes    chat (2 rows), alpaca (1 row)\n" in screen("inspect", "data").out


def test_texts_say_how_they_are_rendered(screen: Screen, tmp_path: Path) -> None:
    write(tmp_path, TEXTS)
    assert (
        "rendered  questions and answers are rendered as turns by the chat template"
        in screen("inspect", "rows.jsonl").out
    )
    plain = screen("inspect", "rows.jsonl", "--render", "plain", "--show-mask").out
    assert "mask      plain: texts end to end, without the chat template" in plain
    assert "--render chat renders them as turns" in " ".join(plain.split())


def test_role_marks_are_told_by_name(screen: Screen, tmp_path: Path) -> None:
    write(
        tmp_path, {"text": "### Human: Why?### Assistant: Because."}, {"text": "It says <|im_start|>user\nand so on."}
    )
    said = " ".join(screen("inspect", "rows.jsonl").out.split())
    assert "marks 1 text split into turns at ### Human:; --format document scores them whole" in said
    assert "marks <|im_start|> stands in 1 row inside a text that could not be split into turns" in said
