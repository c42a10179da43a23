"""Workers that kill themselves, for test_devices.py: a spawned process finds them by name."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from tokenizers import pre_tokenizers

from screen.data.dataset import Window
from screen.model.forward.items import Item
from screen.model.forward.projector import Projector
from screen.scan.workers import guard
from screen.scan.workers.worker import WorkerSetup, work

KILLER = 21


def _die_on_killer(window: Window) -> None:
    if any(e.place.row == KILLER and hasattr(e, "value") for e in window.entries):
        os.kill(os.getpid(), signal.SIGKILL)


def _die_on_many(window: Window) -> None:
    if len(window.entries) > 2:
        os.kill(os.getpid(), signal.SIGKILL)


def hangs_on_a_row(connection: Connection, parents_end: Connection | None, order: WorkerSetup) -> None:
    """In the process that runs the model, which is forked from here."""
    real = Projector._batch
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())  # as in the tiny model's vocabulary
    asked = np.array([alphabet.index(c) for c in f"ĠisĠ{KILLER}Ġtimes"], dtype=np.int32).tobytes()
    guard.FLOOR, guard.FIRST, guard.TIMES = 4.0, 4.0, 5

    def batch(self: Projector, parts: Sequence[Item], *rest: Any) -> Any:
        while any(asked in part.ids.tobytes() for part in parts):
            pass
        return real(self, parts, *rest)

    Projector._batch = batch  # type: ignore[method-assign]
    work(connection, parents_end, order)


def kills_on_a_row(connection: Connection, parents_end: Connection | None, order: WorkerSetup) -> None:
    work(connection, parents_end, order, _die_on_killer)


def kills_on_many_rows(connection: Connection, parents_end: Connection | None, order: WorkerSetup) -> None:
    work(connection, parents_end, order, _die_on_many)
