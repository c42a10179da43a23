"""Another threshold for a finished run, in its summary and its catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from screen.errors import UsageError
from screen.library.settings import check_at
from screen.scan.reflag import reflag
from screen.store.folder import RunFolder
from screen.store.sql import catalogue


def reflagged(path: Path, at: str | None, fdr: float | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """summary.json as it was and as it is. Raises UsageError unless one of `at` and `fdr` is given."""
    if (at is None) == (fdr is None):
        raise UsageError("one threshold is needed, and one only", "give --at p95, or --fdr 0.05 with a reference set")
    check_at(at)
    before, after = reflag(path, at, fdr)
    catalogue.build(RunFolder.read(path))
    return before, after
