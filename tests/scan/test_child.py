"""A process of this one's own: what it is set up with, and what is known of its end."""

from __future__ import annotations

import faulthandler
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from screen.scan.workers.child import Child, keep_memory, settle

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")


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


def test_memory_that_is_freed_is_taken_again_without_the_kernel() -> None:
    pages = []
    for keeps in (True, False):
        child = Child(churn, "fork", os.getpid(), keeps)
        pages.append(child.receive(60.0))
        child.end(patience=5.0)
    assert pages[0] * 10 < pages[1]


def says_and_dies(connection: Connection, _parents_end: Connection, ends: Callable[[], None]) -> None:
    faulthandler.disable()
    os.write(2, b"loaded\n")
    connection.send("ready")
    connection.recv()
    os.write(2, b"no thread\x1b\n\n")
    ends()


@pytest.mark.parametrize(("ends", "how"), [
    (os.abort, "was ended by SIGABRT"), (lambda: os._exit(1), "ended with exit code 1"),
])  # fmt: skip
def test_what_native_code_said_last_is_told(
    ends: Callable[[], None], how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    child = Child(says_and_dies, "fork", ends)
    assert child.receive(60.0) == "ready"
    child.send("go")
    assert child.receive(60.0) is None
    assert child.end(patience=5.0) == f"its process {how}; the last it wrote: no thread"
    assert capfd.readouterr().err == "loaded\nno thread\x1b\n\n"


def test_what_was_said_of_earlier_work_is_not_blamed() -> None:
    child = Child(says_and_dies, "fork", lambda: None)
    assert child.receive(60.0) == "ready"
    child.process.kill()
    child.process.join()
    child.send("go")
    assert child.end(patience=5.0) == "its process was ended by SIGKILL"


def test_a_process_that_says_very_much_is_not_held_up() -> None:
    def says_much(connection: Connection, _parents_end: Connection) -> None:
        for _ in range(3):
            os.write(2, b"." * (1 << 20))
        connection.send("done")

    child = Child(says_much, "fork")
    assert child.receive(10.0) == "done"
    child.end(patience=5.0)


def greets(connection: Connection, _parents_end: None) -> None:
    connection.send("hello")


def test_a_process_started_anew_does_not_run_the_script_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from screen.scan.workers.child import Child\nfrom tests.scan.test_child import greets\n"
        "print('from the top')\nchild = Child(greets, 'spawn')\nprint(child.receive(60.0))\nchild.end(5.0)\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout == "from the top\nhello\n"
