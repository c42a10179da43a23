"""What every verb has in common: help, errors, exit codes, and what is not imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest

from screen.__main__ import main
from screen.cli.main import VERBS, root
from tests.cli import fake_run
from tests.cli.conftest import Screen

HEAVY = {"torch", "transformers", "polars", "duckdb", "pyarrow"}


def screen_process(*args: str, **more: object) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, **more.pop("env", {})}  # type: ignore[dict-item]
    return subprocess.run([sys.executable, "-m", "screen", *args], capture_output=True, env=env, timeout=60, **more)  # type: ignore[call-overload,no-any-return]


def imported_by(*args: str) -> set[str]:
    code = f"import sys; from screen.cli.main import run; run({args!r}); print(*sys.modules, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ended.stderr.split())


def test_help_answers_in_a_blink_and_imports_nothing_heavy() -> None:
    """In processor time, which other programs on the machine lengthen little; the best of ten."""
    assert not HEAVY & imported_by("--help")
    times = []
    for _ in range(10):
        before = os.times()
        assert screen_process("--help").returncode == 0
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(times) < 0.3


def test_a_run_does_not_walk_its_libraries_once_more_at_the_end(
    tmp_path: Path, tiny_model: Path, tiny_vectors: Path
) -> None:
    """A second of the processor. Of duckdb, which comes late, nothing may be left, or it complains."""
    chats = fake_run.write_chats(tmp_path / "chats.jsonl")
    args = ["run", str(chats), "--model", str(tiny_model), "--vectors", str(tiny_vectors), "--baseline", "last-prompt",
            "--device", "cpu", "--max-errors", "none"]  # fmt: skip
    code = "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count(), file=sys.stderr))"
    code += f"\nfrom screen.__main__ import main\nsys.argv = {['screen', *args]!r}\nmain()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert int(ended.stderr.splitlines()[-1]) > 100_000, ended.stderr
    assert "leaked" not in ended.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("rank", "RUN"),
        ("show", "RUN", "0"),
        ("status", "RUN"),
        ("sql", "RUN", "from scores"),
        ("filter", "RUN", "--drop", "flagged", "--dry-run"),
    ],
)
def test_verbs_that_run_no_model_start_without_one(args: tuple[str, ...], run: Path) -> None:
    work = [str(run) if a == "RUN" else a for a in args]
    modules = imported_by(*work)
    assert not {"torch", "transformers", "polars"} & modules


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_ends_with_examples(verb: str, screen: Screen) -> None:
    said = screen(verb, "--help")
    assert said.code == 0
    examples = said.out.partition("Examples:")[2].strip().splitlines()
    assert 2 <= len(examples) <= 4
    assert all(f"screen {verb}" in line for line in examples)


def test_the_short_texts_are_those_of_the_verbs() -> None:
    with click.Context(root) as context:
        for verb in VERBS:
            assert root.get_command(context, verb) is not None


@pytest.mark.parametrize("flag", ["-r", "-R", "-ls", "-S", "-d", "-D", "-x"])
def test_arguments_of_gnu_screen(flag: str, screen: Screen) -> None:
    assert screen(flag, "work") == (
        2,
        "",
        f"screen: `{flag}` belongs to GNU screen, the terminal multiplexer; this is persona-screen, which scores"
        " fine-tuning data (GNU screen is usually /usr/bin/screen; this program is also `persona-screen`)\n",
    )


def test_version(screen: Screen) -> None:
    from screen import __version__

    assert screen("--version").out == f"screen (persona-screen) {__version__}\n"


def test_a_mistyped_command(screen: Screen) -> None:
    assert screen("fliter", "x").err == (
        f"error: there is no command 'fliter'\nnext: did you mean filter? the commands are {', '.join(VERBS)}\n"
    )


def test_a_file_in_place_of_a_command(screen: Screen) -> None:
    Path("chats.jsonl").write_text("{}\n")
    assert screen("chats.jsonl") == (
        2,
        "",
        "error: chats.jsonl is a file or folder, not a command\nnext: score it: screen run chats.jsonl\n",
    )


def test_an_unknown_flag(screen: Screen) -> None:
    said = screen("rank", "x", "--colour")
    assert said.code == 2
    assert said.err.startswith("error: No such option '--colour'.")
    assert said.err.endswith("next: see screen rank --help\n")


@pytest.mark.parametrize("verb", ["rank", "show", "status", "sql", "filter"])
def test_no_run_there(verb: str, screen: Screen, tmp_path: Path) -> None:
    more = {"show": ["1"], "filter": ["--drop", "flagged", "--dry-run"], "sql": ["from scores"]}
    assert screen(verb, "nowhere", *more.get(verb, [])) == (
        2,
        "",
        f"error: there is no run at {tmp_path}/nowhere: it has no scan.json\n"
        "next: give the folder that `screen run` wrote\n",
    )


@pytest.mark.parametrize(
    "args",
    [
        ["rank", "RUN"], ["show", "RUN", "1"], ["sql", "RUN", "from scores"], ["similar", "RUN", "1"],
        ["filter", "RUN", "--drop", "flagged", "--dry-run"], ["reflag", "RUN", "--at", "p95"], ["lift", "RUN"],
        ["check-numerics", "RUN"], ["reference", "build", "RUN", "-o", "x.reference"],
    ],
)  # fmt: skip
def test_a_run_that_is_not_finished_is_told_in_one_way(args: list[str], screen: Screen, tmp_path: Path) -> None:
    fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), shards=1, finish=False)
    said = screen(*("chats.screen" if a == "RUN" else a for a in args)).err
    assert "chats.screen is not finished: it holds 4 of 8 rows\n" in said
    assert "\nnext: finish it: screen run --spec chats.screen/scan.json --out chats.screen" in said
    assert not Path("x.reference").exists()


@pytest.mark.parametrize("args", [["similar", "1"], ["similar", "--copies"], ["rank"], ["show", "1"], ["status"]])
def test_a_run_without_a_shard_yet_is_no_bug(args: list[str], screen: Screen, tmp_path: Path) -> None:
    fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), shards=0, finish=False)
    verb, *more = args
    said = screen(verb, "chats.screen", *more)
    assert (said.code, "no rows yet" in said.err) == ((2, True) if more and more[0] == "1" else (0, False))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_in_place_of_a_record_is_not_waited_for(screen: Screen) -> None:
    Path("odd").mkdir()
    os.mkfifo("odd/scan.json")
    assert screen("rank", "odd").err.startswith("error: there is no run at")


OLD = [["rank"], ["show", "1"], ["sql", "from scores"], ["filter", "--drop", "evil>1", "--dry-run"]]


@pytest.mark.parametrize("args", OLD)
def test_a_run_of_another_version_is_told(args: list[str], screen: Screen, run: Path) -> None:
    for file in sorted((run / "scores").iterdir()):
        pq.write_table(pq.read_table(file).drop(["sign"]), file)
    verb, *more = args
    wanted = "error: chats.screen was written by another version of screen: it has no column 'sign'\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("screen.store.folder.RunFolder.whole", lambda self, file: self.path / file.name)
        said = screen(verb, "chats.screen", *more)
    assert (said.code, said.err.startswith(wanted)) == (2, True)


def test_a_bug_shows_its_traceback(screen: Screen, monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    monkeypatch.setattr("screen_reports.queries.top_rows", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        screen("rank", str(run))


def test_a_bug_has_an_exit_code_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("screen.cli.main.run", lambda args: int("\x1b[2J"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 70
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Traceback (most recent call last):"
    assert said[-1] == "this is a bug in screen; nothing that was published is lost"
    assert "\x1b" not in "".join(said)


def test_ctrl_c_while_the_command_is_imported(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("screen.cli.main.run", stop)
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capfd.readouterr().err) == (130, "interrupted\n")


def test_a_closed_pipe_ends_quietly(run: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "screen", "sql", str(run), "from scores"],
            stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_plain_ascii_where_the_locale_knows_no_more(run: Path) -> None:
    env = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ended = screen_process("rank", str(run), env=env)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.isascii()
    assert b"...number 7 begins here." in ended.stdout
