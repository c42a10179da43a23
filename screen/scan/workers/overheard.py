"""What a forked process writes to its stderr: passed on to this one's, and its last line kept. Native code that gives
up (a C++ exception that nobody catches, a thread that cannot be made) says why nowhere else."""

from __future__ import annotations

import contextlib
import os

_KEPT = 2000  # bytes, of which the last line is taken
_LONGEST = 200  # characters of it


class Overheard:
    """reader: what to wait for; ended: nothing more will come."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._said = b""
        self.ended = False

    def take_over(self) -> None:
        """In the process, first of all: its stderr is this."""
        os.dup2(self._writer, 2)
        os.close(self._writer)
        os.close(self.reader)

    def started(self) -> None:
        """Here, once the process has its end."""
        os.close(self._writer)

    def pass_on(self) -> None:
        """What is there, without waiting for more."""
        with contextlib.suppress(BlockingIOError):
            while new := os.read(self.reader, 1 << 16):
                self._said = (self._said + new)[-_KEPT:]
                with contextlib.suppress(OSError):  # this process's own stderr may be closed
                    os.write(2, new)
            self.ended = True

    def forget(self) -> None:
        """What was said so far belongs to work that is done."""
        self._said = b""

    def close(self) -> str:
        """The last line, "" where there is none."""
        self.pass_on()
        os.close(self.reader)
        lines = [line for line in self._said.decode(errors="replace").splitlines() if line.strip()]
        return "".join(c for c in lines[-1].strip() if c.isprintable())[:_LONGEST] if lines else ""
