"""`screen filter`: kept rows byte for byte, dropped rows with reasons, the input untouched."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from screen.errors import UsageError
from screen.select import selection, source
from screen.store.scan import Scan
from tests.cli import fake_run
from tests.cli.conftest import Screen


def test_kept_rows_are_copied_byte_for_byte(screen: Screen, run: Path, tmp_path: Path) -> None:
    before = (tmp_path / "chats.jsonl").read_bytes()
    said = screen("filter", "chats.screen", "--drop", "evil>run.p70 or kind = 0", "-o", "clean.jsonl")
    assert said.out == (
        "8 rows: 5 kept, 3 dropped (37.5 %)\n"
        "  evil > run.p70: 2 samples\n"
        "  kind = 0: 1 sample\n"
        "1 sample without kind: never matched by it\n"
        "1 row that could not be scored: kept\n"
        "written to clean.jsonl\n"
    )
    lines = before.splitlines(keepends=True)
    assert (tmp_path / "clean.jsonl").read_bytes() == b"".join(lines[i] for i in (1, 2, 3, 4, 5))
    assert (tmp_path / "chats.jsonl").read_bytes() == before


def test_a_percentile_of_the_reference_is_what_at_flags_by(screen: Screen, run: Path) -> None:
    screen("filter", "chats.screen", "--drop", "evil > reference.p95", "-o", "c.jsonl", "--dropped", "bad.jsonl")
    reasons = [json.loads(line)["reasons"][0] for line in Path("bad.jsonl.reasons.jsonl").read_text().splitlines()]
    assert [(r["test"], r["value"], r["limit"]) for r in reasons] == [
        ("evil > reference.p95", value, 4.5) for value in (5.0, 6.0, 7.0)
    ]


@pytest.mark.parametrize(
    ("drop", "why"),
    [
        (
            "kind > reference.p99",
            "chats.screen has no reference for 'kind'\nnext: take the run's own, run.p99",
        ),
        ("evil_max > reference.p99", "chats.screen has no reference for 'evil_max'"),
        ("evil > reference.p98", "the reference has no p98\nnext: it has p01, p05, p25, p50, p75, p95, p99"),
    ],
)
def test_a_percentile_that_no_reference_has(drop: str, why: str, screen: Screen, run: Path) -> None:
    said = screen("filter", "chats.screen", "--drop", drop, "--dry-run")
    assert said.code == 2
    assert f"error: --drop: {drop}: {why}" in said.err


def test_dropped_rows_come_with_reasons(screen: Screen, run: Path) -> None:
    said = screen(
        "filter", "chats.screen", "--drop", "flagged or evil < 1 and not base_refused", "-o", "clean.jsonl",
        "--dropped", "bad.jsonl", "--drop-skipped", "--json",
    )  # fmt: skip
    assert [json.loads(line) for line in Path("bad.jsonl.reasons.jsonl").read_text().splitlines()] == [
        {
            "row": 0,
            "id": "c0",
            "reasons": [{"test": "evil < 1", "value": 0.0, "limit": 1.0}, {"test": "not base_refused", "value": False}],
        },
        {"row": 3, "id": None, "reasons": [{"test": "not scored"}]},
        {"row": 6, "id": "c6", "reasons": [{"test": "evil > 5.5", "value": 6.0, "limit": 5.5}]},
        {"row": 7, "id": "c7", "reasons": [{"test": "evil > 5.5", "value": 7.0, "limit": 5.5}]},
    ]
    counts = json.loads(said.out)
    assert (counts["rows"], counts["kept"], counts["dropped"], counts["matching"]) == (8, 4, 4, 3)


def test_a_pair_is_dropped_when_either_side_matches(screen: Screen, tmp_path: Path) -> None:
    run = fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), pairs=True)
    screen("filter", str(run), "--drop", "evil <= -6 or evil = 4", "-o", "c.jsonl", "--dropped", "bad.jsonl")
    told = [json.loads(line) for line in Path("bad.jsonl.reasons.jsonl").read_text().splitlines()]
    assert [(t["row"], t["reasons"][0]["variant"]) for t in told] == [(4, "chosen"), (6, "rejected"), (7, "rejected")]


def test_a_dry_run_writes_nothing(screen: Screen, run: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    said = screen("filter", str(run), "--drop", "evil > 99", "--dry-run")
    assert said.out.startswith("8 rows: 8 kept, 0 dropped (0.0 %)\n")
    assert said.out.endswith("nothing was written (--dry-run)\n")
    assert sorted(tmp_path.iterdir()) == before


def test_a_dataset_that_changed_is_refused(screen: Screen, run: Path, tmp_path: Path) -> None:
    with open(tmp_path / "chats.jsonl", "a") as file:
        file.write("{}\n")
    said = screen("filter", "chats.screen", "--drop", "evil>4", "-o", "clean.jsonl")
    assert said == (
        2,
        "",
        f"error: {tmp_path}/chats.jsonl has changed since the run chats.screen; nothing was written\n"
        "next: restore it, name the file that was scored with --dataset, or run the scan again\n",
    )
    assert not Path("clean.jsonl").exists()


def test_a_dataset_that_moved_is_named(screen: Screen, run: Path, tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").rename(tmp_path / "moved.jsonl")
    said = screen("filter", str(run), "--drop", "evil>4", "-o", "clean.jsonl", "--dataset", "moved.jsonl")
    assert (said.code, len(Path("clean.jsonl").read_text().splitlines())) == (0, 5)


def test_a_dataset_that_is_not_here(screen: Screen, run: Path, tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").rename(tmp_path / "moved.jsonl")
    assert screen("filter", str(run), "--drop", "evil>4", "--dry-run").err == (
        f"error: the dataset {tmp_path}/chats.jsonl is not here\n"
        "next: go where the run was started, or say where it is with --dataset\n"
    )


def test_a_folder_that_was_moved_whole(screen: Screen, run: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("chats.jsonl", "chats.screen"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    assert screen("filter", "elsewhere/chats.screen", "--drop", "evil>4", "--dry-run").code == 0


def lines(name: str) -> list[bytes]:
    return Path(name).read_bytes().splitlines(keepends=True)


def test_dropped_rows_are_copied_byte_for_byte_too(screen: Screen, run: Path) -> None:
    said = screen("filter", "chats.screen", "--drop", "evil > 5", "-o", "clean.jsonl", "--dropped", "bad.jsonl")
    assert said.out.endswith("written to clean.jsonl\ndropped rows in bad.jsonl, reasons in bad.jsonl.reasons.jsonl\n")
    rows = lines("chats.jsonl")
    assert (lines("clean.jsonl"), lines("bad.jsonl")) == (rows[:6], rows[6:])


EXPRESSIONS = ["evil > 4", "not evil > 4", "kind <= 0", "group = 'forum'", "flagged or answer contains 'NUMBER 2'"]


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("pairs", [False, True])
def test_keep_copies_what_drop_leaves_out(expression: str, pairs: bool, screen: Screen, tmp_path: Path) -> None:
    run = fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), pairs=pairs)
    screen("filter", str(run), "--keep", expression, "-o", "kept.jsonl", "--dropped", "rest.jsonl")
    screen("filter", str(run), "--drop", expression, "-o", "clean.jsonl", "--dropped", "bad.jsonl")
    assert (lines("kept.jsonl"), lines("rest.jsonl")) == (lines("bad.jsonl"), lines("clean.jsonl"))
    reasons = [json.loads(line) for line in lines("rest.jsonl.reasons.jsonl")]
    assert {r["reasons"][0]["test"] for r in reasons} <= {"does not match", "not scored"}
    assert len(reasons) == len(lines("rest.jsonl"))


def kept(screen: Screen, expression: str, *more: str) -> list[int]:
    said = screen("filter", "chats.screen", "--keep", expression, "-o", "k.jsonl", "--force", *more)
    assert said.code == 0
    rows = lines("chats.jsonl")
    return [rows.index(line) for line in lines("k.jsonl")]


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("group = 'forum'", [4, 5, 6, 7]),
        ("group != \"forum\" and id != 'c0'", [1, 2]),
        ("answer contains 'NUMBER 4'", [4]),
        ("answer contains '[RED]'", [6]),  # the text as it is, not as it is shown
        ("prompt contains '5?' or base_answer contains 'can''t help'", [5, 7]),
        ("file contains 'chats' and line >= 7", [6, 7]),
        ("variant = 'chosen'", []),
        ("not variant = 'chosen'", []),  # a null matches neither way
        ("offset >= 0 and special_text = 1", [1]),
    ],
)
def test_any_column_of_samples(expression: str, rows: list[int], screen: Screen, run: Path) -> None:
    assert kept(screen, expression) == rows


def test_rows_without_a_score_are_kept_where_asked_for(screen: Screen, run: Path) -> None:
    assert kept(screen, "id = 'c1'", "--keep-skipped") == [1, 3]


@pytest.mark.parametrize(
    ("expression", "note"),
    [
        ("group = 'form'", "note: group = 'form': no sample has this group; did you mean 'forum'?\n"),
        ("group != 'x'", "note: group != 'x': no sample has this group; it is one of 'docs', 'forum'\n"),
        ("id = 'zz'", "note: id = 'zz': no sample has this id\n"),
        ("group = 'forum' or group contains 'x'", ""),
    ],
)
def test_a_text_that_no_row_has_is_told(expression: str, note: str, screen: Screen, run: Path) -> None:
    assert screen("filter", "chats.screen", "--drop", expression, "--dry-run").err == note


@pytest.mark.parametrize("args", [[], ["--drop", "evil>1", "--keep", "evil>1"]])
def test_drop_or_keep(args: list[str], screen: Screen, run: Path) -> None:
    assert screen("filter", "chats.screen", *args, "--dry-run").err == (
        "error: give --drop or --keep, one of the two\nnext: screen filter RUN --drop flagged -o clean.jsonl\n"
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-o", "nowhere/c.jsonl"], "nowhere/c.jsonl: cannot be written: no folder there that can be written to"),
        (["-o", "chats.screen", "--force"], "chats.screen: is a folder"),
        (["-o", "c.jsonl", "--dropped", "c.jsonl"], "c.jsonl: -o and --dropped name the same file"),
        (["-o", "c.jsonl", "--dropped", "d.csv"], "d.csv: rows are copied as jsonl"),
        (["-o", "c.csv", "--dropped", "d.jsonl"], "c.csv: rows are copied as jsonl"),
    ],
)
def test_a_file_that_cannot_be_written(args: list[str], message: str, screen: Screen, run: Path) -> None:
    said = screen("filter", "chats.screen", "--drop", "evil>1", *args)
    assert (said.code, said.err.splitlines()[0]) == (2, f"error: {message}")
    assert sorted(p.name for p in Path().iterdir()) == ["chats.jsonl", "chats.screen"]


@pytest.mark.parametrize("option", ["-o", "--dropped"])
def test_the_input_is_never_written_to(option: str, screen: Screen, run: Path, tmp_path: Path) -> None:
    before = (tmp_path / "chats.jsonl").read_bytes()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "chats.jsonl")
    names = {"-o": "clean.jsonl", "--dropped": "bad.jsonl"} | {option: "link.jsonl"}
    said = screen("filter", str(run), "--drop", "evil>4", "--force", *(w for pair in names.items() for w in pair))
    assert (said.code, said.err) == (
        2, "error: link.jsonl: this is the input, which is never written to\nnext: choose another name\n",
    )  # fmt: skip
    assert (tmp_path / "chats.jsonl").read_bytes() == before


def test_a_file_that_exists_stays(screen: Screen, run: Path) -> None:
    Path("clean.jsonl").write_text("mine")
    said = screen("filter", str(run), "--drop", "evil>4", "-o", "clean.jsonl")
    assert said.err == ("error: clean.jsonl exists already\nnext: choose another name, or add --force to replace it\n")
    assert Path("clean.jsonl").read_text() == "mine"


@pytest.mark.parametrize(("rest", "kept"), [("keep", 6), ("drop", 2)])
def test_rows_that_the_run_did_not_reach(rest: str, kept: int, screen: Screen, tmp_path: Path) -> None:
    fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), shards=1)
    args = ("filter", "chats.screen", "--drop", "evil>0.5", "-o", "clean.jsonl")
    assert screen(*args).err == (
        "error: chats.screen holds scores for 4 of the dataset's 8 rows\n"
        "next: finish the run, or say what becomes of the others: --rest keep or --rest drop\n"
    )
    assert screen(*args, "--rest", rest).code == 0
    assert len(Path("clean.jsonl").read_text().splitlines()) == kept


def test_a_score_that_no_row_has(screen: Screen, tmp_path: Path) -> None:
    fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), baseline="none")
    assert screen("filter", "chats.screen", "--drop", "evil>4", "--dry-run").err == (
        "error: --drop: no sample of chats.screen has the score 'evil', so nothing can match it\n"
        "next: the run has no baseline to subtract; use evil_projection, or run again with another --baseline\n"
    )


def test_nowhere_to_write(screen: Screen, run: Path) -> None:
    assert screen("filter", str(run), "--drop", "flagged").err == (
        "error: nowhere to write\nnext: name the new file with -o, or count only with --dry-run\n"
    )


def test_a_run_with_a_flipped_bit_decides_nothing(screen: Screen, run: Path) -> None:
    file = run / "scores" / "000000.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    said = screen("filter", "chats.screen", "--drop", "evil>5", "-o", "clean.jsonl")
    assert (said.code, said.out) == (2, "")
    assert "scores/000000.parquet does not have the bytes that were published" in said.err
    assert not Path("clean.jsonl").exists()


def test_a_score_that_is_no_number_counts_as_missing() -> None:
    assert selection._empty(pa.chunked_array([[1.0, None], [float("nan")]])) == 2
    assert selection._empty(pa.chunked_array([[1, None]])) == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_of_standard_input_wants_it_again(terminal: bool, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", type("In", (), {"isatty": lambda self: terminal})())
    if terminal:
        with pytest.raises(UsageError, match="the run was of standard input"):
            source.found(Scan.open(run), "-")
    else:
        assert source.found(Scan.open(run), "-") == "-"


def test_labels_decide_whatever_the_expression_says(screen: Screen, run: Path) -> None:
    screen("label", "chats.screen", "0", "3", "drop", "--note", "rude", "--trait", "evil")
    screen("label", "chats.screen", "7", "keep")
    screen("label", "chats.screen", "6", "1", "unsure")
    said = screen("filter", "chats.screen", "--drop", "flagged", "--labels", "-o", "c.jsonl", "--dropped", "bad.jsonl")
    assert "labels: 1 keep, 2 drop, 2 unsure; they change what becomes of 3 rows\n" in said.out
    rows = lines("chats.jsonl")
    assert [rows.index(line) for line in lines("bad.jsonl")] == [0, 3, 6]
    label = {"test": "label = 'drop'", "trait": "evil", "note": "rude"}
    assert [json.loads(line) for line in lines("bad.jsonl.reasons.jsonl")] == [
        {"row": 0, "id": "c0", "reasons": [label]},
        {"row": 3, "id": None, "reasons": [label]},
        {"row": 6, "id": "c6", "reasons": [{"test": "evil > 5.5", "value": 6.0, "limit": 5.5}]},
    ]


@pytest.mark.parametrize(
    ("args", "dropped"),
    [
        (["--labels"], [0]),
        (["--labels", "--unsure", "drop"], [0, 1]),
        (["--drop", "evil < 2", "--labels", "--unsure", "keep"], [0]),
        (["--keep", "evil < 2", "--labels", "--keep-skipped"], [0, 2, 4, 5, 6]),
        (["--drop", "label = 'unsure' or label = 'keep'"], [1, 7]),
        (["--drop", "not label = 'drop'"], [1, 2, 4, 5, 6, 7]),
        (["--drop", "flagged and label = 'none'"], [6]),
    ],
)
def test_labels_alone_with_an_expression_and_in_one(
    args: list[str], dropped: list[int], screen: Screen, run: Path
) -> None:
    for row, word in (("0", "drop"), ("7", "keep"), ("1", "unsure")):
        screen("label", "chats.screen", row, word)
    said = screen("filter", "chats.screen", *args, "-o", "c.jsonl", "--dropped", "bad.jsonl", "--json")
    rows = lines("chats.jsonl")
    assert [rows.index(line) for line in lines("bad.jsonl")] == dropped
    assert json.loads(said.out)["kept"] == 8 - len(dropped)


def test_unsure_wants_labels(screen: Screen, run: Path) -> None:
    said = screen("filter", "chats.screen", "--drop", "flagged", "--unsure", "drop", "--dry-run")
    assert said.err.startswith("error: --unsure goes with --labels\n")
