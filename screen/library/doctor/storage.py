"""Caches and disks: where, how large, whether they can be written."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from screen.library.doctor.record import HealthCheck, ok, warn
from screen.library.places import default_cache

_SECONDS = 2.0  # to add up the files of one cache
_LEAST = 1 << 30  # bytes that should be free


def caches() -> Iterator[HealthCheck]:
    """Baseline responses, and what was fetched from the hub."""
    from huggingface_hub import constants

    yield _cache("answers", default_cache(), "give another folder with --cache, or set XDG_CACHE_HOME")
    yield _cache("models", Path(constants.HF_HUB_CACHE), "set HF_HOME, or give --model a folder")


def _cache(name: str, folder: Path, elsewhere: str) -> HealthCheck:
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        return warn(f"{name} cache", f"{folder} cannot be written", elsewhere)
    if not folder.is_dir():
        return ok(f"{name} cache", f"{folder} is made when it is needed")
    size, files, whole = _size(folder)
    least = "" if whole else "at least "
    return ok(f"{name} cache", f"{folder}: {least}{size / (1 << 20):,.1f} MiB in {least}{files:,} files")


def _size(folder: Path) -> tuple[int, int, bool]:
    """(bytes, files, whether all were counted in time); a link counts for nothing."""
    until = time.monotonic() + _SECONDS
    size = files = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(where, name))
            except OSError:
                continue  # gone meanwhile
            size, files = size + found.st_size, files + 1
        if time.monotonic() > until:
            return size, files, False
    return size, files, True


def disk() -> Iterator[HealthCheck]:
    """Free space where runs are kept unless --out says otherwise, and for temporary files."""
    for name, place in (("this folder", Path.cwd()), ("temporary files", _temporary())):
        free = shutil.disk_usage(place).free
        says = f"{free / (1 << 30):,.1f} GiB free"
        if free < _LEAST:
            yield warn(f"disk, {name}", says, "free some: a run that finds the disk full stops, and goes on later")
        else:
            yield ok(f"disk, {name}", says)


def _temporary() -> Path:
    from screen.disk import scratch_folder

    with scratch_folder("screen-doctor-") as folder:
        return folder.parent
