"""What a confined process may still do: by the kernel's own word, and by version of the kernel's interface."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from screen.store.sql import landlock

HERE = sys.platform.startswith("linux")
pytestmark = pytest.mark.skipif(not HERE, reason="Landlock is Linux's")


def by_the_kernel() -> int:
    """landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)"""
    return max(int(ctypes.CDLL(None).syscall(444, None, 0, 1)), 0)


def in_a_child(action: Callable[[], int]) -> int:
    """What the action returns in a forked process."""
    child = os.fork()
    if not child:
        code = 99
        try:
            code = action()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def refused(action: Callable[[], object]) -> bool:
    try:
        action()
    except PermissionError:
        return True
    return False


def test_the_version_is_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert landlock.version() == by_the_kernel()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert (landlock.version(), landlock.confine([])) == (0, 0)


@pytest.mark.parametrize(("version", "rights", "network", "scopes", "size"), [
    (1, 13, 0, 0, 8), (2, 14, 0, 0, 8), (3, 15, 0, 0, 8), (4, 15, 2, 0, 16), (5, 16, 2, 0, 16), (6, 16, 2, 2, 24),
    (7, 16, 2, 2, 24),
])  # fmt: skip
def test_every_version_is_asked_for_all_that_it_can_deny(
    version: int, rights: int, network: int, scopes: int, size: int
) -> None:
    """Bits of each kind by version, as the kernel's documentation lists them."""
    asked = landlock.attributes(version)
    every = struct.unpack("=QQQ", asked.ljust(24, b"\0"))
    assert (len(asked), every) == (size, (2**rights - 1, 2**network - 1, 2**scopes - 1))


@pytest.mark.skipif(by_the_kernel() < 6, reason="this kernel's Landlock is older")
def test_a_confined_process_has_no_network_no_signals_and_no_new_rights(tmp_path: Path) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    parent = os.getpid()
    (tmp_path / "readable").mkdir()
    (tmp_path / "readable/a").write_text("a")

    def confined() -> int:
        found = landlock.confine([tmp_path / "readable"])
        denied = [
            found == by_the_kernel(),
            (tmp_path / "readable/a").read_text() == "a",
            refused(lambda: os.listdir(tmp_path / "readable")),
            refused(lambda: socket.create_connection(server.getsockname(), 5)),
            refused(lambda: socket.create_server(("127.0.0.1", 0))),
            refused(lambda: os.kill(parent, 0)),
            ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) == 1,  # PR_GET_NO_NEW_PRIVS
        ]
        return denied.index(False) if False in denied else 50

    assert in_a_child(confined) == 50
    server.close()


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    def confined() -> int:
        try:
            landlock.confine([tmp_path / "none"])
        except FileNotFoundError:
            return 1
        return 2

    assert in_a_child(confined) == (1 if by_the_kernel() else 2)


def test_a_call_that_the_kernel_refuses_raises_its_error() -> None:
    with pytest.raises(OSError, match=os.strerror(9)):
        landlock._checked(landlock._RESTRICT_SELF, -1, 0)


def test_a_process_ends_with_its_parent() -> None:
    """A child starts a process that asks for this, and ends: the pipe that process holds is closed."""
    ours, theirs = os.pipe()

    def parent() -> int:
        if not os.fork():
            landlock.die_with_parent()
            os.write(theirs, b"ready")
            time.sleep(60)
            os._exit(0)
        return len(os.read(ours, 5))

    assert in_a_child(parent) == 5
    os.close(theirs)
    assert select.select([ours], [], [], 10)[0]
    assert os.read(ours, 1) == b""
    os.close(ours)
    assert signal.SIGKILL == 9
