"""A process of this one's own: what it is set up with."""

from __future__ import annotations

import os
import resource
import sys
from multiprocessing.connection import Connection

import pytest

from screen.scan.workers.child import Child, keep_memory, settle


def churn(connection: Connection, _parents_end: Connection, parent: int, keeps: bool) -> None:
    """Tells how many pages were taken from the kernel by five rounds of 80 MB, taken and freed, after a first one."""
    settle(None, parent)
    if keeps:
        keep_memory()
    seen = []
    for _ in range(6):
        _buffers = [b"x" * (20 << 20) for _ in range(4)]
        del _buffers
        seen.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    connection.send(seen[-1] - seen[0])


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_memory_that_is_freed_is_taken_again_without_the_kernel() -> None:
    pages = []
    for keeps in (True, False):
        child = Child(churn, "fork", os.getpid(), keeps)
        pages.append(child.receive(60.0))
        child.end(patience=5.0)
    assert pages[0] * 10 < pages[1]
