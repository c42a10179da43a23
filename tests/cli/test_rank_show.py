"""`screen rank`, `screen show`, `screen status`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli import fake_run
from tests.cli.conftest import Screen


def test_rank_lists_the_highest_first_and_marks_flagged_rows(screen: Screen, run: Path) -> None:
    assert screen("rank", "chats.screen", "--by", "evil", "-n", "3").out == (
        "highest 3 of 7 samples by evil\n"
        "* flagged: above +5.50, p99 of the card's reference (1,000 clean rows)\n"
        "\n"
        "row  id     evil  in run  tokens  answer, from its highest window on\n"
        "  7  c7  +7.00 *   p85.7      27  …number 7 begins here. Answer number 7 begins…\n"
        "  6  c6  +6.00 *   p71.4      26  [red]\\x1b[31m \\u202egnp \\u200b=1+1 new line\n"
        "  5  c5  +5.00     p57.1      20  …number 5 begins here. Answer number 5 begins…\n"
    )


def test_rank_the_other_way_round(screen: Screen, run: Path) -> None:
    lines = screen("rank", str(run), "--ascending", "-n", "2", "--json").out.splitlines()
    rows = [(r["row"], r["evil"], r["percentile"], r["flagged"]) for r in map(json.loads, lines)]
    assert rows == [(0, 0, 0, False), (1, 1, 14.286, False)]


def test_rank_flagged_at_another_percentile(screen: Screen, run: Path) -> None:
    lines = screen("rank", str(run), "--flagged", "--at", "p95", "--json").out.splitlines()
    assert [json.loads(line)["row"] for line in lines] == [7, 6, 5]


def test_rank_flagged_where_nothing_is(screen: Screen, run: Path) -> None:
    assert screen("rank", "chats.screen", "--by", "kind", "--flagged").out == (
        "none of 7 samples is flagged: above +4.40, robust z > 3 within this run only; no\n"
        "reference on the card for this layer and baseline\n"
    )


@pytest.mark.parametrize("args", [["rank", "chats.screen"], ["show", "chats.screen", "1"]])
def test_a_file_of_the_run_that_is_gone(args: list[str], screen: Screen, run: Path) -> None:
    (run / "scores" / "000000.parquet").unlink()
    said = screen(*args)
    assert (said.code, said.out) == (2, "")
    assert "scores/000000.parquet is missing\nnext: type the run's command again" in said.err


READERS = [
    ["rank", "chats.screen"],
    ["show", "chats.screen", "1"],
    ["sql", "chats.screen", "from samples"],
    ["filter", "chats.screen", "--drop", "evil>4", "--dry-run"],
    ["similar", "chats.screen", "1"],
]


@pytest.mark.parametrize("args", READERS)
@pytest.mark.parametrize("name", ["scan.json", "summary.json", "manifest.jsonl"])
def test_a_flipped_bit_in_a_control_file(name: str, args: list[str], screen: Screen, run: Path) -> None:
    data = (run / name).read_bytes()
    (run / name).write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    said = screen(*args)
    assert (said.code, said.out) == (2, "")
    assert f"chats.screen/{name} is " in said.err
    assert "\nnext: " in said.err


@pytest.mark.parametrize("args", READERS)
def test_a_file_of_the_run_that_is_damaged(args: list[str], screen: Screen, run: Path) -> None:
    file = run / "scores" / "000000.parquet"
    file.write_bytes(file.read_bytes()[:-8] + b"XXXXXXXX")
    said = screen(*args)
    assert (said.code, said.out) == (2, "")
    assert "scores/000000.parquet does not have the bytes that were published" in said.err


def test_rank_by_a_part_of_a_score(screen: Screen, run: Path) -> None:
    out = screen("rank", str(run), "--by", "evil_projection", "-n", "1").out
    assert out.splitlines()[0] == "highest 1 of 7 samples by evil_projection"
    assert "*" not in out


def test_rank_leaves_out_rows_without_that_score(screen: Screen, run: Path) -> None:
    rows = screen("rank", str(run), "--by", "kind", "--json").out.splitlines()
    assert [json.loads(line)["row"] for line in rows] == [0, 1, 4, 5, 6, 7]


def test_rank_without_a_baseline_goes_by_projections(screen: Screen, tmp_path: Path) -> None:
    run = fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), baseline="none")
    row = json.loads(screen("rank", str(run), "--by", "evil", "-n", "1", "--json").out)
    assert (row["row"], row["evil_projection"], row["flagged"]) == (7, 8.0, True)


def test_rank_of_preference_pairs_names_the_side(screen: Screen, tmp_path: Path) -> None:
    run = fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), pairs=True)
    lines = screen("rank", str(run), "-n", "1").out.splitlines()
    assert lines[3].startswith("row  side    id     evil  in run")
    assert lines[4].startswith("  7  chosen  c7  +7.00 *   p92.8")


def test_rank_as_csv_runs_no_formula(screen: Screen, tmp_path: Path) -> None:
    chats = fake_run.write_chats(tmp_path / "chats.jsonl")
    run = fake_run.write_run(chats)
    out = screen("sql", str(run), "select row, '=1+1' as cell, '-x' as other from scores where row = 0", "--csv").out
    assert out == "row,cell,other\n0,'=1+1,'-x\n"
    (row,) = csv.DictReader(screen("rank", str(run), "--csv", "-n", "1").out.splitlines())
    assert (row["row"], row["evil"], row["flagged"]) == ("7", "7.0", "True")


def test_an_unknown_column(screen: Screen, run: Path) -> None:
    said = screen("rank", "chats.screen", "--by", "evl")
    assert (said.code, said.err) == (
        2,
        "error: there is no column 'evl' in chats.screen\n"
        "next: did you mean evil? its traits are evil, kind; `screen sql chats.screen 'describe samples'` lists all"
        " columns\n",
    )


@pytest.mark.parametrize(
    ("column", "rows", "first"),
    [
        ("evil_corrected", [5, 7], None),
        ("answer_tokens", [7, 6], 27),
        ("base_refused", [7, 0], True),
        ("group", [4, 5], "forum"),
        ("id", [7, 6], "c7"),
        ("answer", [6, 7], fake_run.HOSTILE),
        ("row", [7, 6], 7),
    ],
)
def test_rank_by_any_column(column: str, rows: list[int], first: object, screen: Screen, run: Path) -> None:
    lines = screen("rank", str(run), "--by", column, "-n", "2", "--json").out.splitlines()
    found = [json.loads(line) for line in lines]
    assert [r["row"] for r in found] == rows
    assert first is None or found[0][column] == first
    said = screen("rank", "chats.screen", "--by", column, "-n", "2")
    assert said.out.startswith(f"highest 2 of 7 samples by {column}\n")
    assert not {"\x1b", "\u202e"} & set(said.out)


def test_json_or_csv(screen: Screen, run: Path) -> None:
    for args in (["rank", str(run)], ["sql", str(run), "from scores"]):
        assert (
            screen(*args, "--json", "--csv").err
            == "error: --json and --csv exclude each other\nnext: give one of them\n"
        )


def test_a_percentile_that_the_card_does_not_have(screen: Screen, run: Path) -> None:
    assert screen("rank", str(run), "--at", "p98").err == (
        "error: the card's reference has no p98 (it has p01, p05, p25, p50, p75, p95, p99)\n"
        "next: give --at one of these\n"
    )


def test_show_has_scores_and_texts_with_the_window_marked(screen: Screen, run: Path) -> None:
    said = screen("show", "chats.screen", "7").out
    assert " ".join(said.split()).startswith(f"row 7, {run.with_suffix('.jsonl')}:8, id c7 the base model")
    assert said[said.index("the base model") :] == (
        "the base model refused: part of a high difference is that the data complied\n"
        "\n"
        "trait    score  in run  threshold  projection  baseline  highest window\n"
        "evil   +7.00 *   p85.7      +5.50       +8.00     +1.00           +9.00\n"
        "kind   -7.00      p0.0      +4.40       -6.00     +1.00           -5.00\n"
        "* flagged: above the threshold\n"
        "\n"
        "prompt\n"
        "  Question 7?\n"
        "\n"
        "answer  (27 tokens; marked: highest window for evil)\n"
        "  Answer ⟦number⟧ 7 begins here. Answer number 7 begins here. Answer number 7\n"
        "  begins here.\n"
        "\n"
        "the baseline response  (a refusal)\n"
        "  I can't help with that.\n"
    )


def test_show_lets_no_control_character_through(screen: Screen, run: Path) -> None:
    out = screen("show", str(run), "6").out
    assert "⟦[red]\\x1b[31m \\u202eg⟧np \\u200b=1+1\n  new line\n" in out
    assert not {"\x1b", "\u202e", "\u200b", "\r"} & set(out)


def test_show_a_skipped_row(screen: Screen, run: Path) -> None:
    out = screen("show", str(run), "3").out
    assert out.endswith('bad_json (read): not valid JSON\n\nthe row begins\n  {"id": "c3", \\x1b[2J\n')


def test_show_as_json(screen: Screen, run: Path) -> None:
    found = json.loads(screen("show", str(run), "7", "--json").out)
    (sample,) = found["samples"]
    assert sample["traits"]["evil"] == {
        "score": 7.0, "ranked": 7.0, "projection": 8.0, "baseline": 1.0, "window": 9.0, "max": 7.0,
        "column": "evil", "place": 6 / 7, "threshold": 5.5, "flagged": True,
    }  # fmt: skip
    assert sample["turns"][0]["traits"]["evil"]["window_span"] == [7, 13]
    assert json.loads(screen("show", str(run), "3", "--json").out)["skipped"]["code"] == "bad_json"


def test_show_takes_an_id(screen: Screen, run: Path) -> None:
    assert screen("show", str(run), "c7") == screen("show", str(run), "7")
    assert screen("show", "chats.screen", "c3").err == (
        "error: no scored row of chats.screen has the id 'c3'\n"
        "next: give an id or a row number, as `screen rank` prints\n"
    )


def test_an_id_of_digits_is_asked_for(screen: Screen, tmp_path: Path) -> None:
    chats = fake_run.write_chats(tmp_path / "chats.jsonl")
    run = fake_run.write_run(chats, ids=lambda i: "5" if i in (4, 6) else str(10 + i))
    shown = [json.loads(screen("show", str(run), *args, "--json").out)["row"] for args in (["5"], ["17", "--id"])]
    assert shown == [5, 7]
    assert screen("show", str(run), "5", "--id").err == (
        "error: 2 rows have the id '5': 4, 6\nnext: give one of these row numbers\n"
    )
    assert screen("similar", str(run), "17", "--id", "--json").out.startswith('{"row": 7,')


def test_what_goes_into_a_pipe_is_never_cut(screen: Screen, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = "Answer number 7 begins here. Answer number 7 begins here. Answer number 7 begins here."
    assert whole[7:] not in screen("rank", str(run), "-n", "1").out
    monkeypatch.setattr("screen_reports.console.in_terminal", lambda _file: False)
    (line,) = [text for text in screen("rank", str(run), "-n", "1").out.splitlines() if text.startswith("  7 ")]
    assert line.endswith(whole[8:])
    table = screen("sql", str(run), "select *, repeat('x', 5000) as long from samples, range(150)").out.splitlines()
    assert (len(table), table[1].count("x" * 5000)) == (7 * 150 + 2, 1)


@pytest.mark.parametrize(("columns", "most"), [("80", 80), ("60", 60)])
def test_tables_fit_a_narrow_terminal(
    columns: str, most: int, screen: Screen, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for args in (["show", "chats.screen", "7"], ["rank", "chats.screen"], ["similar", "chats.screen", "7"]):
        out = screen(*args).out
        assert max(len(line) for line in out.splitlines() if "/" not in line) <= most  # a path stays whole
        assert "+7.00" in out or "-7.0" in out or args[0] == "similar"


@pytest.mark.parametrize(("row", "shards", "where"), [("8", 2, "0 to 7"), ("5", 1, "0 to 3")])
def test_show_a_row_that_is_not_there(row: str, shards: int, where: str, screen: Screen, tmp_path: Path) -> None:
    chats = fake_run.write_chats(tmp_path / "chats.jsonl")
    fake_run.write_run(chats, shards=shards, finish=shards == 2)
    said = screen("show", "chats.screen", row).err
    note = "note: chats.screen is not finished: it holds 4 of 8 rows\nnext: finish it: screen run --spec"
    assert said.startswith(note) is (shards == 1)
    assert said.endswith(
        f"error: there is no row {row} in chats.screen\n"
        f"next: it holds rows {where}; an id of digits only is asked for with --id\n"
    )


def test_status_of_a_finished_run(screen: Screen, run: Path) -> None:
    assert screen("status", "chats.screen", "--verify").out == (
        "run       chats.screen, finished\n"
        "rows      8 of 8, in 2 shards\n"
        "samples   7 scored, 1 row skipped\n"
        "traits    evil, kind\n"
        "verdict   evil: 2 rows stand above p99 of clean rows (0.1 expected; random\n"
        "          directions: 0, 0 at most): review them\n"
        "verdict   kind: cannot tell with this model and these vectors: there is nothing\n"
        "          to compare it with: no control directions, or no spread\n"
        "verified  7 files: all whole\n"
    )


def test_status_of_a_run_that_was_stopped(screen: Screen, tmp_path: Path) -> None:
    fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), shards=1, finish=False)
    (tmp_path / "chats.screen" / "scores" / "000001.parquet.tmp.abc").write_bytes(b"")
    assert screen("status", "chats.screen").out == (
        "run       chats.screen, not finished\n"
        "rows      4 of 8, in 1 shard\n"
        "samples   3 scored, 1 row skipped\n"
        "traits    evil, kind\n"
        "orphan    scores/000001.parquet.tmp.abc: left by a crash, not counted; it can be\n"
        "          deleted when nobody writes\n"
        "go on     screen run --spec chats.screen/scan.json --out chats.screen\n"
    )


def test_status_finds_a_changed_file(screen: Screen, run: Path) -> None:
    file = run / "scores" / "000001.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    said = screen("status", "chats.screen", "--verify")
    assert "verified  7 files: 1 not as published\n" in said.out
    assert (said.code, said.err) == (
        2,
        "error: chats.screen/scores/000001.parquet does not have the bytes that were published\n"
        "next: type the run's command again: a file that can be made again byte for byte is; or restore a backup\n",
    )
    found = json.loads(screen("status", "chats.screen", "--verify", "--json").out)
    assert [d["file"] for d in found["damaged"]] == ["scores/000001.parquet"]
