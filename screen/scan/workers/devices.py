"""Several devices on one machine: one process each, shards handed out, results handed back in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from screen.data.dataset import Window
from screen.scan.scorer import Scorer
from screen.scan.workers.pool import Workers
from screen.scan.workers.worker import WorkerSetup
from screen.scoring.shard import Tables
from screen.spec import ScanSpec


class SharingFacts(TypedDict):
    """Torch devices, and torch's threads in the process of each."""

    devices: list[str]
    threads: int


def sharing(devices: Sequence[str], threads: int) -> SharingFacts:
    """For the record: the devices, and torch's threads in each process, of `threads` in one alone. No bit has been seen
    to depend on the threads, but nothing promises it on every processor."""
    return {"devices": list(devices), "threads": max(1, threads // max(1, len(devices)))}


def shared(
    windows: Iterator[Window],
    devices: Sequence[str],
    spec: ScanSpec,
    scorer: Scorer,
    cache: Path,
    budget: Callable[[int], int],
    on_work: Callable[[str, int], None],
) -> Generator[tuple[Window, Tables, int], None, None]:
    """Each window with its tables and the tokens a batch they took, in order, scored by one process a device.

    The parent's own process for the model is given up: from here on it only reads rows and publishes.
    """
    instruments = scorer.instruments
    instruments.host.close()
    dataset = replace(scorer.dataset)  # without what it remembers: the workers are sent it
    threads = sharing(devices, instruments.host.threads)["threads"]
    setups = [
        WorkerSetup(
            spec, device, dataset, scorer.baseline.name, scorer.context, scorer.given, cache, threads, os.getpid(),
            instruments.longest,
        )
        for device in devices
    ]  # fmt: skip
    with Workers(setups, str(instruments.proof.batching), budget, on_work) as pool:
        yield from pool.score(windows)
