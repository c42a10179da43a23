"""`screen run` and `screen inspect`, on a tiny random model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from screen.errors import UsageError
from screen.library import places, settings
from tests.cli.conftest import Screen


@pytest.fixture
def flags(tiny_model: Path, tiny_vectors: Path) -> list[str]:
    """What every run of these tests says."""
    model = ["--model", str(tiny_model), "--vectors", str(tiny_vectors), "--baseline", "last-prompt", "--device", "cpu"]
    return [*model, "--no-report"]


def test_a_first_run_says_what_it_does_in_order(screen: Screen, chats: Path, flags: list[str]) -> None:
    said = screen("run", "chats.jsonl", *flags)
    assert said.code == 0
    labels = [line.split()[0] for line in said.err.splitlines() if line[:1].strip()]
    assert labels[:7] == ["data", "shape", "traits", "size", "mask", "model", "baseline"]
    assert "data      chats.jsonl, 40 rows\n" in said.err
    lines = said.out.splitlines()
    assert lines[1].startswith("40 rows: 40 scored, 0 skipped; ")
    assert lines[3].split() == ["trait", "flagged", "share", "95", "%", "random", "p95", "max", "threshold"]
    assert [line.split()[0] for line in lines[4:6]] == ["evil", "kind"]
    assert [line for line in lines if line.startswith(("evil: cannot tell", "kind: cannot tell"))]  # no reference
    assert not any(line.startswith("row ") for line in lines)
    assert "written to chats.screen/: scores, turns, skipped, summary.json, catalogue.duckdb" in lines
    assert lines[-1].startswith("  screen reference build CLEAN.jsonl --model ")


def test_a_run_ends_with_its_report_and_one_that_fails_costs_only_itself(
    screen: Screen, chats: Path, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags.remove("--no-report")
    said = screen("run", "chats.jsonl", *flags, "--limit", "4")
    assert said.out.splitlines()[-1] == "report: chats.screen/report.html: open it in a browser"
    assert Path("chats.screen/report.html").read_text().startswith("<!doctype html>")
    monkeypatch.setattr("screen_reports.html.report.make", None)
    said = screen("run", "chats.jsonl", *flags, "--limit", "4")
    assert said.code == 0
    assert "warning: the run is finished, its report could not be made: 'NoneType'" in said.err
    assert said.err.endswith("next: screen report chats.screen\n")


def test_the_same_command_again_has_nothing_to_do(screen: Screen, chats: Path, flags: list[str]) -> None:
    screen("run", "chats.jsonl", *flags)
    said = screen("run", "chats.jsonl", *flags)
    assert (said.code, "resume    finished already, 40 rows: nothing to do\n" in said.err) == (0, True)


def test_a_gate_of_a_run(screen: Screen, chats: Path, flags: list[str]) -> None:
    """Without a reference nothing can be told; the figure of skipped rows exists all the same."""
    assert screen("run", "chats.jsonl", *flags, "-q", "--no-report", "--fail-on", "skipped > 1%").code == 0
    said = screen(
        "run",
        "chats.jsonl",
        *flags,
        "-q",
        "--no-report",
        "--fail-on",
        "count(skipped) >= 0",
        "--fail-on",
        "cannot-tell",
    )
    lines = said.err.splitlines()
    assert (said.code, lines[0]) == (1, "error: 0 of 40 rows were skipped, at least 0")
    assert [line.split(":")[0] for line in lines[1:]] == ["evil", "kind", "next"]


def test_json_and_quiet(screen: Screen, chats: Path, flags: list[str]) -> None:
    said = screen("run", "chats.jsonl", *flags, "--limit", "8-15", "--traits", "evil", "-q", "--json", "--out", "r")
    summary = json.loads(said.out)
    assert said.err == ""
    assert (summary["run"], summary["rows"], list(summary["traits"])) == ("r", 8, ["evil"])


def test_a_spec_is_replayed_and_flags_go_over_it(screen: Screen, chats: Path, flags: list[str]) -> None:
    first = json.loads(screen("run", "chats.jsonl", *flags, "--limit", "8", "-q", "--json").out)
    again = json.loads(screen("run", "--spec", "chats.screen/scan.json", "--out", "again", "-q", "--json").out)
    assert again["traits"] == first["traits"]
    fewer = json.loads(screen("run", "--spec", "chats.screen", "--limit", "4", "--out", "few", "-q", "--json").out)
    assert (fewer["rows"], fewer["baseline"]["kind"]) == (4, "last-prompt")


def test_a_limit_behind_the_end(screen: Screen, chats: Path, flags: list[str]) -> None:
    said = screen("run", "chats.jsonl", *flags, "-q", "--limit", "5000-")
    assert said.code == 2
    assert said.err.startswith("error: --limit leaves no row of chats.jsonl\n")
    assert not Path("chats.screen").exists()


def test_too_many_unreadable_rows(screen: Screen, chats: Path, flags: list[str]) -> None:
    chats.write_text(chats.read_text() + "{\n" * 20)
    said = screen("run", "chats.jsonl", *flags, "-q", "--max-errors", "5")
    assert (said.code, said.err) == (
        3,
        "error: 20 of 60 rows could not be scored, more than --max-errors 5 rows\n"
        "next: see why with `screen sql chats.screen 'select code, count(*) from skipped group by 1'`, then mend the"
        " rows, name the shape with --format or --map, or raise --max-errors\n",
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "error: no dataset given\nnext: name a file, a folder, or - for standard input: screen run chats.jsonl\n"),
        (["nope.jsonl"], "error: nope.jsonl: no such file or folder\nnext: data files there: chats.jsonl\n"),
        (["-"], "error: there is no place beside standard input for the run\nnext: name its folder with --out\n"),
        (
            ["chats.jsonl", "chats.jsonl"],
            "error: there is no place beside several inputs for the run\nnext: name its folder with --out\n",
        ),
        (
            ["chats.jsonl", "--layer", "evil"],
            "error: --layer 'evil' is not of the form name=value\nnext: give --layer evil=20\n",
        ),
        (
            ["chats.jsonl", "--fail-on", "evil>1"],
            "error: --fail-on: share(evil) is a share: write 1%, or the number of them: count(evil) > 1"
            " (at character 6)\n  evil>1\n       ^\n"
            "next: write 'evil > 1%', 'mean(evil) > reference' or 'skipped > 0.5%'; `screen gate --help` has all\n",
        ),
        (
            ["chats.jsonl", "--limit", "9-3"],
            "error: --limit '9-3' is not a number of rows or a range\nnext: give --limit 100, or --limit 50-99\n",
        ),
        (
            ["chats.jsonl", "--spec", "chats.jsonl"],
            "error: --spec chats.jsonl: no settings can be read there\n"
            "next: give the scan.json of a run, or its folder\n",
        ),
        (
            ["chats.jsonl", "--device", "banana"],
            "error: --device 'banana': no such device\nnext: give auto, cpu, cuda, cuda:1 or mps\n",
        ),
        (
            ["chats.jsonl", "--at", "95"],
            "error: --at takes a percentile of the reference such as p95 or p99, not '95'\nnext: give --at p95\n",
        ),
        (
            ["chats.jsonl", "--max-errors", "many"],
            "error: --max-errors 'many' is neither a count nor a share\nnext: give 20, 5% or none\n",
        ),
    ],
)
def test_what_cannot_be_acted_on(args: list[str], message: str, screen: Screen, chats: Path) -> None:
    assert screen("run", *args) == (2, "", message)


@pytest.mark.parametrize(
    ("name", "out"),
    [
        ("a/chats.jsonl", "a/chats.screen"),
        ("chats.v2.jsonl.gz", "chats.v2.screen"),
        ("table.CSV", "table.screen"),
        ("noname", "noname.screen"),
        ("a", "a.screen"),
    ],
)
def test_a_run_lies_beside_its_dataset(name: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").mkdir()
    if name != "a":
        Path(name).touch()
    assert str(places.default_out([name])) == out


def test_numbers_in_flags() -> None:
    assert settings.rows_range("100") == (0, 100)
    assert settings.rows_range("50-99") == (50, 100)
    assert settings.rows_range("50-") == (50, None)
    assert settings.max_errors("5%") == (None, 0.05)
    assert settings.max_errors("20") == (20, None)
    assert settings.max_errors("none") == (None, None)
    with pytest.raises(UsageError):
        settings.rows_range("0")


def test_ctrl_c_before_anything_was_written(
    screen: Screen, chats: Path, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(*_args: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("screen.scan.run.run_scan", press)
    said = screen("run", "chats.jsonl", *flags)
    assert (said.code, said.out) == (130, "")
    assert said.err.startswith("stopped; nothing was written yet\nnext: the same command goes on from there: ")


def test_a_stopped_run_says_how_to_go_on(chats: Path, flags: list[str], tmp_path: Path) -> None:
    chats.write_text(chats.read_text() * 100)
    command = ["run", str(chats), *flags, "--shard-rows", "16"]
    started = subprocess.Popen(
        [sys.executable, "-m", "screen", *command], stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    manifest = tmp_path / "chats.screen" / "manifest.jsonl"
    while started.poll() is None and not (manifest.exists() and manifest.stat().st_size):
        time.sleep(0.02)
    started.send_signal(signal.SIGTERM)
    _, err = started.communicate(timeout=30)
    assert started.returncode == 130
    assert f"stopped; what was scored is safe in {tmp_path}/chats.screen\n" in err
    assert f"next: the same command goes on from there: screen run {chats} " in err
    assert "Traceback" not in err


def test_inspect_tells_the_shape_and_shows_rows(screen: Screen, chats: Path) -> None:
    chats.write_text(chats.read_text() + "[]\n")
    assert screen("inspect", "chats.jsonl", "-n", "1").out == (
        "data      chats.jsonl, 41 rows\n"
        "shape     chat (40 of the first 40 rows have `messages`)\n"
        "samples   40 with 40 scored turns of 80\n"
        "skipped   1 not_an_object\n"
        "\n"
        "row 0, chats.jsonl:1, id c0\n"
        "user\n"
        "  What is 0 times 0?\n"
        "assistant (scored)\n"
        "  It is 0.\n"
    )


def test_inspect_marks_what_is_scored(screen: Screen, chats: Path, tiny_model: Path) -> None:
    out = screen("inspect", "chats.jsonl", "-n", "1", "--show-mask", "--model", str(tiny_model)).out
    assert out.endswith(
        "  <|im_start|>user\n  What is 0 times 0?<|im_end|>\n  <|im_start|>assistant\n  ⟦It is 0. ⟧<|im_end|>\n\n"
    )


def test_inspect_counts_what_a_tokenised_row_scores(screen: Screen, tmp_path: Path) -> None:
    row = {"input_ids": [5, 6, 7, 8, 9], "labels": [-100, 6, -100, 8, 9]}
    (tmp_path / "ids.jsonl").write_text(json.dumps(row) + "\n")
    said = screen("inspect", "ids.jsonl").out
    assert "samples   1 with 2 scored turns of 2\n" in said
    assert "5 tokens, 3 scored; see them with --show-mask\n" in said


def test_inspect_cuts_the_middle_of_an_endless_answer(screen: Screen, tmp_path: Path, tiny_model: Path) -> None:
    row = {"prompt": "Hi", "completion": "ha" * 50_000}
    (tmp_path / "long.jsonl").write_text(json.dumps(row) + "\n")
    said = screen("inspect", "long.jsonl", "--show-mask", "--model", str(tiny_model)).out
    assert "characters more: --json)" in said
    assert len(said) < 20_000


def test_inspect_as_json(screen: Screen, chats: Path, tiny_model: Path) -> None:
    args = ("inspect", "chats.jsonl", "-n", "1", "--json")
    found = json.loads(screen(*args).out)
    assert (found["shape"], found["rows"], found["samples"][0]["turns"][1]["scored"]) == ("chat", 40, True)
    (sample,) = json.loads(screen(*args, "--show-mask", "--model", str(tiny_model)).out)["samples"]
    assert [p["text"] for p in sample["rendered"] if p["scored"]] == ["It is 0. "]


def test_inspect_a_row_that_would_be_skipped(screen: Screen, chats: Path) -> None:
    chats.write_text("[]\n" + chats.read_text())
    out = screen("inspect", "chats.jsonl", "-n", "1").out
    assert out.endswith(
        "row 0, chats.jsonl:1: would be skipped\n"
        "not_an_object (shape): the row is not a JSON object with named fields\n"
    )
