"""Memory that ends is told in two lines, wherever it ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from screen.errors import memory_ended
from tests.cli.fake_run import write_chats, write_run

TOLD = "error: memory ran out\nnext: close other programs or raise the limit"


# Where memory ends depends on how libraries lie in it, so what is said varies from run to run: just memory
@pytest.mark.skipif("SCREEN_TEST_MEMORY" not in os.environ, reason="just memory")
@pytest.mark.parametrize("megabytes", [30, 60, 120, 200, 300])
@pytest.mark.parametrize("args", [
    ("rank", "chats.screen", "--by", "evil"), ("sql", "chats.screen", "select 1"), ("inspect", "chats.jsonl"),
])  # fmt: skip
def test_no_traceback_where_memory_ends(tmp_path: Path, args: tuple[str, ...], megabytes: int) -> None:
    write_run(write_chats(tmp_path / "chats.jsonl"))
    size = megabytes << 20
    code = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({size}, {size})); import sys\n"
    code += f"sys.argv = {['screen', *args]!r}\nfrom screen.__main__ import main\nmain()\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    # what C++ libraries and OpenBLAS say where they end the process themselves: no Python is left to put it better
    told = (
        TOLD,
        "std::bad_alloc",
        "OpenBLAS error",
        "memory that ends does this",
        "was stopped\nnext: choose fewer rows",
    )
    assert done.returncode == 0 or any(words in done.stderr for words in told), done.stderr


def test_what_counts_as_memory_that_ended() -> None:
    behind = RuntimeError("it failed")
    behind.__cause__ = MemoryError()
    for error in (MemoryError(), behind, OSError(errno.ENOMEM, "no"), RuntimeError("can't start new thread"),
                  ImportError("x.so: failed to map segment from shared object"),
                  SystemError("error return without exception set")):  # fmt: skip
        assert memory_ended(error)
    for other in (ValueError("memory of times past"), ImportError("no module named x"), OSError(errno.EIO, "no")):
        assert not memory_ended(other)
