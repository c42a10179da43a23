"""The dataset of a run, found again."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from screen.data.dataset import Dataset
from screen.data.files import FileIdentity, InputFile, find_files
from screen.data.from_spec import dataset_of
from screen.errors import InputError, StoreError, UsageError, near
from screen.spec import ScanSpec
from screen.store.scan import Scan


def source_of(scan: Scan, paths: Sequence[str]) -> Dataset:
    """The dataset of the run, whole. Raises UsageError where its bytes are not those that were scored."""
    stored = scan.folder.facts.get("spec")
    if not stored:
        raise StoreError(f"{near(scan.path)} does not say which dataset it is of", "run it again with this version")
    spec = ScanSpec.from_json(stored)
    files = tuple(paths) or tuple(found(scan, path) for path in spec.dataset)
    try:
        dataset = dataset_of(dataclasses.replace(spec, dataset=files, limit=(0, None)))
    except InputError:  # what has changed may have no rows or no shape any more: that it has changed says more
        if "-" not in files:
            _check_same(scan, find_files(files))
        raise
    _check_same(scan, dataset.files, dataset.fingerprint()["files"])
    return dataset


def _check_same(scan: Scan, files: Sequence[InputFile], known: Sequence[FileIdentity] | None = None) -> None:
    """Raises UsageError for files that are not those of the run. `known`: their digests, where they were made."""
    now = [_sha256(f) for f in files] if known is None else [f["sha256"] for f in known]
    then = [f["sha256"] for f in scan.folder.identity["dataset"]["files"]]
    if now != then:
        what = "has other files than" if len(now) != len(then) else "has changed since"
        raise UsageError(
            f"{', '.join(f.path for f in files[:3])} {what} the run {near(scan.path)}; nothing was written",
            "restore it, name the file that was scored with --dataset, or run the scan again",
        )


def _sha256(file: InputFile) -> str:
    with file.local.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def found(scan: Scan, path: str) -> str:
    """A path of the run's own command, from here or, since runs lie beside their dataset, from the run."""
    beside = scan.path.parent / Path(path).name
    if path == "-":
        if sys.stdin.isatty():
            raise UsageError("the run was of standard input", "pipe the same data in, or name its file with --dataset")
    elif not os.path.exists(path):
        if beside.exists():
            return str(beside)
        raise UsageError(
            f"the dataset {path} is not here", "go where the run was started, or say where it is with --dataset"
        )
    return path
