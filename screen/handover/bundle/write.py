"""The bundle of an audit: a folder with every row of the dataset, once, and what was decided about it.

It is checked, as `screen verify` does, before it takes its name.
"""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from screen_reports.html.report import NAME, make, write

from screen import __version__
from screen.data.digests import row_digests
from screen.data.files import FileIdentity
from screen.errors import StoreError
from screen.handover.bundle import readme
from screen.handover.bundle.manifest import (
    LABELS,
    MANIFEST,
    REASONS,
    SKIPPED,
    BundleFile,
    BundleInput,
    BundleManifest,
    BundlePart,
    seal_of,
)
from screen.handover.bundle.rowlist import ROWS, ListedRow, write_rows
from screen.handover.bundle.verify import verify
from screen.handover.parts import PARTS, InputParts, write_parts
from screen.jsonl import dump
from screen.select.subset import Subset
from screen.store.folder import SUMMARY, read_published
from screen.store.scan import Scan

SKIPPED_PART = PARTS.index("skipped")
_SKIP_FIELDS = ("row", "file", "line", "stage", "code", "message")


def write_bundle(
    scan: Scan, subset: Subset, expression: str, signed_by: str | None, folder: Path, *, report: bool = True
) -> str:
    """Fill an empty folder; `report`: with the run's report. Returns the seal.

    Raises StoreError where what was written does not verify.
    """
    part_of = parts_of(subset)
    inputs = write_parts(subset.dataset, part_of, folder, PARTS)
    write_rows(folder / ROWS, _listed(inputs, part_of))
    subset.write_reasons(folder / REASONS)
    _write_skipped(scan, part_of, folder / SKIPPED)
    if subset.counts.labelled is not None:
        _write_labels(subset, folder / LABELS)
    shutil.copyfile(scan.path / SUMMARY, folder / SUMMARY)
    if report:
        write(make(scan, scan.path.name), folder / NAME)
    counts = _counts(subset, part_of)
    manifest = BundleManifest(
        tool=f"screen {__version__}",
        made=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        signed_by=signed_by,
        expression=expression,
        counts=counts,
        run={
            "digest": scan.folder.run,
            "identity": scan.folder.identity,
            "versions": scan.folder.facts.get("versions"),
        },
        inputs=tuple(map(_described, inputs, subset.dataset.fingerprint()["files"])),
        files={},
    )  # fmt: skip
    (folder / readme.README).write_text(readme.text(manifest, scan.traits), encoding="utf-8", newline="\n")
    data = _with_files(manifest, folder).sealed()
    (folder / MANIFEST).write_bytes(data)
    found = verify(folder)
    if found.problems:
        raise StoreError(
            f"the bundle does not verify, so it was not kept: {found.problems[0]}",
            "the dataset or the disk changed meanwhile, or its files cannot be split; hand over with --as clean",
        )
    return seal_of(data)


def parts_of(subset: Subset) -> npt.NDArray[np.uint8]:
    """(rows,) the index in PARTS. What could not be scored is neither kept nor dropped, unless a label says so."""
    part_of = subset.dropped.astype(np.uint8)
    part_of[[row for row in subset.skipped.tolist() if row not in subset.labels]] = SKIPPED_PART
    return part_of


def _counts(subset: Subset, part_of: npt.NDArray[np.uint8]) -> dict[str, int]:
    parts = {name: int((part_of == index).sum()) for index, name in enumerate(PARTS)}
    return {"rows": subset.counts.rows, **parts, "not_reached": subset.counts.not_reached}


def _listed(inputs: Sequence[InputParts], part_of: npt.NDArray[np.uint8]) -> Iterator[ListedRow]:
    for item in inputs:
        for row, sha in enumerate(row_digests(item.file), item.first_row):
            yield ListedRow(row, PARTS[part_of[row]], sha)


def _write_skipped(scan: Scan, part_of: npt.NDArray[np.uint8], path: Path) -> None:
    with path.open("w", encoding="ascii", newline="\n") as file:
        for table in scan.folder.tables("skipped"):
            for row in read_published(table, columns=list(_SKIP_FIELDS)).to_pylist():
                if part_of[row["row"]] == SKIPPED_PART:
                    file.write(dump({name: row[name] for name in _SKIP_FIELDS}) + "\n")


def _write_labels(subset: Subset, path: Path) -> None:
    """What people said of the rows that labels decide."""
    with path.open("w", encoding="ascii", newline="\n") as file:
        for row in sorted(subset.labels):
            file.writelines(dump(asdict(label)) + "\n" for label in subset.labels[row])


def _described(item: InputParts, identity: FileIdentity) -> BundleInput:
    parts = {name: BundlePart(part.file, part.rows) for name, part in item.parts.items()}
    return BundleInput(item.name, item.file.kind, identity["bytes"], identity["sha256"], item.rows, parts)


def _with_files(manifest: BundleManifest, folder: Path) -> BundleManifest:
    files: Mapping[str, BundleFile] = {
        path.relative_to(folder).as_posix(): _digested(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }
    return replace(manifest, files=files)


def _digested(path: Path) -> BundleFile:
    with path.open("rb") as file:
        return BundleFile(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
