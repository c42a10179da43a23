"""`screen sample` and what its labels say of the cut, on the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli import fake_run
from tests.cli.conftest import Screen


def test_rows_are_drawn_filled_in_and_give_the_precision(screen: Screen, run: Path) -> None:
    said = screen("sample", "chats.screen", "-n", "7", "-o", "look.jsonl")
    assert said.out.startswith(
        "7 rows to label for evil, drawn around +5.5\n1 row without a score of evil: never drawn\n"
    )
    assert "  screen label chats.screen --from look.jsonl\n" in said.out
    lines = [json.loads(line) for line in Path("look.jsonl").read_text().splitlines()]
    assert [(line["row"], line["label"], line["stratum"], line["probability"]) for line in lines] == [
        (row, "", "above" if row > 5 else "below", 1.0) for row in (0, 1, 2, 4, 5, 6, 7)
    ]
    assert lines[5]["answer"] == fake_run.HOSTILE
    assert screen("label", "chats.screen", "--from", "look.jsonl").out.splitlines()[:2] == [
        "7 rows of the file without a label: left as they are", "no row is labelled",
    ]  # fmt: skip
    filled = [{**line, "label": "drop" if line["row"] == 7 else "keep"} for line in lines]
    Path("look.jsonl").write_text("".join(json.dumps(line) + "\n" for line in filled))
    told = screen("label", "chats.screen", "--from", "look.jsonl").out
    sentences = (
        "of 2 rows above +5.5 on evil, 50.0 % (50.0 to 50.0) are to be dropped: 2 of 2\ndrawn rows labelled\n"
        "of 5 rows below or at it, 0.0 % (0.0 to 0.0) are to be dropped: 5 of 5 drawn\nrows labelled\n"
    )
    assert told.endswith(sentences)
    assert sentences in screen("cut", "chats.screen").out
    assert "labels    of 2 rows above +5.5 on evil, 50.0 %" in screen("status", "chats.screen").out
    assert (
        screen("sample", "chats.screen").out
        == "nothing is left to label for evil: every row with a score has a label\n"
    )


def test_csv_is_read_back_as_labels(screen: Screen, run: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(screen("sample", "chats.screen", "-n", "2", "--csv").out)))
    assert [row["label"] for row in rows] == ["", ""]
    with open("look.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "label": "unsure"} for row in rows)
    assert "2 rows labelled: 0 keep, 0 drop, 2 unsure" in screen("label", "chats.screen", "--from", "look.csv").out


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--by", "evli"], "the run has no trait 'evli'"),
        (["--by", "kind", "--cut", "nan"], "--cut is a number, not nan"),
        (["-o", "chats.jsonl"], "chats.jsonl exists already"),
        (["-o", "nowhere/look.jsonl"], "nowhere/look.jsonl cannot be written: there is no folder nowhere"),
        (["-n", "0"], "Invalid value for '-n'"),
    ],
)
def test_what_cannot_be_drawn(args: list[str], why: str, screen: Screen, run: Path) -> None:
    said = screen("sample", "chats.screen", *args)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {why}")
    assert not (run / "labels.jsonl").exists()


def test_a_run_that_is_not_finished(screen: Screen, tmp_path: Path) -> None:
    fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), shards=1, finish=False)
    assert "error: chats.screen is not finished: it holds 4 of 8 rows" in screen("sample", "chats.screen").err
    assert screen("label", "chats.screen", "1", "drop").code == 0
