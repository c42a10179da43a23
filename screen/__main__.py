"""The `screen` command, and `python -m screen`."""

from __future__ import annotations

import gc
import os
import sys
import traceback

from screen.errors import ScreenError, memory_ended

_BUG = 70  # as sysexits.h has it; Python's own 1 would read as a gate that failed
_INTERRUPTED = 130
_MEMORY = (
    b"error: memory ran out\n"
    b"next: close other programs or raise the limit (ulimit -v, the container's), then run the same command again\n"
)


def main() -> None:
    gc.set_threshold(50_000, 20, 100)  # while large libraries are imported, walking costs a sixth of their time
    try:
        from screen.cli.main import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while the command was still being imported
        os.write(2, b"interrupted\n")
        code = _INTERRUPTED
    except Exception as error:
        code = _failed(error)
    sys.exit(code)


def _failed(error: Exception) -> int:
    """Say what happened; the exit code. Nothing is loaded, nor kept, where memory has ended."""
    if memory_ended(error):
        error.__traceback__ = error.__context__ = error.__cause__ = None
        os.write(2, _MEMORY)
        return ScreenError.exit_code
    from screen.cli.exits import say

    say(
        "".join(traceback.format_exception(error)).rstrip(),
        "this is a bug in screen; nothing that was published is lost",
    )
    return _BUG


if __name__ == "__main__":
    main()
