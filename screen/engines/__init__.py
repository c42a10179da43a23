"""Several devices on one machine: one process each, shards handed out, results handed back in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from screen.answers_file import GivenAnswers
from screen.data.dataset import Dataset, Window
from screen.engines.crew import Crew
from screen.engines.worker import Order
from screen.scoring.standards import Standards
from screen.setup import Engine
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
    engine: Engine,
    standards: Standards,
    given: GivenAnswers | None,
    cache: Path,
    budget: Callable[[int], int],
    told: Callable[[str, int], None],
) -> Generator[tuple[Window, dict[str, Any], int], None, None]:
    """Each window with its tables and the tokens a batch they took, in order, scored by one process a device.

    The parent's own process for the model is given up: from here on it only reads rows and publishes.
    """
    batching = str(engine.projector.batching)
    engine.host.close()
    dataset = replace(dataset)  # without what it remembers: the workers are sent it
    threads = sharing(devices, engine.host.threads)["threads"]
    parent, longest = os.getpid(), engine.facts["model"]["longest_row"]
    orders = [Order(spec, d, dataset, engine.kind, standards, given, cache, threads, parent, longest) for d in devices]
    with Crew(orders, batching, budget, told) as crew:
        yield from crew.score(windows)
