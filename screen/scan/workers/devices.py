"""Several devices on one machine: one process each, shards handed out, results handed back in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from screen.baselines.given import GivenAnswers
from screen.data.dataset import Dataset, Window
from screen.scan.instruments import Instruments
from screen.scan.workers.pool import Workers
from screen.scan.workers.worker import WorkerSetup
from screen.scoring.context import ScoringContext
from screen.spec import ScanSpec


def sharing(devices: Sequence[str], threads: int) -> dict[str, Any]:
    """For the record: the devices, and torch's threads in each process, of `threads` in one alone. No bit has been seen
    to depend on the threads, but nothing promises it on every processor."""
    return {"devices": list(devices), "threads": max(1, threads // max(1, len(devices)))}


def shared(
    windows: Iterator[Window],
    devices: Sequence[str],
    spec: ScanSpec,
    dataset: Dataset,
    instruments: Instruments,
    context: ScoringContext,
    given: GivenAnswers | None,
    cache: Path,
    budget: Callable[[int], int],
    told: Callable[[str, int], None],
) -> Generator[tuple[Window, dict[str, Any], int], None, None]:
    """Each window with its tables and the tokens a batch they took, in order, scored by one process a device.

    The parent's own process for the model is given up: from here on it only reads rows and publishes.
    """
    batching = str(instruments.projector.batching)
    instruments.host.close()
    dataset = replace(dataset)  # without what it remembers: the workers are sent it
    threads = sharing(devices, instruments.host.threads)["threads"]
    parent, longest = os.getpid(), instruments.facts["model"]["longest_row"]
    orders = [
        WorkerSetup(spec, d, dataset, instruments.kind, context, given, cache, threads, parent, longest)
        for d in devices
    ]
    with Workers(orders, batching, budget, told) as pool:
        yield from pool.score(windows)
