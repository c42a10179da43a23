"""What every command says of a run that is not finished."""

from __future__ import annotations

import shlex

from screen.errors import UsageError, near
from screen.store.folder import RunFolder


def unfinished(folder: RunFolder) -> tuple[str, str]:
    """(what is missing, how to go on)."""
    place = near(folder.path)
    rows = sum(entry.rows for entry in folder.published.values())
    described = folder.facts.get("dataset")
    total = described.get("rows") if described else None
    of = f" of {total:,}" if total else ""
    return f"{place} is not finished: it holds {rows:,}{of} rows", f"finish it: {resume(folder)}"


def require_finished(folder: RunFolder) -> None:
    """Raises UsageError, with the command that goes on, for a run that is not finished."""
    if not folder.finished:
        raise UsageError(*unfinished(folder))


def resume(folder: RunFolder) -> str:
    """The command that goes on with the run."""
    if not folder.facts.get("spec"):
        return "type the command that began it again"
    place = shlex.quote(near(folder.path))
    return f"screen run --spec {place}/scan.json --out {place}"
