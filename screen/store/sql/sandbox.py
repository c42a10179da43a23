"""Runs a statement of the user's over a run's shards, in a child process that can do nothing but read them.

The guards, each enough for most attacks: exactly one statement, of type SELECT, made of reading parts only;
DuckDB's external access off and its configuration locked; resource limits; a timer; Landlock, where the kernel
has it; an empty environment. Knows nothing of what the views mean.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

from screen.errors import UsageError, says_memory_ended
from screen.store.sql import errors

_START = "import sys; sys.path[:] = sys.argv[1:]; from screen.store.sql.child import main; main()"
_KEPT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")  # what the interpreter itself may need to start
_ONE = "give one SELECT (WITH, FROM, VALUES, DESCRIBE and SUMMARIZE count too): a run's data is never changed"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may use."""

    seconds: float = 60.0
    memory: int = 2 << 30  # bytes; DuckDB is told 80 % of it, the process is stopped a GB above
    rows: int = 1_000_000
    bytes: int = 256 << 20  # of rows returned
    landlock: bool = True  # off only to test the other guards alone


@dataclass(frozen=True, slots=True)
class SqlReply:
    """Rows, and how they came."""

    table: pa.Table
    cut: str  # a sentence where there were more rows than the limits allow, else ""
    landlock: int  # the kernel's Landlock version that confined the query; 0 where there was none
    seconds: float


def run(
    statement: str,
    views: Mapping[str, str],
    files: Sequence[Path],
    limits: Limits,
    names: Mapping[str, Sequence[str]] | None = None,
) -> SqlReply:
    """Run `statement` over `views`, which may read `files` (absolute paths).

    Raises UsageError with what DuckDB found wrong, or with which limit was passed. `names` (view -> columns) are for
    "did you mean".
    """
    started = time.monotonic()
    paths = [str(path) for path in files]
    request = {
        "statement": statement,
        "views": dict(views),
        "paths": paths,
        "folders": sorted({os.path.dirname(path) for path in paths}),
        "memory": limits.memory,
        "seconds": limits.seconds,
        "rows": limits.rows,
        "bytes": limits.bytes,
        "landlock": limits.landlock,
    }
    reply = _exchange(json.dumps(request).encode(), started + limits.seconds, limits)
    line, newline, rows = reply.partition(b"\n")
    if not newline:
        raise _too_big(limits)  # killed where DuckDB cannot catch a failed allocation
    head = json.loads(line)
    if "error" in head:
        said = _printable(head["error"].strip())
        raise _error(head["kind"], said, names or {}, limits) from errors.LibrarySaid(said)
    table = pa.ipc.open_stream(rows).read_all()
    table.validate(full=True)
    return SqlReply(table, head["cut"], head["landlock"], time.monotonic() - started)


def _exchange(request: bytes, deadline: float, limits: Limits) -> bytes:
    """The child's reply, from the statement's turn on. The child is dead on return, whatever happened."""
    paths = [os.path.abspath(p) for p in sys.path]
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", _START, *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", **_kept()},
    )
    with child:
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stderr is not None
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(request)
                child.stdin.close()
            ready, _, reply = _read(child.stdout.fileno(), deadline, limits).partition(b"\n")
            if ready != b"ready":
                raise _not_started(child.stderr.read().decode(errors="replace"), child.wait())
            return reply
        finally:
            child.kill()


def _read(pipe: int, deadline: float, limits: Limits) -> bytes:
    """All that comes until the pipe closes. Read by a thread: Windows cannot wait for a pipe with a deadline."""
    coming: queue.SimpleQueue[bytes | MemoryError] = queue.SimpleQueue()
    threading.Thread(target=_hand_on, args=(pipe, coming), daemon=True).start()
    parts: list[bytes] = []
    size = 0
    while True:
        try:
            part = coming.get(timeout=max(deadline - time.monotonic(), 0.0))
        except queue.Empty:
            raise UsageError(
                f"the query ran longer than {limits.seconds:g} s and was stopped",
                "ask for less, or allow it more time",
            ) from None
        if isinstance(part, MemoryError):
            raise part
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > limits.bytes * 2 + (1 << 20):
            raise RuntimeError("the SQL child sent more than it may")


def _hand_on(pipe: int, coming: queue.SimpleQueue[bytes | MemoryError]) -> None:
    part = b"..."
    while part:
        try:
            part = os.read(pipe, 1 << 20)
        except OSError:  # closed by the other thread, which has given up
            part = b""
        except MemoryError as error:
            coming.put(error)
            return
        coming.put(part)


def _kept() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def _not_started(said: str, code: int) -> Exception:
    if says_memory_ended(said):
        return MemoryError("no memory for the process that runs the query")
    if code < 0 and not said.strip():
        return UsageError(
            f"the process that runs the query was ended by signal {-code} before it began",
            "memory that ends does this: close other programs, or raise the limit (ulimit -v, the container's)",
        )
    return RuntimeError(f"the SQL child did not start:\n{said}")


def _too_big(limits: Limits) -> UsageError:
    return UsageError(
        f"the query needs more than {limits.memory / (1 << 30):.1f} GB of memory and was stopped",
        "choose fewer rows or columns first, e.g. select ... from turns where row in (select row from ...)",
    )


def _error(kind: str, said: str, names: Mapping[str, Sequence[str]], limits: Limits) -> UsageError:
    if kind == "memory":
        return _too_big(limits)
    if kind == "refused":
        return UsageError(f"not run: {said}", _ONE)
    return errors.told(said, names, _ONE)


def _printable(text: str) -> str:
    """DuckDB quotes values of the data in its messages: control and bidi characters must not reach a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
