"""Who holds a folder: what is recorded, who counts as alive, and file systems without locks."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from screen.disk import Disk
from screen.errors import StoreError
from screen.store import lock
from screen.store.lock import Holder, Lock

ME = Holder.this()


def gone() -> Holder:
    """A process of this machine that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return replace(ME, pid=child.pid)


def test_this_process_is_recorded_as_the_kernel_knows_it() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    since_boot = float(Path("/proc/uptime").read_text().split()[0])
    assert (ME.pid, ME.host, ME.boot) == (os.getpid(), socket.gethostname(), lock._boot())
    assert re.fullmatch(r"[0-9a-f-]{36}", ME.boot)
    assert ME.started is not None
    assert 0 <= since_boot - ME.started / ticks < time.process_time() + 10_000
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = lock._started(child.pid)
    child.communicate(b"\n")
    assert started is not None
    assert started > ME.started
    assert lock._started(child.pid) is None


@pytest.mark.parametrize(("change", "here", "alive"), [
    ({}, True, True),
    ({"host": "elsewhere"}, True, True),  # a container calls itself otherwise
    ({"host": "elsewhere", "boot": "x"}, False, True),
    ({"host": "elsewhere", "boot": ""}, False, True),
    ({"boot": "x"}, True, False),  # before a reboot
    ({"started": 1}, True, False),  # the number was given to another process
])  # fmt: skip
def test_who_counts_as_alive(change: dict[str, object], here: bool, alive: bool) -> None:
    holder = replace(ME, **change)  # type: ignore[arg-type]
    assert (holder.here, holder.alive) == (here, alive)


def test_a_process_that_has_ended_is_not_alive() -> None:
    assert (gone().here, gone().alive) == (True, False)


def test_a_process_of_another_user_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, signal: int) -> None:
        assert signal == 0
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert ME.alive


def test_a_lock_records_its_holder_alone_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / lock.NAME).write_text("x" * 1000)
    held = Lock(tmp_path)
    assert json.loads((tmp_path / lock.NAME).read_text()) == asdict(ME)
    held.release()
    held.release()
    assert list(tmp_path.iterdir()) == []


class WithoutLocks(Disk):
    """A file system that knows no locks: the file is made, and locking it fails."""

    def __init__(self, code: int) -> None:
        self.code = code

    def lock(self, path: Path) -> int | None:
        path.touch()
        raise OSError(self.code, "injected")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_without_the_kernels_lock_the_record_decides(tmp_path: Path, code: int) -> None:
    (tmp_path / lock.NAME).write_text(json.dumps(asdict(gone())))
    held = Lock(tmp_path, WithoutLocks(code))
    with pytest.raises(StoreError, match=f"process {ME.pid} is writing"):
        Lock(tmp_path, WithoutLocks(code))
    held.release()
    Lock(tmp_path, WithoutLocks(code)).release()


def test_another_failure_of_the_lock_is_no_lack_of_locks(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="injected"):
        Lock(tmp_path, WithoutLocks(errno.EIO))


def test_a_holder_that_is_not_on_record_is_told_of_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    held = Lock(tmp_path)
    (tmp_path / lock.NAME).write_text("{}")
    with pytest.raises(StoreError) as caught:
        Lock(tmp_path)
    assert str(caught.value) == (
        f"another process is writing {tmp_path}\n  next: wait for it to end, or give another --out"
    )
    assert 0.5 <= sum(waits) <= 2  # seconds, in which whoever has just taken the lock writes its name
    held.release()


def test_a_holder_elsewhere_is_told_of_with_what_to_delete(tmp_path: Path) -> None:
    record = json.dumps(asdict(replace(ME, pid=7, host="elsewhere", boot="x")))
    (tmp_path / lock.NAME).write_text(record)
    for _ in range(2):  # the first refusal does not leave the kernel's lock behind
        with pytest.raises(StoreError) as caught:
            Lock(tmp_path)
        assert str(caught.value) == (
            f"process 7 on the machine elsewhere is writing {tmp_path}\n"
            f"  next: wait for it to end; if it is surely gone, delete {tmp_path / lock.NAME} and run the same"
            " command again"
        )
    assert (tmp_path / lock.NAME).read_text() == record


def test_a_lock_file_that_its_last_holder_removed_is_made_anew(tmp_path: Path) -> None:
    class Removed(Disk):
        taken = 0

        def lock(self, path: Path) -> int | None:
            descriptor = super().lock(path)
            self.taken += 1
            if self.taken == 1:
                path.unlink()
            if self.taken == 2:
                path.rename(path.with_name("other"))
                path.touch()
            return descriptor

    disk = Removed()
    held = Lock(tmp_path, disk)
    assert (disk.taken, json.loads((tmp_path / lock.NAME).read_text())) == (3, asdict(ME))
    assert is_locked(tmp_path / lock.NAME)
    held.release()


def is_locked(path: Path) -> bool:
    return Disk().lock(path) is None
