"""Disks that fail: at operation N, as a process that dies, as a full or broken disk, as a power cut."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from screen.disk import Disk

OPERATIONS = (
    "make_folder",
    "write_new",
    "append",
    "truncate",
    "read",
    "read_at",
    "sha256",
    "names",
    "fsync_file",
    "fsync_dir",
    "rename",
    "link",
    "unlink",
    "lock",
    "unlock",
)
ALLOCATING = ("make_folder", "write_new", "append", "lock")


class Died(BaseException):
    """The process is gone; only the disk is left."""


class CountingDisk(Disk):
    """Counts operations and hands each to `hit`. Skips the real fsync: the tests simulate what it is for."""

    def __init__(self) -> None:
        self.count = 0
        self.held: set[int] = set()

    def hit(self, name: str, arguments: tuple[Any, ...]) -> Any:
        return self.really(name, arguments)

    def really(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name.startswith("fsync"):
            return None
        answer = getattr(Disk, name)(self, *arguments)
        if name == "lock" and answer is not None:
            self.held.add(answer)
        if name == "unlock":
            self.held.discard(arguments[0])
        return answer

    def bury(self) -> None:
        """What the kernel does for a dead process."""
        for descriptor in self.held:
            os.close(descriptor)
        self.held.clear()


def _operation(name: str) -> Callable[..., Any]:
    def operation(self: CountingDisk, *arguments: Any) -> Any:
        self.count += 1
        return self.hit(name, arguments)

    return operation


for _name in OPERATIONS:
    setattr(CountingDisk, _name, _operation(_name))


class FaultyDisk(CountingDisk):
    """Fails at operation `at`: kind is one of KINDS."""

    KINDS = ("die before", "die after", "torn write", "ENOSPC once", "ENOSPC", "EIO once", "EIO")

    def __init__(self, kind: str, at: int) -> None:
        super().__init__()
        self.kind = kind
        self.at = at
        self.dead = False

    def hit(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if self.dead:
            raise Died
        if self.count < self.at or (self.count > self.at and not self._for_ever(name)):
            return self.really(name, arguments)
        if self.kind in ("die before", "die after", "torn write"):
            self._die(name, arguments)
        if name == "unlock":
            return self.really(name, arguments)  # closing a descriptor needs no disk
        if name in ("write_new", "append"):
            self._half(name, arguments)
        raise OSError(getattr(errno, self.kind.split()[0]), "injected")

    def _for_ever(self, name: str) -> bool:
        return self.kind == "EIO" or (self.kind == "ENOSPC" and name in ALLOCATING)

    def _die(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.dead = True
        if self.kind == "die after":
            self.really(name, arguments)
        if self.kind == "torn write" and name in ("write_new", "append"):
            self._half(name, arguments)
        raise Died

    def _half(self, name: str, arguments: tuple[Any, ...]) -> None:
        path, data = arguments
        self.really(name, (path, data[: len(data) // 2]))


class PowerDisk(CountingDisk):
    """Loses, at the power cut before operation `cut_at`, what was not synced. Syncs from `lie_at` on do nothing.

    A file's bytes are kept by fsync_file, its name by fsync_dir. What is not kept is undone, newest first.
    """

    def __init__(self, cut_at: int, lie_at: int | None = None, lies: int = 10**9) -> None:
        super().__init__()
        self.cut_at = cut_at
        self.lying = range(lie_at, lie_at + lies) if lie_at is not None else range(0)
        self._undo: list[tuple[object, Callable[[], None]]] = []  # what keeps it, how to undo it
        self._where: dict[int, Path] = {}  # inode -> path now

    def hit(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if self.count >= self.cut_at:
            raise Died
        if name.startswith("fsync"):
            if self.count not in self.lying:
                self._keep(arguments[0] if name == "fsync_dir" else os.stat(arguments[0]).st_ino)
            return None
        before = getattr(self, f"_before_{name}", lambda *_: lambda: None)(*arguments)
        answer = self.really(name, arguments)
        before()
        return answer

    def cut(self) -> None:
        for _, undo in reversed(self._undo):
            undo()
        self._undo.clear()
        self.bury()

    def _keep(self, what: object) -> None:
        self._undo = [entry for entry in self._undo if entry[0] != what]

    def _content(self, path: Path, restore: Callable[[Path], None]) -> None:
        inode = path.stat().st_ino
        self._where.setdefault(inode, path)
        self._undo.append((inode, lambda: restore(self._where[inode]) if self._where[inode].exists() else None))

    def _before_write_new(self, path: Path, data: bytes) -> Callable[[], None]:
        def after() -> None:
            self._where[path.stat().st_ino] = path
            self._undo.append((path.parent, lambda: path.unlink(missing_ok=True)))
            self._content(path, lambda now: os.truncate(now, 0))

        return after

    def _before_append(self, path: Path, data: bytes) -> Callable[[], None]:
        size = path.stat().st_size
        return lambda: self._content(path, lambda now: os.truncate(now, size))

    def _before_truncate(self, path: Path, size: int) -> Callable[[], None]:
        old = path.read_bytes()
        return lambda: self._content(path, lambda now: now.write_bytes(old) and None)

    def _before_rename(self, source: Path, target: Path) -> Callable[[], None]:
        old = target.read_bytes() if target.exists() else None

        def undo() -> None:
            self._where[target.stat().st_ino] = source
            target.rename(source)
            if old is not None:
                target.write_bytes(old)

        def after() -> None:
            self._where[target.stat().st_ino] = target
            self._undo.append((source.parent, undo))

        return after

    def _before_unlink(self, path: Path) -> Callable[[], None]:
        old = path.read_bytes()
        return lambda: self._undo.append((path.parent, lambda: path.write_bytes(old) and None))
