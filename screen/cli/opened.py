"""A run, opened to be looked at."""

from __future__ import annotations

from pathlib import Path

from screen.cli.exits import say
from screen.store.scan import Scan, read_scan
from screen.store.unfinished import unfinished


def open_run(path: Path) -> Scan:
    """Raises StoreError where there is no run, or one of another version's; says so where it is not finished."""
    scan = read_scan(path)
    if not scan.folder.finished:
        message, following = unfinished(scan.folder)
        say(f"note: {message}", f"next: {following}")
    return scan
