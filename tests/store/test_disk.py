"""A new file appears whole or not at all, whatever fails on the way; and nothing is left beside it."""

from __future__ import annotations

import contextlib
import errno
import io
import os

import pytest

from screen.disk import new_file, new_folder, scratch_folder, set_aside, spooled, write_atomically, writing
from screen.errors import UsageError
from tests.store.faults import FaultyDisk


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("kind", ["ENOSPC once", "EIO once"])
def test_a_new_file_is_whole_or_not_there(tmp_path, replace, kind):
    for at in range(1, 6):
        folder = tmp_path / f"{at}"
        folder.mkdir()
        disk, path = FaultyDisk(kind, at), folder / "file"
        with contextlib.suppress(OSError), new_file(path, disk, replace=replace) as scratch:
            disk.write_new(scratch, b"all of it")
        assert [p.name for p in folder.iterdir()] in ([], ["file"])
        assert not path.exists() or path.read_bytes() == b"all of it"


def test_a_body_that_fails_leaves_the_old_file_alone(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(IsADirectoryError), new_file(tmp_path / "file") as scratch:
        (scratch.write_bytes(b"half"), tmp_path.write_bytes(b""))
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


def test_a_file_that_appeared_meanwhile_is_not_replaced(tmp_path):
    with pytest.raises(FileExistsError), new_file(tmp_path / "file", replace=False) as scratch:
        (scratch.write_bytes(b"mine"), (tmp_path / "file").write_bytes(b"theirs"))
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"theirs")]


def test_a_stranger_is_set_aside_not_deleted(tmp_path):
    (tmp_path / "file").write_bytes(b"theirs")
    set_aside(tmp_path / "file")
    (kept,) = tmp_path.iterdir()
    assert (kept.name.startswith("file.orphan."), kept.read_bytes()) == (True, b"theirs")


def test_a_pipe_is_copied_and_a_copy_that_fails_is_removed(tmp_path):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        spooled(Broken(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert spooled(io.BytesIO(b"rows"), tmp_path).read_bytes() == b"rows"


@pytest.mark.parametrize(("code", "refused"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_takes_no_sync_is_no_reason_to_fail(tmp_path, monkeypatch, code, refused):
    def fsync(descriptor):
        if os.path.samestat(os.fstat(descriptor), tmp_path.stat()):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output") if refused else contextlib.nullcontext():
        write_atomically(tmp_path / "file", b"all of it")
    assert (tmp_path / "file").read_bytes() == b"all of it"


def test_a_scratch_folder_goes_with_all_it_holds():
    with scratch_folder("screen-test-") as folder:
        (folder / "file").touch()
    assert not folder.exists()


def test_a_refusal_of_the_disk_names_the_file(tmp_path):
    with pytest.raises(UsageError) as caught, writing(tmp_path / "no" / "a", "choose another"):
        (tmp_path / "no" / "a").write_bytes(b"")
    assert str(caught.value) == f"{tmp_path}/no/a cannot be written: No such file or directory\n  next: choose another"


@pytest.mark.parametrize("kind", ["ENOSPC once", "EIO once"])
@pytest.mark.parametrize("old", [False, True])
def test_a_new_folder_is_whole_or_not_there(tmp_path, kind, old):
    for at in range(1, 12):
        disk, path = FaultyDisk(kind, at), tmp_path / f"{at}" / "folder"
        path.parent.mkdir()
        if old:
            (path / "below").mkdir(parents=True)
        with contextlib.suppress(OSError), new_folder(path, disk, replace=True) as scratch:
            (scratch / "file").write_bytes(b"all of it")
        assert [p.name for p in path.parent.iterdir()] in ([], ["folder"])
        assert [p.name for p in path.iterdir()] in (["file"], ["below"] if old else []) if path.exists() else not old


def test_a_folder_that_appeared_meanwhile_is_not_replaced(tmp_path):
    with pytest.raises(FileExistsError), new_folder(tmp_path / "folder") as scratch:
        ((scratch / "file").write_bytes(b"mine"), (tmp_path / "folder").mkdir())
    assert [(p.name, list(p.iterdir())) for p in tmp_path.iterdir()] == [("folder", [])]
