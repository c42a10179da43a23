"""Every storage operation of the project, in one small object that a test can make fail at operation N.

The only place that renames, fsyncs, appends and makes temporary files. Knows nothing of runs, shards or tables.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from screen.errors import StoreError, UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_UNSYNCED = (errno.EACCES, errno.EINVAL, errno.ENOTSUP)
AGAIN = "run the same command again: it goes on where it stopped"


class Disk:
    """The operations. Each either happens or raises OSError; none retries, and only fsync_dir hides one."""

    def make_folder(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)

    def write_new(self, path: Path, data: bytes) -> None:
        """Create `path`, which must not exist, and write all of `data`. Not durable until fsync_file."""
        with open(path, "xb") as file:
            file.write(data)

    def append(self, path: Path, data: bytes) -> None:
        with open(path, "ab", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]

    def truncate(self, path: Path, size: int) -> None:
        os.truncate(path, size)

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def read_at(self, path: Path, offset: int, size: int) -> bytes:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(size)

    def sha256(self, path: Path) -> str:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def names(self, folder: Path) -> list[str]:
        return sorted(os.listdir(folder))

    def fsync_file(self, path: Path) -> None:
        self._fsync(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)

    def fsync_dir(self, path: Path) -> None:
        """Nothing where a folder cannot be opened, or is not to be synced (Windows, some network disks, a folder that
        may be written and not read): there the file system keeps the names by itself."""
        if hasattr(os, "O_DIRECTORY"):
            try:
                self._fsync(path, os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                if error.errno not in _UNSYNCED:
                    raise

    def rename(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        """A second name. Raises FileExistsError where the target exists."""
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def lock(self, path: Path) -> int | None:
        """An open descriptor that holds the file's exclusive lock, or None while another process has it.

        Raises OSError(ENOSYS) where the platform has no such locks (Windows)."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if fcntl is None:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def unlock(self, descriptor: int) -> None:
        os.close(descriptor)

    @staticmethod
    def _fsync(path: Path, flags: int) -> None:
        descriptor = os.open(path, flags)
        try:
            full = getattr(fcntl, "F_FULLFSYNC", None)  # on macOS fsync stops at the drive's own cache
            if full is None:
                os.fsync(descriptor)
            else:
                fcntl.fcntl(descriptor, full)
        finally:
            os.close(descriptor)


DISK = Disk()


def temporary(path: Path) -> Path:
    """A name beside `path` that nobody else uses; `is_temporary` knows it again."""
    return path.with_name(f"{path.name}.tmp.{uuid.uuid4().hex}")


def is_temporary(name: str) -> bool:
    return ".tmp." in name


def write_atomically(path: Path, data: bytes, disk: Disk = DISK) -> None:
    """`path` holds all of the old bytes or all of the new ones, whatever happens; durable on return."""
    with new_file(path, disk) as scratch:
        disk.write_new(scratch, data)


@contextlib.contextmanager
def new_file(path: Path, disk: Disk = DISK, *, replace: bool = True) -> Iterator[Path]:
    """A name beside `path` for the body to write to. At its end the file is made durable and takes the name `path`;
    where the body fails, it is removed. Without `replace`, raises FileExistsError where `path` exists by then."""
    scratch = temporary(path)
    with removed_on_error(scratch, disk=disk):
        yield scratch
        disk.fsync_file(scratch)
        if replace:
            disk.rename(scratch, path)
        else:
            disk.link(scratch, path)
            disk.unlink(scratch)
    disk.fsync_dir(path.parent)


@contextlib.contextmanager
def new_folder(path: Path, disk: Disk = DISK, *, replace: bool = False) -> Iterator[Path]:
    """A folder beside `path` for the body to fill. At its end all in it is made durable and it takes the name `path`;
    where the body fails, it is removed with all it holds. Raises FileExistsError where `path` exists by then, unless it
    is a folder to `replace`, which is removed once the new one stands in its place."""
    scratch = temporary(path)
    disk.make_folder(scratch)
    try:
        yield scratch
        for folder, _, names in os.walk(scratch, topdown=False):
            for name in names:
                disk.fsync_file(Path(folder, name))
            disk.fsync_dir(Path(folder))
        old = temporary(path) if os.path.lexists(path) else None
        if old is not None:
            if not replace:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            disk.rename(path, old)
        try:
            disk.rename(scratch, path)
        except BaseException:
            if old is not None:
                disk.rename(old, path)
            raise
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    try:
        disk.fsync_dir(path.parent)
    finally:
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)


def append_durably(path: Path, data: bytes, disk: Disk = DISK) -> None:
    """After an error the file may end in a part of `data`."""
    disk.append(path, data)
    disk.fsync_file(path)


def truncate_durably(path: Path, size: int, disk: Disk = DISK) -> None:
    disk.truncate(path, size)
    disk.fsync_file(path)


def set_aside(path: Path, disk: Disk = DISK) -> None:
    """Free the name without deleting what has it."""
    disk.rename(path, path.with_name(f"{path.name}.orphan.{uuid.uuid4().hex}"))


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A folder among the system's temporary files, removed with all it holds at the end of the body."""
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        yield Path(folder)


def spooled(source: BinaryIO, folder: Path | None) -> Path:
    """A copy of what `source` still holds, under a new name in `folder`, or among the system's temporary files."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix="input-", delete=False) as copy:
        path = Path(copy.name)
        with removed_on_error(path):
            shutil.copyfileobj(source, copy, 1 << 20)
    return path


@contextlib.contextmanager
def removed_on_error(*paths: Path, disk: Disk = DISK) -> Iterator[None]:
    """Remove our own scratch files when the body fails, so that a full disk does not stay full."""
    try:
        yield
    except BaseException:
        for path in paths:
            with contextlib.suppress(OSError):
                disk.unlink(path)
        raise


@contextlib.contextmanager
def storing(path: Path, next_step: str = AGAIN, flag: str = "--out") -> Iterator[None]:
    """Turn the operating system's refusals inside the body into a StoreError about `path`, which `flag` named."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path, next_step, flag) from error


@contextlib.contextmanager
def writing(path: Path, next_step: str) -> Iterator[None]:
    """Turn the operating system's refusals inside the body into a UsageError about `path`, a file the user named."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}", next_step) from error


def storage_error(error: OSError, path: Path, next_step: str = AGAIN, flag: str = "--out") -> StoreError:
    elsewhere = f"give {flag} a folder that can be written"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StoreError(f"the disk that holds {path} is full", f"free some space, then {next_step}")
        case errno.EROFS:
            return StoreError(f"{path} is on a read-only disk", elsewhere)
        case errno.EACCES | errno.EPERM:
            return StoreError(f"no permission to write in {path}", elsewhere)
        case errno.ENOTDIR | errno.EEXIST:
            return StoreError(f"{path} cannot be a folder: a file is in the way", elsewhere)
        case errno.EIO:
            return StoreError(f"the disk that holds {path} reports an I/O error", f"check the disk, then {next_step}")
        case _:
            reason = error.strerror or str(error)
            return StoreError(f"cannot use {path}: {reason}", f"put that right, then {next_step}")
