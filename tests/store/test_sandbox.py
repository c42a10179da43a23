"""The process that runs a statement: what it may use, what it sends back, and what is said where it fails."""

from __future__ import annotations

import os
import resource
from typing import Any

import duckdb
import pytest

from screen.errors import UsageError
from screen.store.sql import child as sandbox_child
from screen.store.sql import errors as sql_errors
from screen.store.sql import sandbox
from screen.store.sql.sandbox import Limits


def in_a_child(limits: dict[int, tuple[int, int]], memory: int, seconds: float) -> list[Any]:
    """The limits that a forked process has, before and after it has set them."""
    ours, theirs = os.pipe()
    if not os.fork():
        try:
            for what, limit in limits.items():
                resource.setrlimit(what, limit)
            sandbox_child._limit(memory, seconds)
            kinds = (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_AS)
            os.write(theirs, repr([resource.getrlimit(kind) for kind in kinds]).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        text = pipe.read()
    os.wait()
    return list(eval(text))


def test_a_statements_process_is_limited() -> None:
    cpu = 2 * (os.cpu_count() or 1) + 5
    assert in_a_child({}, 512 << 20, 2.0) == [(0, 0), (0, 0), (cpu, cpu), (1536 << 20, 1536 << 20)]


def test_a_limit_that_is_lower_stays() -> None:
    assert in_a_child({resource.RLIMIT_CPU: (3, 4)}, 512 << 20, 2.0)[2] == (4, 4)


@pytest.mark.parametrize(("rows", "size", "count", "cut"), [
    (5, 1 << 20, 5, ""), (4, 1 << 20, 4, "the first 4 rows: there are more"), (6, 1 << 20, 5, ""),
    (5, 100, 5, ""), (5, 20, 0, "the first 0 rows: the others pass 0 MB"),
])  # fmt: skip
def test_rows_are_cut_where_they_pass_a_limit(rows: int, size: int, count: int, cut: str) -> None:
    with duckdb.connect() as connection:
        table, said = sandbox_child._capped(connection.sql("select range a from range(5)"), rows, size)  # 8 bytes a row
    assert (table["a"].to_pylist(), said) == (list(range(count)), cut)


def test_rows_of_many_batches_are_cut_between_rows() -> None:
    with duckdb.connect() as connection:
        table, said = sandbox_child._capped(connection.sql("from range(9000)"), 5000, 1 << 20)
        assert (table.num_rows, said) == (5000, "the first 5000 rows: there are more")
        table, said = sandbox_child._capped(connection.sql("from range(9000)"), 9000, 5 << 20)
        assert (table.num_rows, said) == (9000, "")


@pytest.mark.parametrize(("said", "code", "kind", "message"), [
    ("MemoryError\n", 1, MemoryError, "no memory for the process that runs the query"),
    (" \n", -9, UsageError, "the process that runs the query was ended by signal 9 before it began"),
    ("Traceback: x", -9, RuntimeError, "the SQL child did not start:\nTraceback: x"),
    ("", 1, RuntimeError, "the SQL child did not start:\n"),
    ("", 0, RuntimeError, "the SQL child did not start:\n"),
])  # fmt: skip
def test_what_is_said_of_a_process_that_did_not_start(said: str, code: int, kind: type, message: str) -> None:
    error = sandbox._not_started(said, code)
    assert (type(error), getattr(error, "message", str(error))) == (kind, message)


def test_a_reply_without_end_is_stopped(tmp_path: Any) -> None:
    ours, theirs = os.pipe()
    (tmp_path / "long").write_bytes(b"x" * ((1 << 20) + 3))
    with open(tmp_path / "long", "rb") as file:
        assert len(sandbox._read(file.fileno(), sandbox.time.monotonic() + 10, Limits(bytes=2))) == (1 << 20) + 3
    with open(tmp_path / "long", "rb") as file, pytest.raises(RuntimeError, match="sent more than it may"):
        sandbox._read(file.fileno(), sandbox.time.monotonic() + 10, Limits(bytes=1))
    with pytest.raises(UsageError, match=r"longer than 0\.5 s"):
        sandbox._read(ours, sandbox.time.monotonic() + 0.1, Limits(seconds=0.5))
    os.close(theirs), os.close(ours)


def test_only_what_the_interpreter_needs_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/lib")
    monkeypatch.delenv("SYSTEMROOT", raising=False)
    monkeypatch.delenv("DYLD_LIBRARY_PATH", raising=False)
    assert sandbox._kept() == {"LD_LIBRARY_PATH": "/lib"}


def test_a_query_tells_how_long_it_took() -> None:
    reply = sandbox.run("select 1 a", {}, [], Limits())
    assert (reply.table["a"].to_pylist(), reply.cut) == ([1], "")
    assert 0 < reply.seconds < 60


NAMES = {"scores": ["evil", 'it"s'], "turns": ["text"]}
UNKNOWN = 'Binder Error: Referenced column "{}" not found in FROM clause!'


@pytest.mark.parametrize(("raw", "message", "next_step"), [
    (UNKNOWN.format("Evl"), "there is no column 'Evl'", "did you mean evil? `describe scores` lists its columns"),
    (UNKNOWN.format("zzz"), "there is no column 'zzz'", "`describe scores` lists its columns"),
    (UNKNOWN.format('it""'), "there is no column 'it\"'", 'did you mean it"s? `describe scores` lists its columns'),
    ("Binder Error: Table \"s\" does not have a column named \"tekst\"", "there is no column 'tekst'",
     "did you mean text? `describe scores` lists its columns"),
    ("Catalog Error: Table with name SCORE does not exist!\nDid you mean \"scores\"?", "there is no view 'SCORE'",
     "did you mean scores? the views are scores, turns"),
    ('Binder Error: Referenced table "zzz" not found!', "there is no view 'zzz'", "the views are scores, turns"),
    ('Catalog Error: Scalar Function with name meen does not exist!\nDid you mean "mean"?',
     "there is no function 'meen'", "did you mean mean? functions are those of DuckDB's SQL"),
    ("Catalog Error: Scalar Function with name q does not exist!", "there is no function 'q'",
     "functions are those of DuckDB's SQL"),
    ("Permission Error: Cannot access file\nmore", "Cannot access file",
     "ask the run's own views: a query has no files and no network"),
    ("Parser Error: syntax error at x\nLINE 1", "the statement is not understood: syntax error at x", "one"),
    ("Conversion Error: Could not convert", "Could not convert",
     "change the statement; `describe scores` lists columns and their types"),
])  # fmt: skip
def test_what_the_library_said_in_a_sentence_and_a_next_step(raw: str, message: str, next_step: str) -> None:
    error = sql_errors.told(raw, NAMES, "one")
    assert (error.message, error.next_step) == (message, next_step)


def test_control_characters_are_written_out_and_lines_kept() -> None:
    assert sandbox._printable("a\n\x1b\u202e é") == "a\n\\x1b\\u202e é"
