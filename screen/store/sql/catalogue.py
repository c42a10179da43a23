"""catalogue.duckdb: a disposable copy of a run for other tools, swapped in whole. DuckDB 1.0 and later open it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from screen.disk import DISK, Disk, new_file, removed_on_error, storing
from screen.errors import StoreError
from screen.scoring.findings.flags import Flagging
from screen.store import tables
from screen.store.folder import SUMMARY, RunFolder
from screen.store.sql import views

CATALOGUE = "catalogue.duckdb"
_NEXT = "the run itself is whole: free some space or memory, then run the same command again"


def build(run: RunFolder, flags: Mapping[str, Flagging] | None = None, disk: Disk = DISK) -> Path:
    """Write the catalogue of a run's published shards: tables scores, turns, skipped, views samples, flagged.

    `flags` are thresholds by trait; without them, the summary's. Raises StoreError; the run is not touched.
    """
    target = run.path / CATALOGUE
    chosen = run.summary.get("flags") or {} if flags is None else flags
    texts = views.statements({n: run.tables(n) for n in tables.NAMES}, run.traits, chosen)
    with (
        storing(run.path, _NEXT),
        new_file(target, disk) as scratch,
        removed_on_error(Path(f"{scratch}.wal"), disk=disk),
    ):
        _write(scratch, texts)
    return target


def renew(run: RunFolder) -> None:
    """Build it where it is missing or older than the summary it copies."""
    with storing(run.path, _NEXT):
        target, summary = run.path / CATALOGUE, run.path / SUMMARY
        fresh = target.exists() and target.stat().st_mtime_ns >= summary.stat().st_mtime_ns
    if not fresh:
        build(run)


def _write(path: Path, texts: dict[str, str]) -> None:
    import duckdb

    connection = duckdb.connect()
    try:
        connection.execute("SET temp_directory = ''")  # else it spills into the working directory
        connection.execute(f"ATTACH {views.literal(str(path))} AS copy (STORAGE_VERSION 'v1.0.0')")
        connection.execute("USE copy")
        for name, select in texts.items():
            kind = "TABLE" if name in tables.NAMES else "VIEW"
            connection.execute(f"CREATE {kind} {name} AS {select}")
        connection.execute("USE memory")
        connection.execute("DETACH copy")
    except duckdb.Error as error:
        raise StoreError(f"the catalogue could not be written: {error}", _NEXT) from error
    finally:
        connection.close()
