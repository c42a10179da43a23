"""Progress on standard error: a live line in a terminal, plain lines elsewhere, nothing when quiet; and how work that
goes on later is stopped."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich.live import Live
from rich.text import Text
from screen_reports import notes
from screen_reports.console import Terminal
from screen_reports.text import count, duration, plural

from screen.cli.exits import say
from screen.errors import Interrupted
from screen.progress import ROW, Tally

_EVERY = 5.0  # seconds between two plain lines
_FRAME = 0.1  # seconds between two frames of the live line
_SETTLED = 5.0  # seconds after which the speed so far says something
_BAR = 18


class PlainProgress:
    """Prints notes as they come, and progress as plain lines. `close` ends what is shown."""

    def __init__(self, verbose: bool = False, every: float = _EVERY) -> None:
        self._verbose, self._every = verbose, every
        self._shown = 0.0  # when progress was last shown
        self._estimated = False
        self._pace = Pace()
        self._left: float | None = None
        self.last: Tally | None = None

    def note(self, kind: str, facts: Mapping[str, Any]) -> None:
        for label, text in notes.lines(kind, facts, self._verbose):
            self._say(label, text)

    def tick(self, tally: Tally) -> None:
        if self.last is not None and tally.stage != self.last.stage and tally.unit != ROW:
            self._pace = Pace()  # each stage counts its own
        self.last = tally
        self._left = left = self._pace.left(tally)
        if left is not None and not self._estimated and tally.seconds >= _SETTLED and tally.unit == ROW:
            self._estimated = True
            if left >= 1:
                self.note("eta", {"seconds": left})
        now = time.monotonic()
        self._shown = self._shown or now
        if now - self._shown >= self._every:
            self._shown = now
            self._show(tally)

    def _say(self, label: str, text: str) -> None:
        say(*notes.hanging(label, text))

    def _show(self, tally: Tally) -> None:
        say(progress_line(tally, self._left))

    def close(self) -> None:
        pass


class LiveProgress(PlainProgress):
    """The same in a terminal: progress is one line that stays in place and goes when the run ends."""

    def __init__(self, verbose: bool = False) -> None:
        super().__init__(verbose, every=_FRAME)
        self._console = Terminal(sys.stderr)
        self._live: Live | None = None

    def _say(self, label: str, text: str) -> None:
        self._console.fact(label, text)

    def _show(self, tally: Tally) -> None:
        plain = self._console.plain
        text = progress_line(tally, self._left)
        room = min(_BAR, self._console.width - len(text) - 2)
        line = Text.assemble((bar(tally, room, plain), "cyan"), " ", text) if room > 3 else Text(text)
        line.truncate(max(self._console.width - 1, 20))
        if self._live is None:
            self._live = Live(line, console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(line, refresh=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class QuietProgress(PlainProgress):
    """Prints nothing, and still knows how far the run is."""

    def _say(self, label: str, text: str) -> None:
        pass

    def _show(self, tally: Tally) -> None:
        pass


def progress_on_stderr(quiet: bool, verbose: bool = False) -> PlainProgress:
    if quiet:
        return QuietProgress()
    return LiveProgress(verbose) if sys.stderr.isatty() else PlainProgress(verbose)


@contextmanager
def stopping(progress: PlainProgress, safe: str, out: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the work between two storage operations; the live line goes whatever happens.

    `safe`: what is on disk by then, as a sentence that `out` ends. Raises Interrupted.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        progress.close()
        kept = f"{safe} {out}" if out.exists() else "nothing was written yet"
        again = shlex.join(["screen", *sys.argv[1:]])
        raise Interrupted(f"stopped; {kept}", f"the same command goes on from there: {again}") from None
    finally:
        progress.close()
        signal.signal(signal.SIGTERM, before)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Pace:
    """The time left, from the speed since the first row was done: what comes before it is done only once."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None  # seconds and fresh rows then

    def left(self, tally: Tally) -> float | None:
        """Seconds; None while there is too little to go by."""
        if tally.rows_total is None or tally.fresh_rows <= 0:
            return None
        if self._first is None:
            self._first = (tally.seconds, tally.fresh_rows)
        seconds, rows = tally.seconds - self._first[0], tally.fresh_rows - self._first[1]
        if rows <= 0 or seconds <= 0:
            return None
        return max(0, tally.rows_total - tally.rows) * seconds / rows


def progress_line(tally: Tally, left: float | None) -> str:
    """ "scoring 120/300 rows, 40 %, 1,250 tokens/s, 1 min 20 s left, 3 skipped" """
    parts = []
    if tally.rows_total:
        done = f"{count(tally.rows)}/{count(tally.rows_total)} {tally.unit}s"
        parts += [f"{tally.stage} {done}", f"{100 * tally.rows // tally.rows_total} %"]
    else:
        parts.append(f"{tally.stage} {plural(tally.rows, tally.unit)}")
    if tally.tokens and tally.seconds > 0:
        parts.append(f"{count(round(tally.tokens / tally.seconds))} tokens/s")
    if left is not None:
        parts.append(f"{duration(left)} left" + ("" if tally.unit == ROW else " of this"))
    if tally.carried:
        parts.append(f"{count(tally.carried)} carried")
    if tally.skipped:
        parts.append(f"{count(tally.skipped)} skipped")
    if tally.flagged:
        parts.append(f"{count(tally.flagged)} flagged")
    return ", ".join(parts)


def bar(tally: Tally, width: int, plain: bool) -> str:
    share = min(1.0, tally.rows / tally.rows_total) if tally.rows_total else 0.0
    full = round(share * width)
    done, rest = ("#", ".") if plain else ("\u2501", "\u2500")
    return done * full + rest * (width - full)
