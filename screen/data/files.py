"""Paths as the user gives them -> the files they name, each with its kind and compression.

Knows nothing of what is in a row.
"""

from __future__ import annotations

import atexit
import contextlib
import glob
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypedDict

from screen.data import sniff
from screen.data.streams import Compression, compression_of, open_plain
from screen.disk import spooled
from screen.errors import InputError

# Companions of `datasets.save_to_disk` and of trainers: JSON, but no rows.
_NOT_DATA = frozenset(
    {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json", "scan.json"}
)
_RUN = {"scan.json", "manifest.jsonl"}
_REMOTE = ("hf://", "s3://", "gs://", "az://", "http://", "https://")


class FileIdentity(TypedDict, total=False):
    """`path` is left out where two runs are compared: a file that was moved is the same file."""

    path: str
    bytes: int
    sha256: str


class Fingerprint(TypedDict, total=False):
    """What decides a dataset's rows and how they are read."""

    files: list[FileIdentity]
    shape: str
    format: str | None
    map: Mapping[str, str]
    fields: Mapping[str, str]
    train_on: str
    max_row_mib: int
    render: str
    message_keys: list[str]
    roles: Mapping[str, str]
    ignored: list[str]
    wording: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of a dataset. `path` is how the user can open it ("-": standard input), `local` where it lies."""

    path: str
    local: Path
    bytes: int
    kind: sniff.Kind
    compression: Compression

    def open(self) -> BinaryIO:
        """Its decompressed bytes, from the start."""
        return open_plain(self.local, self.path, self.compression)


def find_files(paths: Sequence[str], spool: Path | None = None) -> tuple[InputFile, ...]:
    """The files that `paths` name, in the order given, each once. Raises InputError."""
    if not paths:
        raise InputError("no dataset given", "name a file, a folder, a pattern, or - for standard input")
    found: dict[str, InputFile] = {}
    for path in paths:
        for name, local, forced in _expand(path, spool):
            key = os.path.realpath(local)
            if key not in found:
                found[key] = _identify(name, local, forced, spool)
    return tuple(found.values())


def _expand(path: str, spool: Path | None) -> Iterator[tuple[str, Path, bool]]:
    """Name, place, and whether the user named this very file."""
    if path == "-":
        yield "-", _spool(sys.stdin.buffer, spool), True
    elif path.startswith(_REMOTE):
        raise InputError(f"{path}: remote datasets are not read", "download the file and give its local path instead")
    elif os.path.isdir(path):
        for file in _in_folder(path):
            yield file, Path(file), False
    elif os.path.exists(path):
        yield path, _seekable(path, spool), True
    elif glob.has_magic(path):
        yield from _matches(path, spool)
    else:
        raise InputError(f"{path}: no such file or folder", _near(path))


def _matches(pattern: str, spool: Path | None) -> Iterator[tuple[str, Path, bool]]:
    hits = sorted(glob.glob(pattern, recursive=True))
    if not hits:
        raise InputError(f"{pattern}: no file matches the pattern", "check it with ls, and quote it in the shell")
    for hit in hits:
        if os.path.isdir(hit):
            continue
        yield hit, _seekable(hit, spool), True


def _in_folder(folder: str) -> list[str]:
    """Data files below `folder`, sorted; `.txt` only where there is nothing else (READMEs, licences)."""
    seen: list[str] = []
    for here, below, names in os.walk(folder):
        if set(names) >= _RUN:  # what `screen run --out` wrote here is no part of the dataset
            if here == folder:
                raise InputError(f"{folder} is a run, not a dataset", "name the dataset itself")
            below.clear()
            continue
        below[:] = sorted(d for d in below if not d.startswith(".") and not d.endswith(".screen"))
        seen += [os.path.join(here, n) for n in names if not n.startswith(".") and n not in _NOT_DATA]
    data = sorted(f for f in seen if sniff.kind_of_name(f))
    files = [f for f in data if sniff.kind_of_name(f) != "txt"] or data
    if not files:
        there = ", ".join(sorted({Path(f).suffix or Path(f).name for f in seen})[:8]) or "nothing"
        raise InputError(f"{folder}: no data files in this folder (found: {there})", f"read are {sniff.SUPPORTED}")
    return files


def _identify(name: str, local: Path, forced: bool, spool: Path | None) -> InputFile:
    try:
        size = local.stat().st_size
        with open(local, "rb") as raw:
            compression = compression_of(raw.read(8))
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}", "check the path and its permissions") from None
    if not size and forced:
        what = "standard input" if name == "-" else f"{name}: the file"
        raise InputError(f"{what} is empty", "give a file with at least one row")
    with open_plain(local, name, compression) as stream:
        head = stream.read(sniff.HEAD)
    kind = sniff.kind_of(name, head)
    if compression and kind in ("parquet", "arrow"):  # read from both ends: needs a plain copy
        with open_plain(local, name, compression) as stream:
            return InputFile(name, _spool(stream, spool), size, kind, "")
    return InputFile(name, local, size, kind, compression)


def _seekable(path: str, spool: Path | None) -> Path:
    """A pipe or device (`<(zcat ...)`) can be read only once: keep a copy."""
    if stat.S_ISREG(os.stat(path).st_mode):
        return Path(path)
    with open(path, "rb") as source:
        return _spool(source, spool)


def _spool(source: BinaryIO, folder: Path | None) -> Path:
    """A copy of `source`; removed at exit unless the caller gave the folder."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    path = spooled(source, folder)
    if folder is None:
        atexit.register(_remove, path)
    return path


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _near(path: str) -> str:
    """The next step for a name that is not there."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f"the folder {folder} is not there either; check the path"
    there = [n for n in sorted(os.listdir(folder)) if sniff.kind_of_name(n)]
    return f"data files there: {', '.join(there[:6])}" if there else "check the path"
