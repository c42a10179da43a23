"""What a build and a validation say while they go on, and how they are stopped."""

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

from screen.cli.exits import say
from screen.errors import Interrupted
from screen.progress import Tally

_EVERY = 5.0  # seconds between two lines of progress


class Lines:
    """Progress as plain lines on standard error: what was found, and how far each stage is."""

    def __init__(self, quiet: bool) -> None:
        self._quiet, self._shown = quiet, time.monotonic()

    def say(self, text: str) -> None:
        if not self._quiet:
            say(text)

    def note(self, kind: str, facts: Mapping[str, Any]) -> None:
        if kind == "kept":
            sides = ((name, facts[name]) for name in ("positive", "negative"))
            both = " and ".join(f"{s['kept']:,} of {s['asked']:,} {name}" for name, s in sides)
            self.say(f"kept      {facts['trait']}: {both} answers")
        elif "message" in facts:
            self.say(f"{kind:<9} {facts['message']}")

    def tick(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self._shown < _EVERY:
            return
        self._shown = now
        parts = [f"{tally.stage} {tally.rows:,}/{tally.rows_total:,}"]
        if tally.fresh_rows and tally.seconds > 0 and tally.rows_total:
            rate = tally.fresh_rows / tally.seconds
            parts += [f"{rate:.1f} answers/s", f"{max(0, tally.rows_total - tally.rows) / rate:.0f} s left of this"]
        self.say(", ".join(parts))


@contextmanager
def stopping(out: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the build; what it has is on disk."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["screen", *sys.argv[1:]])
        raise Interrupted(
            f"stopped; answers and judgements so far are kept in {out}",
            f"the same command goes on from there: {again}",
        ) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
