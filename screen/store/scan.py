"""Scan: a run on disk, finished or not. Opens as polars or as SQL; changes nothing."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from screen.errors import StoreError, near
from screen.scoring.findings.flags import Flagging
from screen.scoring.schema import scores_schema
from screen.store import liftfile, tables
from screen.store.folder import RunFolder
from screen.store.index import Index
from screen.store.labels import file as labels
from screen.store.labels.record import LabelRecord
from screen.store.lock import NAME as LOCK
from screen.store.lock import Holder
from screen.store.sql import sandbox, views

if TYPE_CHECKING:
    import polars as pl


class Scan:
    """What the manifest says, at the moment of opening."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.path = folder.path
        self.traits = folder.traits
        self.summary = folder.summary

    @classmethod
    def open(cls, path: Path) -> Scan:
        """Raises StoreError where there is no run, or its manifest is damaged."""
        return cls(RunFolder.read(path.resolve()))

    @cached_property
    def index(self) -> Index | None:
        """A copy of the scores that the run is ranked by; None in a run that goes on."""
        return self.folder.index()

    @property
    def labels(self) -> LabelRecord:
        """What people said of its rows, as the file is now. Raises StoreError for a damaged one."""
        return labels.read(self.folder)

    def scores(self) -> pl.LazyFrame:
        return self._frame("scores")

    def turns(self) -> pl.LazyFrame:
        return self._frame("turns")

    def skipped(self) -> pl.LazyFrame:
        return self._frame("skipped")

    def _frame(self, name: str) -> pl.LazyFrame:
        import polars as pl

        files = self.folder.tables(name)
        if not files:
            empty = pl.from_arrow(tables.pinned(name, self.traits).empty_table())
            assert isinstance(empty, pl.DataFrame)
            return empty.lazy()
        return pl.scan_parquet(files, glob=False, hive_partitioning=False)

    def missing_columns(self) -> list[str]:
        """Columns of `scores` that the first published file has not: a version that adds one reads no run without."""
        for file in self.folder.tables("scores")[:1]:
            with contextlib.suppress(pa.ArrowException, OSError):  # a damaged file is told when it is read
                columns = set(pq.read_schema(file).names)
                return [name for name in scores_schema(self.traits).names if name not in columns]
        return []

    @property
    def flags(self) -> dict[str, Flagging]:
        """Thresholds by trait, as the summary gives them; empty for a run that has not finished."""
        return dict(self.summary.get("flags") or {})

    def status(self) -> dict[str, object]:
        entries = self.folder.published.values()
        holder = Holder.read(self.path / LOCK)
        return {
            "rows": sum(e.rows for e in entries),
            "scored": sum(e.scored for e in entries),
            "skipped": sum(e.skipped for e in entries),
            "shards": len(entries),
            "finished": self.folder.finished,
            **self._since(),
            "orphans": [str(p.relative_to(self.path)) for p in self.folder.orphans()],
            "writer": {"pid": holder.pid, "host": holder.host} if holder and holder.alive else None,
        }

    def _since(self) -> dict[str, object]:
        """Of a run that takes rows of an earlier one: which, and how many rows it has taken so far."""
        known = self.folder.facts.get("since")
        return {} if known is None else {"since": {**known, "carried": self.folder.carried}}

    def sql(
        self,
        statement: str,
        *,
        limits: sandbox.Limits | None = None,
        flags: Mapping[str, Flagging] | None = None,
        rows: Collection[int] | None = None,
    ) -> pa.Table:
        """The rows of one SELECT over scores, turns, skipped, samples, flagged and labels; see `query`."""
        return self.query(statement, limits=limits, flags=flags, rows=rows).table

    def query(
        self,
        statement: str,
        *,
        limits: sandbox.Limits | None = None,
        flags: Mapping[str, Flagging] | None = None,
        rows: Collection[int] | None = None,
    ) -> sandbox.SqlReply:
        """Like `sql`, and says whether rows were cut and whether Landlock confined the query.

        `flags` gives thresholds in place of the summary's: {"evil": {"threshold": 4.3}}. With `rows` the views hold
        the shards of these rows alone.
        Raises UsageError for a statement that is not one SELECT, fails, or needs too much.
        """
        reached = _reached(statement)
        folder = self.folder
        files = {n: (folder.tables if n in reached else folder.paths)(n, rows) for n in tables.NAMES}
        texts = views.statements(files, self.traits, self.flags if flags is None else flags)
        every = [path for paths in files.values() for path in paths]
        if "lift" in reached and (lift := liftfile.find(folder)) is not None:
            texts["lift"] = f"SELECT * FROM read_parquet({views.literal(str(lift))})"
            every.append(lift)
        if "labels" in reached:
            texts["labels"] = labels.view(self.labels)
        try:
            return sandbox.run(statement, texts, every, limits or sandbox.Limits(), self._names(statement))
        except RuntimeError:  # the child could not even make its views
            folder.check()
            raise

    def _names(self, statement: str) -> dict[str, list[str]]:
        """The views that the statement names, or all of them, with their columns."""
        scores = tables.pinned("scores", self.traits).names
        known = {name: tables.pinned(name, self.traits).names for name in tables.NAMES}
        known["samples"] = [*scores, *(f"{t}_corrected" for t in self.traits), "prompt", "answer", "base_answer"]
        known["flagged"] = [*scores, "flags"]
        known["labels"] = list(labels.COLUMNS)
        words = set(re.findall(r"\w+", statement.lower()))
        return {view: names for view, names in known.items() if view in words} or known


def read_scan(path: Path) -> Scan:
    """Raises StoreError where there is no run, or one with columns of another version."""
    scan = Scan.open(path)
    missing = scan.missing_columns()
    if missing:
        raise StoreError(
            f"{near(scan.path)} was written by another version of screen: it has no column {missing[0]!a}",
            "read it with the version that wrote it, or run it again with another --out",
        )
    return scan


def _reached(statement: str) -> set[str]:
    """The tables that a statement can read, by the words in it: their files are hashed first. With `query` and
    `query_table` DuckDB reads a table whose name the statement puts together, so these reach all."""
    text = statement.lower()
    named = {name for name in (*views.NAMES, "lift", "labels") if name in text or "query" in text}
    named |= {"scores"} if named & {"flagged", "samples"} else set()
    return named | ({"turns"} if "samples" in named else set())


def ascii_name(name: str) -> str:
    """A column as it is written in SQL: bare where it can be."""
    return name if name.isidentifier() and name.isascii() else ascii(views.quoted(name))[1:-1]
