"""Workers that kill themselves, for test_devices.py: a spawned process finds them by name."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection

from screen.data.dataset import Window
from screen.engines.worker import Order, work

KILLER = 21


def _die_on_killer(window: Window) -> None:
    if any(e.place.row == KILLER and hasattr(e, "value") for e in window.entries):
        os.kill(os.getpid(), signal.SIGKILL)


def _die_on_many(window: Window) -> None:
    if len(window.entries) > 2:
        os.kill(os.getpid(), signal.SIGKILL)


def kills_on_a_row(connection: Connection, order: Order) -> None:
    work(connection, order, _die_on_killer)


def kills_on_many_rows(connection: Connection, order: Order) -> None:
    work(connection, order, _die_on_many)
