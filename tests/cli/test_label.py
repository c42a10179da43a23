"""`screen label`: labels on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Screen

BY_HAND = "{} labelled by hand: no random sample, so no precision; draw with `screen\nsample`\n"


def test_rows_are_labelled_counted_shown_and_taken_back(screen: Screen, run: Path) -> None:
    assert screen("label", "chats.screen", "5", "c6", "DROP", "--note", "mean", "--trait", "evil").out == (
        "row 5 for evil: drop\nrow 6 for evil: drop\n2 rows labelled: 0 keep, 2 drop, 0 unsure\n"
        + BY_HAND.format("2 rows")
    )
    assert screen("show", "chats.screen", "5").out.startswith("labelled drop for evil: mean\nrow 5,")
    shown = json.loads(screen("show", "chats.screen", "3", "--json").out)
    assert shown["labels"] == []
    assert screen("label", "chats.screen", "5", "--remove", "--trait", "evil").out == (
        "row 5 for evil: label taken back\n1 row labelled: 0 keep, 1 drop, 0 unsure\n" + BY_HAND.format("1 row")
    )
    assert screen("label", "chats.screen").out.startswith("1 row labelled: 0 keep, 1 drop, 0 unsure\n")


def test_a_list_goes_to_another_run_by_csv(screen: Screen, run: Path) -> None:
    screen("label", "chats.screen", "6", "drop", "--note", "=SUM(A1) \x1b[2J")
    said = screen("label", "chats.screen", "--list", "--csv")
    assert said.out.startswith("row,label,trait,note,at\n6,drop,,'=SUM(A1) \\x1b[2J,")
    Path("labels.csv").write_text(said.out)
    screen("label", "chats.screen", "6", "--remove")
    assert screen("label", "chats.screen", "--from", "labels.csv").out.startswith("row 6: drop\n")
    listed = json.loads(screen("label", "chats.screen", "--list", "--json").out)["labels"]
    assert [(label["row"], label["note"]) for label in listed] == [(6, "=SUM(A1) \\x1b[2J")]
    assert "=SUM(A1) \\x1b[2J" in screen("label", "chats.screen", "--list").out


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["9", "drop"], "there is no row 9 in chats.screen\nnext: it holds rows 0 to 7;"),
        (["1", "drp"], "'drp' is no label\nnext: the label comes last, one of keep, drop, unsure"),
        (["drop"], "no row to label drop"),
        (["--remove"], "no rows were named"),
        (["--csv"], "--csv goes with --list"),
        (["1", "drop", "--from", "x.jsonl"], "--from takes rows, labels and notes from its file"),
        (["--from", "x.jsonl"], "x.jsonl cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_told(args: list[str], why: str, screen: Screen, run: Path) -> None:
    said = screen("label", "chats.screen", *args)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {why}")
