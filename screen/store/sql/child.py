"""The process that runs one statement of the user's, and nothing else. `sandbox` starts it and reads its reply.

Order: limits, Landlock, connect, views, configuration locked, the statement checked, the statement run.

    reply   "ready", once the connection stands; a line of JSON, {"error": ...} or {"cut": ..., "landlock": ...};
            then, without an error, the rows as an Arrow stream
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.ipc

from screen.foreign import JsonObject
from screen.store.sql import landlock

# What a query may be made of. DuckDB 2.0 calls `WITH x AS (COPY ... TO ...) SELECT ...` a SELECT, and runs it.
_READS = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
# DuckDB aborts in connect where it cannot read how many cores and how much memory it may use.
_MACHINE = ("/proc/self/cgroup", "/sys/fs/cgroup", "/sys/devices/system/cpu")
_SPARE = 1 << 30  # address space of the interpreter and its libraries, measured at 0.6 GB

_SETTINGS = """
SET TimeZone = 'UTC';
SET temp_directory = '';
SET autoinstall_known_extensions = false;
SET autoload_known_extensions = false;
SET allow_community_extensions = false;
SET allow_persistent_secrets = false;
SET python_enable_replacements = false;
SET enable_external_access = false;
SET lock_configuration = true;
"""


class StatementRefused(Exception):
    """The statement is not one that is run."""


def main() -> None:
    request = json.load(sys.stdin.buffer)
    reply = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing that a library prints may stand in the reply
    _limit(request["memory"], request["seconds"])
    confined = landlock.confine(_readable(request["folders"])) if request["landlock"] else 0
    connection = _open(request)
    reply.write(b"ready\n")
    reply.flush()
    rows, head = _answer(connection, request)
    reply.write(json.dumps({**head, "landlock": confined}).encode() + b"\n")
    if rows is not None:
        with pa.ipc.new_stream(reply, rows.schema) as stream:
            stream.write_table(rows)
    reply.flush()
    os._exit(0)  # a query that was cut short is still running in DuckDB's threads


def _readable(folders: list[str]) -> list[Path]:
    return [path for path in map(Path, (*folders, *_MACHINE)) if path.exists()]


def _limit(memory: int, seconds: float) -> None:
    """Set what limits the platform has; Windows has none, and the parent's clock is left."""
    landlock.die_with_parent()
    try:
        import resource
    except ImportError:
        return
    cpu = int(seconds * (os.cpu_count() or 1)) + 5
    for what, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, memory + _SPARE),
    ):
        hard = resource.getrlimit(what)[1]
        lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS refuses some
            resource.setrlimit(what, (lower, lower))


def _open(request: JsonObject) -> duckdb.DuckDBPyConnection:
    """A connection that has the views and can reach nothing else."""
    connection = duckdb.connect(config={"memory_limit": f"{request['memory'] * 4 // 5}B"})
    connection.execute("SET allowed_paths = $1", [request["paths"]])
    for name, select in request["views"].items():
        connection.execute(f"CREATE VIEW {name} AS {select}")
    connection.execute(_SETTINGS)
    return connection


def _answer(connection: duckdb.DuckDBPyConnection, request: JsonObject) -> tuple[pa.Table | None, dict[str, object]]:
    try:
        statement = checked(connection, request["statement"])
        rows, cut = _capped(connection.sql(statement), request["rows"], request["bytes"])
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        return None, {"error": str(error), "kind": "memory"}
    except StatementRefused as error:
        return None, {"error": str(error), "kind": "refused"}
    except duckdb.Error as error:
        return None, {"error": str(error), "kind": "failed"}
    return rows, {"cut": cut}


def checked(connection: duckdb.DuckDBPyConnection, text: str) -> str:
    """The statement, if it is exactly one and only reads."""
    statements = connection.extract_statements(text)
    if len(statements) != 1:
        raise StatementRefused("there is no statement" if not statements else f"there are {len(statements)} statements")
    kind = statements[0].type.name
    if kind == "MULTI":
        raise StatementRefused("this statement (PIVOT, perhaps) changes the catalogue before it reads")
    if kind != "SELECT":
        raise StatementRefused(f"this is a statement of type {kind}")
    tree = json.loads(connection.execute("SELECT json_serialize_sql($1)", [text]).fetchall()[0][0])
    if tree["error"]:
        raise StatementRefused(tree["error_message"])
    for node in _types(tree):
        if node.endswith("_NODE") and node not in _READS:
            raise StatementRefused(f"this query holds a {node.split('_')[0]}")
    return text


def _types(tree: object) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("type"), str):
                yield value["type"]
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _capped(relation: duckdb.DuckDBPyRelation, rows: int, size: int) -> tuple[pa.Table, str]:
    """The first rows, as many as the caps allow, and a sentence where there are more."""
    stream = getattr(relation, "to_arrow_reader", None) or relation.fetch_record_batch  # the latter before 1.5
    reader = stream(2048)
    batches: list[pa.RecordBatch] = []
    count = size_so_far = 0
    for batch in reader:
        size_so_far += batch.nbytes
        if size_so_far > size:
            return _table(batches, reader.schema), f"the first {count} rows: the others pass {size >> 20} MB"
        batches.append(batch.slice(0, rows - count))
        count += batch.num_rows
        if count > rows:
            return _table(batches, reader.schema), f"the first {rows} rows: there are more"
    return _table(batches, reader.schema), ""


def _table(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(batches, schema)
