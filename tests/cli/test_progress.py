"""Progress on standard error."""

from __future__ import annotations

import io
import signal
import sys
from pathlib import Path

import pytest

from screen.cli import progress as shown
from screen.cli.runs.selftest import Once
from screen.errors import Interrupted
from screen.progress import ANSWER, Tally


def tally(rows: int = 120, total: int | None = 300, **more: object) -> Tally:
    facts = {"skipped": 3, "tokens": 50_000, "seconds": 40.0, "stage": "scoring", "fresh_rows": 100, **more}
    return Tally(rows, total, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "left", "line"),
    [
        (tally(), 72.0, "scoring 120/300 rows, 40 %, 1,250 tokens/s, 1 min 12 s left, 3 skipped"),
        (tally(skipped=0, tokens=0, carried=90), None, "scoring 120/300 rows, 40 %, 90 carried"),
        (tally(total=None, skipped=0), None, "scoring 120 rows, 1,250 tokens/s"),
        (tally(0, 300, tokens=0, fresh_rows=0, skipped=0, stage="reading"), None, "reading 0/300 rows, 0 %"),
        (tally(stage="baselines", skipped=0), 72.0, "baselines 120/300 rows, 40 %, 1,250 tokens/s, 1 min 12 s left"),
        (tally(300, 300), 0.0, "scoring 300/300 rows, 100 %, 1,250 tokens/s, 0 s left, 3 skipped"),
    ],
)
def test_a_line_of_progress(now: Tally, left: float | None, line: str) -> None:
    assert shown.progress_line(now, left) == line


def test_the_pace_leaves_out_what_comes_before_the_first_row() -> None:
    pace = shown.Pace()
    assert pace.left(tally(0, 300, fresh_rows=0, seconds=10.0)) is None
    assert pace.left(tally(20, 300, fresh_rows=20, seconds=50.0)) is None
    assert pace.left(tally(40, 300, fresh_rows=40, seconds=52.0)) == 26.0


def test_without_a_terminal_plain_lines_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 101.0, 104.0, 106.0, 107.0, 112.0])
    monkeypatch.setattr(shown.time, "monotonic", lambda: next(clock))
    progress = shown.progress_on_stderr(quiet=False)
    for rows in (0, 50, 100, 150, 200, 250):
        progress.tick(tally(rows, seconds=1.0, skipped=0, tokens=0, fresh_rows=0))
    assert capsys.readouterr().err == "scoring 150/300 rows, 50 %\nscoring 250/300 rows, 83 %\n"


def test_the_time_left_is_told_once_there_is_something_to_go_by(capsys: pytest.CaptureFixture[str]) -> None:
    progress = shown.PlainProgress()
    for rows, seconds in ((20, 1.0), (40, 41.0), (60, 81.0)):
        progress.tick(tally(rows, fresh_rows=rows, seconds=seconds))
    assert capsys.readouterr().err == "time      about 8 min 40 s\n"


def test_each_stage_of_a_build_has_its_own_pace(capsys: pytest.CaptureFixture[str]) -> None:
    progress = shown.PlainProgress(every=0.0)
    for stage, rows, seconds in (("evil: answers", 10, 10.0), ("evil: answers", 20, 20.0), ("evil: steering", 5, 5.0)):
        progress.tick(Tally(rows, 40, 0, 0, seconds, stage, rows, unit=ANSWER))
    assert capsys.readouterr().err == (
        "evil: answers 10/40 answers, 25 %\n"
        "evil: answers 20/40 answers, 50 %, 20 s left of this\n"
        "evil: steering 5/40 answers, 12 %\n"
    )


def test_what_a_build_notes(capsys: pytest.CaptureFixture[str]) -> None:
    progress = shown.PlainProgress()
    progress.note("judge", {"kind": "local", "by": "auto"})
    sides = {"positive": {"kept": 12, "asked": 40}, "negative": {"kept": 9, "asked": 40}}
    progress.note("kept", {"trait": "evil", **sides})
    first, *labels, last = capsys.readouterr().err.splitlines()
    assert first == "judge     local, chosen by auto"
    assert "`screen vectors validate --labels`, or set OPENAI_BASE_URL" in " ".join(map(str.strip, labels))
    assert last == "kept      evil: 12 of 40 positive and 9 of 40 negative answers"


@pytest.mark.parametrize(("name", "told"), [("there", "it is in"), ("not there", "nothing was written yet")])
def test_work_that_is_stopped_names_what_is_on_disk(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "there").mkdir()
    before = signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(Interrupted, match=f"^stopped; {told}"),
        shown.stopping(shown.QuietProgress(), "it is in", tmp_path / name),
    ):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_notes_are_safe_to_print(capsys: pytest.CaptureFixture[str]) -> None:
    shown.PlainProgress().note("warning", {"message": "a\x1b[2Jb\nc"})
    assert capsys.readouterr().err == "warning   a\\x1b[2Jb c\n"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = shown.progress_on_stderr(quiet=True)
    progress.note("warning", {"message": "x"})
    progress.tick(tally())
    assert capsys.readouterr() == ("", "")
    assert progress.last == tally()


def test_a_self_test_says_each_thing_once(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Once(shown.PlainProgress())
    for trait in ("evil", "kind"):
        progress.note("dataset", {"files": [f"/tmp/{trait}.jsonl"]})
        progress.note("warning", {"message": "careful"})
        progress.note("warning", {"message": f"{trait} is odd"})
        progress.note("selftest", {"trait": trait})
    said = [line.split()[:2] for line in capsys.readouterr().err.splitlines() if line[0] != " "]
    assert said == [
        ["warning", "careful"], ["warning", "evil"],
        ["self-test", "evil:"], ["warning", "kind"], ["self-test", "kind:"],
    ]  # fmt: skip


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_terminal_one_line_stays_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Tty()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(shown, "_FRAME", 0.0)
    progress = shown.progress_on_stderr(quiet=False)
    assert isinstance(progress, shown.LiveProgress)
    progress.tick(tally(seconds=1.0))
    progress.tick(tally(240, seconds=1.0))
    progress.note("warning", {"message": "careful"})
    progress.close()
    said = screen.getvalue()
    assert "240/300 rows, 80 %" in said
    assert "careful" in said
    assert said.rstrip("\n").endswith("\x1b[2K") or said.endswith("\x1b[?25h")  # the line is gone, the cursor back
