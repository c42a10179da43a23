"""Training by a command of the user's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from screen.data.dataset import open_dataset
from screen.errors import ModelError, UsageError
from screen.experiment.command import check_command, train_by_command

COPIES = """
import shutil, sys
model, data, out, _seed = sys.argv[1:]
shutil.copytree(model, out, dirs_exist_ok=True)
shutil.copy(data, out)
"""


def command(tmp_path: Path, body: str, *arguments: str) -> str:
    script = tmp_path / "train.py"
    script.write_text(body)
    return f"'{sys.executable}' '{script}' {' '.join(arguments)} {{data}} {{out}} {{seed}}"


def test_it_gets_the_rows_in_their_order_as_often_as_they_come(chats: Path, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "work" / "model"
    out.parent.mkdir()
    train_by_command(command(tmp_path, COPIES, f"'{tiny_model}'"), open_dataset((str(chats),)), [2, 0, 2], 7, out)
    rows = [json.loads(line) for line in chats.read_text().splitlines()]
    assert [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()] == [rows[2], rows[0], rows[2]]


@pytest.mark.parametrize(
    ("body", "message"),
    [("import sys; sys.exit('no GPU')", "ended with 1: no GPU"), ("", "ended well and left no model")],
)
def test_one_that_fails_or_leaves_nothing_is_told(body: str, message: str, chats: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        train_by_command(command(tmp_path, body), open_dataset((str(chats),)), [0], 0, tmp_path / "model")


def test_it_must_say_where_data_and_model_stand() -> None:
    with pytest.raises(UsageError, match=r"does not say where \{out\} stands"):
        check_command("python train.py {data}")
