from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from screen.cli.main import run as run_screen
from tests.cli import fake_run


class Said(NamedTuple):
    code: int
    out: str
    err: str


Screen = Callable[..., Said]


@pytest.fixture
def screen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Screen]:
    """The command in this process, in a folder of its own: `screen("rank", "chats.screen")`. Texts are cut to the line
    as in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("screen_reports.console.in_terminal", lambda _file: True)
    monkeypatch.chdir(tmp_path)

    def call(*args: str) -> Said:
        capsys.readouterr()
        code = run_screen(args)
        return Said(code, *capsys.readouterr())

    yield call
    gc.unfreeze()  # a scan freezes what it has loaded: duckdb, left so, complains when the process ends


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The finished run chats.screen beside chats.jsonl, of eight rows."""
    return fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"))
