"""Where something may be written: never over what is there, never into the run or among the rows that it was of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from screen.data.dataset import Dataset
from screen.errors import UsageError, near
from screen.store.scan import Scan

_ELSEWHERE = "choose another place with -o"


def check_place(scan: Scan, dataset: Dataset, given: Sequence[str], out: Path) -> None:
    """Raises UsageError for a place inside the run, or inside a folder of the dataset (`given`: its paths as named)."""
    check_outside(scan, out)
    place = out.resolve()
    for path in given:
        folder = Path(path).resolve()
        if folder.is_dir() and (place == folder or folder in place.parents):
            raise UsageError(f"{out}: this is inside the dataset {path}, whose files are its rows", _ELSEWHERE)
    for file in dataset.files:
        if place in Path(file.local).resolve().parents:
            raise UsageError(f"{out}: the dataset's file {file.path} is in there", _ELSEWHERE)


def check_outside(scan: Scan, out: Path) -> None:
    """Raises UsageError for a place inside the run."""
    place = out.resolve()
    if place == scan.path or scan.path in place.parents:
        raise UsageError(f"{out}: this is inside the run {near(scan.path)}, where nothing else belongs", _ELSEWHERE)


def check_folder(out: Path, mark: str, force: bool) -> None:
    """Raises UsageError for a folder that exists, unless it may be replaced: with `force`, where it holds `mark`, the
    file by which an export is known, or nothing."""
    if out.is_symlink() or (os.path.lexists(out) and not out.is_dir()):
        raise UsageError(f"{out} is a file or a link, and a folder is to be written", _ELSEWHERE)
    if out.exists():
        if not force:
            raise UsageError(f"{out} exists already", "choose another name, or add --force to replace it")
        if os.listdir(out) and not (out / mark).is_file():
            raise UsageError(f"{out} is a folder without {mark}: no export, so it is not replaced", _ELSEWHERE)
    if not os.access(out.absolute().parent, os.W_OK):
        raise UsageError(f"{out} cannot be written: no folder there that can be written to", _ELSEWHERE)
