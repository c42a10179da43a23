"""Writing whole or not at all, and the words for what an operating system refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from screen.disk import Disk, is_temporary, removed_on_error, storage_error, temporary, write_atomically
from screen.errors import StoreError


class Noting(Disk):
    """Notes each operation in its order; one of them fails."""

    def __init__(self, failing: str = "") -> None:
        self.done: list[str] = []
        self.failing = failing

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or not callable(found):
            return found
        self.done.append(name)
        if name == self.failing:
            raise OSError(errno.EIO, "injected")
        return found


def test_a_file_is_synced_before_it_takes_its_name_and_its_folder_after(tmp_path: Path) -> None:
    disk = Noting()
    (tmp_path / "a").write_bytes(b"old")
    write_atomically(tmp_path / "a", b"new", disk)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert disk.done == ["write_new", "fsync_file", "rename", "fsync_dir"]
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("failing", ["fsync_file", "rename"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, failing: str) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OSError, match="injected"):
        write_atomically(tmp_path / "a", b"new", Noting(failing))
    assert (os.listdir(tmp_path), (tmp_path / "a").read_bytes()) == (["a"], b"old")


def test_scratch_files_are_removed_where_the_body_fails_alone(tmp_path: Path) -> None:
    one, two = temporary(tmp_path / "a"), temporary(tmp_path / "a")
    assert one != two
    assert (is_temporary(one.name), is_temporary("a.tmpl")) == (True, False)
    with removed_on_error(one, two):
        two.touch()
    assert two.exists()
    with pytest.raises(KeyboardInterrupt), removed_on_error(one, two):  # the first is not there
        raise KeyboardInterrupt
    assert not two.exists()


def test_a_new_file_takes_no_others_place(tmp_path: Path) -> None:
    Disk().write_new(tmp_path / "a", b"mine")
    with pytest.raises(FileExistsError):
        Disk().write_new(tmp_path / "a", b"other")
    Disk().append(tmp_path / "a", b"!" * 100_000)
    assert Disk().read_at(tmp_path / "a", 2, 4) == b"ne!!"
    assert (tmp_path / "a").stat().st_size == 100_004


def test_what_is_locked_is_told_and_free_again_when_unlocked(tmp_path: Path) -> None:
    disk = Disk()
    held = disk.lock(tmp_path / "lock")
    assert held is not None
    assert disk.lock(tmp_path / "lock") is None
    disk.unlock(held)
    again = disk.lock(tmp_path / "lock")
    assert again is not None
    disk.unlock(again)


AGAIN = "then run the same command again: it goes on where it stopped"
ELSEWHERE = "give --out a folder that can be written"


@pytest.mark.parametrize(("code", "message", "next_step"), [
    (errno.ENOSPC, "the disk that holds /a is full", f"free some space, {AGAIN}"),
    (errno.EDQUOT, "the disk that holds /a is full", f"free some space, {AGAIN}"),
    (errno.EROFS, "/a is on a read-only disk", ELSEWHERE),
    (errno.EACCES, "no permission to write in /a", ELSEWHERE),
    (errno.EPERM, "no permission to write in /a", ELSEWHERE),
    (errno.ENOTDIR, "/a cannot be a folder: a file is in the way", ELSEWHERE),
    (errno.EEXIST, "/a cannot be a folder: a file is in the way", ELSEWHERE),
    (errno.EIO, "the disk that holds /a reports an I/O error", f"check the disk, {AGAIN}"),
    (errno.ENAMETOOLONG, "cannot use /a: File name too long", f"put that right, {AGAIN}"),
])  # fmt: skip
def test_what_the_system_refuses_in_words(code: int, message: str, next_step: str) -> None:
    error = storage_error(OSError(code, os.strerror(code)), Path("/a"))
    assert (type(error), error.message, error.next_step) == (StoreError, message, next_step)
    assert storage_error(OSError("odd"), Path("/a"), "x", "--cache").message == "cannot use /a: odd"
