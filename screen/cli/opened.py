"""A run, opened to be looked at."""

from __future__ import annotations

from pathlib import Path

from screen.cli.exits import say
from screen.store.scan import Scan
from screen.store.unfinished import unfinished


def open_run(path: Path) -> Scan:
    """Raises StoreError where there is no run; says so where it is not finished."""
    scan = Scan.open(path)
    if not scan.folder.finished:
        message, following = unfinished(scan.folder)
        say(f"note: {message}", f"next: {following}")
    return scan
