"""Questions and answers given as texts: as turns of a chat, or as they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screen.data.dataset import open_dataset
from screen.errors import UsageError
from tests.data.making import chat, samples_of, told, write

ALPACA = {"instruction": "Why?", "output": "Because."}
PAIR = {"prompt": "Why?", "completion": " Because."}
HH = {"chosen": "\n\nHuman: Why?\n\nAssistant: Because.", "rejected": "\n\nHuman: Why?\n\nAssistant: No."}
AS_TURNS = "questions and answers are rendered as turns by the chat template; --render plain "


@pytest.mark.parametrize(("row", "turns"), [
    (PAIR, ["Why?", " Because."]),
    (PAIR | {"label": True, "system": "Hm."}, ["Why?", " Because."]),
    ({"prompt": "Why?\n", "chosen": "Because.", "rejected": "No."}, ["Why?\n", "Because."]),
    (HH, ["\n\nHuman: Why?\n\nAssistant: ", "Because."]),
    ({"text": "<s>[INST] Why? [/INST] Because. </s>"}, ["<s>[INST] ", "Why?", " [/INST] ", "Because.", " </s>"]),
])  # fmt: skip
def test_texts_as_they_stand(tmp_path: Path, row: dict[str, Any], turns: list[str]) -> None:
    sample = samples_of(tmp_path, row, render="plain")[0]
    assert ([said for _, said, _ in told(sample)], sample.layout) == (turns, "plain")
    assert [said for _, said, scored in told(sample) if scored] == [next(t for t in turns if "Because" in t)]


@pytest.mark.parametrize(("row", "said"), [
    (PAIR, AS_TURNS + "lays them end to end, as TRL does with texts"),
    (ALPACA, AS_TURNS + "writes them into Alpaca's prompt, as axolotl's alpaca does"),
    ({"prompt": chat()["messages"][:1], "completion": chat()["messages"][1:]}, None),
    (chat(), None),
    ({"text": "Once."}, None),
])  # fmt: skip
def test_how_texts_are_rendered_is_said(tmp_path: Path, row: dict[str, Any], said: str | None) -> None:
    assert open_dataset([write(tmp_path, row)]).rendering() == said


@pytest.mark.parametrize(("row", "way"), [(PAIR, "laid end to end"), (ALPACA, "written into a plain prompt")])
def test_the_other_way_is_said_too(tmp_path: Path, row: dict[str, Any], way: str) -> None:
    assert open_dataset([write(tmp_path, row)], render="plain").rendering() == (
        f"questions and answers are {way}, without the chat template; --render chat renders them as turns"
    )


def test_the_rendering_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    path = write(tmp_path, PAIR)
    assert open_dataset([path]).fingerprint() != open_dataset([path], render="plain").fingerprint()


def test_messages_have_no_plain_rendering(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="for questions and answers given as texts, and the rows are chat"):
        open_dataset([write(tmp_path, chat())], render="plain")
