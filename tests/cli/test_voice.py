"""Progress on standard error."""

from __future__ import annotations

import io
import sys

import pytest

from screen.cli import voice
from screen.cli.runs.selftest import Once
from screen.progress import Tally


def tally(rows: int = 120, total: int | None = 300, **more: object) -> Tally:
    facts = {"skipped": 3, "tokens": 50_000, "seconds": 40.0, "stage": "scoring", "fresh_rows": 100, **more}
    return Tally(rows, total, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "left", "line"),
    [
        (tally(), 72.0, "scoring 120/300 rows, 40 %, 1,250 tokens/s, 1 min 12 s left, 3 skipped"),
        (tally(total=None, skipped=0), None, "scoring 120 rows, 1,250 tokens/s"),
        (tally(0, 300, tokens=0, fresh_rows=0, skipped=0, stage="reading"), None, "reading 0/300 rows, 0 %"),
        (tally(stage="baselines", skipped=0), 72.0, "baselines 120/300 rows, 40 %, 1,250 tokens/s, 1 min 12 s left"),
        (tally(300, 300), 0.0, "scoring 300/300 rows, 100 %, 1,250 tokens/s, 0 s left, 3 skipped"),
    ],
)
def test_a_line_of_progress(now: Tally, left: float | None, line: str) -> None:
    assert voice.progress_line(now, left) == line


def test_the_pace_leaves_out_what_comes_before_the_first_row() -> None:
    pace = voice.Pace()
    assert pace.left(tally(0, 300, fresh_rows=0, seconds=10.0)) is None
    assert pace.left(tally(20, 300, fresh_rows=20, seconds=50.0)) is None
    assert pace.left(tally(40, 300, fresh_rows=40, seconds=52.0)) == 26.0


def test_without_a_terminal_plain_lines_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 101.0, 104.0, 106.0, 107.0, 112.0])
    monkeypatch.setattr(voice.time, "monotonic", lambda: next(clock))
    sampler = voice.voice(quiet=False, verbose=False)
    for rows in (0, 50, 100, 150, 200, 250):
        sampler.tick(tally(rows, seconds=1.0, skipped=0, tokens=0, fresh_rows=0))
    assert capsys.readouterr().err == "scoring 150/300 rows, 50 %\nscoring 250/300 rows, 83 %\n"


def test_the_time_left_is_told_once_there_is_something_to_go_by(capsys: pytest.CaptureFixture[str]) -> None:
    sampler = voice.Voice()
    for rows, seconds in ((20, 1.0), (40, 41.0), (60, 81.0)):
        sampler.tick(tally(rows, fresh_rows=rows, seconds=seconds))
    assert capsys.readouterr().err == "time      about 8 min 40 s\n"


def test_notes_are_safe_to_print(capsys: pytest.CaptureFixture[str]) -> None:
    voice.Voice().note("warning", {"message": "a\x1b[2Jb\nc"})
    assert capsys.readouterr().err == "warning   a\\x1b[2Jb c\n"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    sampler = voice.voice(quiet=True, verbose=False)
    sampler.note("warning", {"message": "x"})
    sampler.tick(tally())
    assert capsys.readouterr() == ("", "")
    assert sampler.last == tally()


def test_a_self_test_says_each_thing_once(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Once(voice.Voice())
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
    monkeypatch.setattr(voice, "_FRAME", 0.0)
    sampler = voice.voice(quiet=False, verbose=False)
    assert isinstance(sampler, voice.LiveVoice)
    sampler.tick(tally(seconds=1.0))
    sampler.tick(tally(240, seconds=1.0))
    sampler.note("warning", {"message": "careful"})
    sampler.close()
    said = screen.getvalue()
    assert "240/300 rows, 80 %" in said
    assert "careful" in said
    assert said.rstrip("\n").endswith("\x1b[2K") or said.endswith("\x1b[?25h")  # the line is gone, the cursor back
