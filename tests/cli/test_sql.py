"""`screen sql`: one SELECT, or a prompt."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.cli import fake_run
from tests.cli.conftest import Screen


def test_a_table_for_people(screen: Screen, run: Path) -> None:
    assert screen("sql", str(run), "select row, evil, base_refused, null as x from scores where row > 5").out == (
        "row  evil  base_refused  x\n  6     6  false         -\n  7     7  true          -\n(2 rows)\n"
    )


def test_rows_that_do_not_fit_the_line_become_blocks(screen: Screen, run: Path) -> None:
    lines = screen("sql", str(run), "select * from samples where row = 7").out.splitlines()
    assert lines[0] == "row                  7"
    assert "base_answer          I can't help with that." in lines


def test_texts_share_the_line(screen: Screen, run: Path) -> None:
    out = screen("sql", str(run), "select row, prompt, answer from samples where row = 7").out
    assert out.splitlines()[1].startswith("  7  Question 7?  Answer number 7 begins here. Answer")
    assert max(len(line) for line in out.splitlines()) <= 80


def test_json_and_csv(screen: Screen, run: Path) -> None:
    statement = "select row, flags from flagged order by row"
    assert [json.loads(line) for line in screen("sql", str(run), statement, "--json").out.splitlines()] == [
        {"row": 6, "flags": ["evil"]},
        {"row": 7, "flags": ["evil"]},
    ]
    assert screen("sql", str(run), statement, "--csv").out == 'row,flags\n6,"[""evil""]"\n7,"[""evil""]"\n'


def test_nothing_raw_from_the_data(screen: Screen, run: Path) -> None:
    for form in ("--table", "--json", "--csv"):
        out = screen("sql", str(run), "select text from turns where row = 6", form).out
        assert "[red]" in out
        assert not {"\x1b", "\u202e", "\u200b", "\r"} & set(out)


def test_long_tables_are_cut_and_say_so(screen: Screen, run: Path) -> None:
    said = screen("sql", str(run), "select range as n from range(250)")
    assert said.err == "(250 rows, 100 shown; --limit-rows 250 shows all)\n"
    assert len(screen("sql", str(run), "select range as n from range(250)", "--csv").out.splitlines()) == 251


def test_flags_of_a_run_that_is_not_finished(screen: Screen, tmp_path: Path) -> None:
    run = fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), finish=False)
    assert screen("sql", str(run), "select row from flagged order by 1", "--csv").out == "row\n6\n7\n"


def test_what_is_not_a_select_is_refused(screen: Screen, run: Path) -> None:
    said = screen("sql", str(run), "drop view scores")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: not run: ")


def test_a_statement_from_standard_input(screen: Screen, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("select count(*) as n\nfrom scores;\n"))
    assert screen("sql", str(run), "--json").out == '{"n": 7}\n'


def test_no_statement(screen: Screen, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert screen("sql", str(run)).err == (
        "error: no statement given\nnext: screen sql RUN 'select * from scores limit 5'\n"
    )


def test_the_prompt(screen: Screen, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter([".tables", "", "select count(*) as n", "from scores;", "select evl from scores;", ".quit"])
    asked = []
    monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or next(typed))
    monkeypatch.setattr("sys.stdin", type("Tty", (io.StringIO,), {"isatty": lambda self: True})())
    said = screen("sql", str(run))
    assert said.code == 0
    assert asked == ["screen> "] * 3 + ["   ...> "] + ["screen> "] * 2
    assert "skipped   row, file, line, offset, length, sha256, stage, code, message, head\n" in said.out
    assert said.out.endswith("n\n7\n(1 row)\n")
    assert said.err.startswith("error: there is no column 'evl'\nnext: did you mean evil?")


@pytest.mark.parametrize("word", ["\\q", "exit", "quit;", "EXIT", ".quit", ".exit"])
@pytest.mark.parametrize("before", [[], ["select 1"]])
def test_words_that_leave(
    word: str, before: list[str], screen: Screen, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter([*before, word])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    monkeypatch.setattr("sys.stdin", type("Tty", (io.StringIO,), {"isatty": lambda self: True})())
    said = screen("sql", str(run))
    assert (said.code, said.err) == (0, "")


@pytest.mark.parametrize(
    ("statement", "said", "hint"),
    [
        ("select evl from scores", "there is no column 'evl'", "did you mean evil?"),
        ("select s.evl from scores s", "there is no column 'evl'", "did you mean evil?"),
        ("select promt from samples", "there is no column 'promt'", "did you mean prompt?"),
        ("select zzzzzz from skipped", "there is no column 'zzzzzz'", "`describe skipped` lists its columns"),
        ("select 1 from score", "there is no view 'score'", "did you mean scores?"),
        ("select sume(evil) from scores", "there is no function 'sume'", "did you mean sum?"),
        ("selct 1", 'the statement is not understood: syntax error at or near "selct"', ""),
        ("select evil evil evil from scores", "the statement is not understood: syntax error at", ""),
        ("select 'a'::int", "Could not convert string 'a' to INT32", ""),
        ("select upper(1, 2)", "No function matches the given name", ""),
    ],
)
def test_what_sql_could_not_do_is_told_in_two_lines(
    statement: str, said: str, hint: str, screen: Screen, run: Path
) -> None:
    for args in ([], ["-v"]):
        told = screen("sql", str(run), statement, *args)
        assert (told.code, told.out) == (2, "")
        first, second, *more = told.err.splitlines()
        assert first.startswith(f"error: {said}")
        assert second.startswith(f"next: {hint}")
        assert " Error: " not in first + second
        assert bool(more) == bool(args)
        assert len(first) < 200
    assert "Error: " in told.err
