"""A run, opened to be looked at."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from screen_reports.text import near

from screen.cli.exits import say
from screen.errors import StoreError
from screen.scoring.schema import scores_schema
from screen.store.scan import Scan
from screen.store.unfinished import unfinished


def open_run(path: Path) -> Scan:
    """Raises StoreError where there is no run, or one of another version's; says so where it is not finished."""
    scan = Scan.open(path)
    _check_columns(scan)
    if not scan.folder.finished:
        message, following = unfinished(scan.folder)
        say(f"note: {message}", f"next: {following}")
    return scan


def _check_columns(scan: Scan) -> None:
    """By the first published file: a version that adds a column reads no run without it."""
    for file in scan.folder.tables("scores")[:1]:
        with contextlib.suppress(pa.ArrowException, OSError):  # a damaged file is told when it is read
            there = set(pq.read_schema(file).names)
            missing = [name for name in scores_schema(scan.traits).names if name not in there]
            if missing:
                raise StoreError(
                    f"{near(scan.path)} was written by another version of screen: it has no column {missing[0]!a}",
                    "read it with the version that wrote it, or run it again with another --out",
                )
