"""One writer a folder. The kernel's lock decides; the file's text says who, for people and for other machines.

The kernel drops its lock with the process, so a killed run never blocks the next one on the same machine. Over
a network the kernel may know nothing of the other side: there the recorded machine decides.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from screen.disk import DISK, Disk
from screen.errors import StoreError

NAME = "writer.lock"


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that writes, or wrote, a folder."""

    pid: int
    started: int | None  # clock ticks since boot, so that a reused pid is told apart; None where unknown
    host: str
    boot: str  # the machine's boot, or "" where unknown

    @classmethod
    def this(cls) -> Holder:
        return cls(os.getpid(), _started(os.getpid()), socket.gethostname(), _boot())

    @classmethod
    def read(cls, path: Path) -> Holder | None:
        """None where nobody is recorded, or a crash tore the record."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def here(self) -> bool:
        """On this machine: same boot, whatever a container calls itself, or same name after a reboot."""
        return self.host == socket.gethostname() or (self.boot != "" and self.boot == _boot())

    @property
    def alive(self) -> bool:
        """Whether it still runs; another machine's process counts as running."""
        if not self.here:
            return True
        if self.boot != _boot():
            return False
        return _exists(self.pid) and _started(self.pid) == self.started


class Lock:
    """Held from construction to `release`, or to the end of the process."""

    def __init__(self, folder: Path, disk: Disk = DISK) -> None:
        self.path = folder / NAME
        self._disk = disk
        self._descriptor = self._take(folder)
        try:
            disk.truncate(self.path, 0)
            disk.append(self.path, json.dumps(asdict(Holder.this())).encode())
        except Exception:
            self.release()
            raise

    def _take(self, folder: Path) -> int | None:
        while True:
            kernel = True
            try:
                descriptor = self._disk.lock(self.path)
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                    raise
                descriptor, kernel = None, False  # a file system without locks: the record decides
            if kernel and descriptor is None:
                raise self._held(folder, self._who())
            if descriptor is not None and not self._current(descriptor):
                self._disk.unlock(descriptor)  # its last holder removed the file while we waited
                continue
            holder = Holder.read(self.path)
            if holder and holder.alive and not (kernel and holder.here):
                if descriptor is not None:
                    self._disk.unlock(descriptor)
                raise self._held(folder, holder)
            return descriptor

    def _who(self) -> Holder | None:
        """Whoever has the kernel's lock; it writes its name right after taking it."""
        for _ in range(20):
            holder = Holder.read(self.path)
            if holder is not None and holder.alive:
                return holder
            time.sleep(0.05)
        return None

    def _current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def _held(self, folder: Path, holder: Holder | None) -> StoreError:
        if holder is None:
            return StoreError(f"another process is writing {folder}", "wait for it to end, or give another --out")
        if holder.here:
            return StoreError(
                f"process {holder.pid} is writing {folder}",
                f"wait for it to end, stop it (kill {holder.pid}), or give another --out",
            )
        return StoreError(
            f"process {holder.pid} on the machine {holder.host} is writing {folder}",
            f"wait for it to end; if it is surely gone, delete {self.path} and run the same command again",
        )

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self._disk.unlink(self.path)  # while still held, so that nobody else's record is removed
        if self._descriptor is not None:
            self._disk.unlock(self._descriptor)
            self._descriptor = None


def _exists(pid: int) -> bool:
    if os.name == "nt":  # there, signal 0 is Ctrl-C
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])  # field 22; the name before it may hold anything


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
