"""`screen estimate` as it is typed: what `run` refuses it refuses, and it tells its numbers in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import screen as screen_library
from screen.errors import UsageError
from tests.cli.conftest import Screen

CHAT = '{"messages": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "%s"}]}\n'


@pytest.mark.parametrize(
    "args",
    [
        ("nowhere.jsonl",),
        ("empty.jsonl",),
        ("asks.jsonl",),
        ("one.jsonl", "--baseline", "lastprompt"),
        ("one.jsonl", "--traits", "evi"),
        ("one.jsonl", "--limit", "5-9"),
        ("one.jsonl", "--model", "./nowhere"),
        ("one.jsonl", "--refine", "--baseline", "last-prompt"),
        (),
    ],
)
def test_what_run_refuses_is_refused_in_the_same_words(args: tuple[str, ...], screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "one.jsonl").write_text(CHAT % "Yes.")
    (tmp_path / "asks.jsonl").write_text('{"messages": [{"role": "user", "content": "Hi?"}]}\n')
    ran, told = screen("run", *args, "-q", "--out", "run.screen"), screen("estimate", *args)
    assert ran.code == told.code != 0
    assert (told.out, told.err) == ("", ran.err)


def test_one_row_with_hostile_text_and_a_hostile_name(screen: Screen, tmp_path: Path) -> None:
    name = "evil\u202e\x1b[31m[red].jsonl"
    (tmp_path / name).write_text(CHAT % "\\u001b[2J worm")
    said = screen("estimate", name, "--baseline", "last-prompt", "--traits", "evil")
    assert said.code == 0, said.err
    assert not {"\x1b", "\u202e"} & set(said.out + said.err)
    assert "1 row, chat" in said.out.replace("\n          ", " ")
    assert max(map(len, said.out.splitlines())) <= 80
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_json_is_one_document_and_the_cache_is_left_alone(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(CHAT % "Yes." + "{broken\n")
    said = screen("estimate", "one.jsonl", "--traits", "evil", "--max-new-tokens", "4", "--json", "-q")
    found = json.loads(said.out)
    assert said.err == ""
    assert (found["rows"], found["skipped"]) == (2, {"bad_json": 1})
    assert found["baseline"] | {"answer_tokens": 0} == {
        "kind": "generate", "certain": True, "answers": 1, "kept": 0, "answer_tokens": 0
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["one.jsonl"]


def test_a_run_since_another_has_no_estimate(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(CHAT % "Yes.")
    with pytest.raises(UsageError, match="not of one --since another"):
        screen_library.estimate(tmp_path / "one.jsonl", since=tmp_path / "old.screen")
