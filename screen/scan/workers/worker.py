"""A worker: one process with instruments of its own on one device. It takes windows of rows and gives back tables; its
model runs in a process of its own again (`guarded.py`).

Over the connection come a window (None: the one read ahead), its tokens a batch, and perhaps a window to read ahead; or
None to stop. Back go ("ready", batching), ("answered", tokens), ("scored", tokens), ("done", {table: Arrow IPC bytes},
tokens a batch) and ("failed", error class, message, next step). It writes nothing but answers into the cache. When its
parent is gone, the connection ends, and so does it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa

from screen.baselines.answers_file import GivenAnswers
from screen.baselines.kind import ResponseSource
from screen.baselines.table import kind_of
from screen.data.dataset import Dataset, Window
from screen.model.host import Host
from screen.progress import Silent
from screen.scan.instruments import load_instruments
from screen.scan.scorer import Scorer, with_directions
from screen.scan.workers.child import live
from screen.scan.workers.guarded import Guarded
from screen.scoring.context import ScoringContext
from screen.scoring.shard import ShardInput, Tables
from screen.spec import ScanSpec


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker is to do, fixed before it starts. `threads`: of torch, in each worker; `longest`: the row that the
    batching is proved on."""

    spec: ScanSpec
    device: str
    dataset: Dataset
    baseline: str
    context: ScoringContext
    given: GivenAnswers | None
    cache: Path
    threads: int
    parent: int
    longest: int


def work(
    connection: Connection,
    parents_end: Connection | None,
    order: WorkerSetup,
    look: Callable[[Window], None] = lambda _window: None,
) -> None:
    """The body of a worker process. `look` sees each window before it is scored."""
    live(connection, parents_end, order.parent, lambda: _work(connection, order, look))


def _work(connection: Connection, order: WorkerSetup, look: Callable[[Window], None]) -> None:
    import torch

    torch.set_num_threads(order.threads)
    with Guarded() as host:
        _score(connection, order, look, host)


def _score(connection: Connection, order: WorkerSetup, look: Callable[[Window], None], host: Host) -> None:
    spec = replace(order.spec, device=order.device)
    baseline = kind_of(order.baseline)
    instruments = load_instruments(spec, baseline, Silent(), host, lambda _renderer: order.longest)
    responses: ResponseSource | None = None
    if baseline.generates:
        model = instruments.identity(spec)["model"]
        responses = instruments.responses(
            model, order.cache, lambda _d, _o, n: connection.send(("answered", n)), Silent(), since=spec.since
        )
    projector = with_directions(instruments.projector, order.context.directions)
    scorer = Scorer(
        order.dataset, instruments, baseline, projector, order.context, responses, order.given, spec.group_by
    )
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    connection.send(("ready", str(instruments.projector.batching)))

    def read(window: Window) -> ShardInput:
        look(window)
        return scorer.read(window)

    def told(tokens: int, _of: int) -> None:
        connection.send(("scored", tokens))

    with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
        coming: Future[ShardInput] | None = None
        while (job := connection.recv()) is not None:
            window, budget, hint = job
            if window is None:
                assert coming is not None
                shard = coming.result()
            else:
                shard = read(window)
            coming = reader.submit(read, hint) if hint is not None else None
            tables, budget = scorer.score(shard, budget, told)
            connection.send(("done", {name: to_bytes(table) for name, table in tables.items()}, budget))


def to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def from_bytes(data: Mapping[str, bytes]) -> Tables:
    return {name: pa.ipc.open_stream(pa.py_buffer(one)).read_all() for name, one in data.items()}
