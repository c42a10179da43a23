"""What can be told of a bundle by itself: files beside its manifest, rows beside rows.csv, reasons beside both."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from screen import seal
from screen.data.digests import row_digests
from screen.data.files import InputFile
from screen.data.sniff import Kind
from screen.errors import ScreenError
from screen.handover.bundle.manifest import MANIFEST, REASONS, SKIPPED, BundleFile, BundleInput, BundleManifest
from screen.handover.bundle.rowlist import ROWS, ListedRow, listed
from screen.handover.parts import PARTS
from screen.store import identity as identities
from screen.store.folder import SUMMARY

_NEEDED = (ROWS, REASONS, SKIPPED, SUMMARY)
_UNREAD = ""  # in place of a digest: the file cannot be read on


def problems(path: Path, manifest: BundleManifest) -> Iterator[str]:
    """A sentence for each thing that is not as the manifest says."""
    there, wanted = set(_files(path)), {*manifest.files, *_NEEDED, MANIFEST}
    yield from (f"{name} is missing" for name in sorted(wanted - there))
    yield from (f"{name} is not in {MANIFEST}" for name in sorted(there - {*manifest.files, MANIFEST}))
    regular = {name for name in there if is_regular(path / name)}
    yield from (f"{name} is a link, or no file" for name in sorted(there & set(manifest.files) - regular))
    whole = regular & set(manifest.files)
    for name in sorted(whole):
        if wrong := _file(path / name, name, manifest.files[name]):
            yield wrong
    if whole >= {ROWS, REASONS, SKIPPED}:
        yield from _rows(path, manifest, whole)
        yield from _reasons(path)
    if SUMMARY in whole:
        yield from _run(path, manifest)


def _files(path: Path) -> Iterator[str]:
    """Everything below the folder but folders; links among it."""
    for here, folders, names in os.walk(path):
        links = [name for name in folders if Path(here, name).is_symlink()]
        yield from (Path(here, name).relative_to(path).as_posix() for name in (*names, *links))


def is_regular(path: Path) -> bool:
    """Whether it can be read to an end, and lies here."""
    return path.is_file() and not path.is_symlink()


def _file(path: Path, name: str, known: BundleFile) -> str:
    """What is wrong with a file, "" where nothing is."""
    size = path.stat().st_size
    if size != known.bytes:
        return f"{name} has {size:,} bytes, not {known.bytes:,}"
    with path.open("rb") as file:
        same = hashlib.file_digest(file, "sha256").hexdigest() == known.sha256
    return "" if same else f"{name} does not have the bytes of its digest"


def _rows(path: Path, manifest: BundleManifest, whole: set[str]) -> Iterator[str]:
    """Each row once, in the part that rows.csv says, with the bytes that it says."""
    counts: Counter[str] = Counter()
    rows = listed(path)
    try:
        for item in manifest.inputs:
            yield from _Parts(path, item, whole).problems(rows, counts)
        more = sum(1 for _ in rows)
    except ValueError as error:
        yield str(error)
        return
    if more:
        yield f"{ROWS} has {more:,} rows more than the inputs of {MANIFEST}"
    told = {name: manifest.counts[name] for name in PARTS}
    if {name: counts[name] for name in PARTS} != told or manifest.counts["rows"] != sum(told.values()):
        yield f"{MANIFEST} counts {dict(manifest.counts)}, and {ROWS} {dict(counts)}"


class _Parts:
    """The files that the rows of one input went to, read side by side."""

    def __init__(self, path: Path, item: BundleInput, whole: set[str]) -> None:
        self._item = item
        self._files = {name: part.file for name, part in item.parts.items() if part.file is not None}
        self._absent = {name for name, file in self._files.items() if file not in whole}  # told already
        self._rows = {name: _digests(path, item, file) for name, file in self._files.items() if file in whole}
        self._seen: Counter[str] = Counter()
        self._odd: set[str] = set()

    def problems(self, rows: Iterator[ListedRow], counts: Counter[str]) -> Iterator[str]:
        """Takes the input's rows from `rows`. Raises ValueError where these end."""
        for _ in range(self._item.rows):
            listed_row = next(rows, None)
            if listed_row is None:
                raise ValueError(f"{ROWS} ends before the rows of {self._item.name} do")
            self._seen[listed_row.part] += 1
            yield from self._row(listed_row)
        counts.update(self._seen)
        for name, part in self._item.parts.items():
            if name in self._rows and name not in self._odd and next(self._rows[name], None) is not None:
                yield f"{part.file} has more rows than the {self._seen[name]:,} of {ROWS}"
            if part.rows != self._seen[name]:
                yield f"{MANIFEST} has {part.rows:,} {name} rows of {self._item.name}, and {ROWS} {self._seen[name]:,}"

    def _row(self, wanted: ListedRow) -> Iterator[str]:
        """What stands where a row should; told once a file, since one row too few moves all behind it."""
        part = wanted.part
        if part in self._odd or part in self._absent:
            return
        stands = next(self._rows[part], None) if part in self._rows else None
        if stands == wanted.sha256:
            return
        self._odd.add(part)
        file, number = self._files.get(part, f"{part}/{self._item.name}"), self._seen[part]
        if stands is None:
            yield f"{file} ends before row {wanted.row} of the dataset, which is number {number:,} in it"
        elif stands == _UNREAD:
            yield f"{file} cannot be read as far as row {wanted.row} of the dataset, which is number {number:,} in it"
        else:
            yield f"{file}: number {number:,} in it is not row {wanted.row} of the dataset"


def _digests(path: Path, item: BundleInput, file: str) -> Iterator[str]:
    local = path / file
    try:
        yield from row_digests(InputFile(file, local, local.stat().st_size, cast(Kind, item.kind), ""))
    except (ScreenError, OSError):
        yield _UNREAD


def _reasons(path: Path) -> Iterator[str]:
    """A reason for each dropped row, a code for each skipped one, and for no other."""
    rows: dict[str, list[int]] = {"dropped": [], "skipped": [], "kept": []}
    try:
        for row, part, _ in listed(path):
            rows[part] += [row] if part != "kept" else []
    except ValueError:
        return  # told already
    for part, file in (("dropped", REASONS), ("skipped", SKIPPED)):
        try:
            with (path / file).open(encoding="ascii") as lines:
                told = [json.loads(line)["row"] for line in lines]
        except (ValueError, KeyError, TypeError, RecursionError):
            yield f"{file} does not hold a JSON object with a row a line"
            continue
        if told != rows[part]:
            odd = next((at for at, (a, b) in enumerate(zip(told, rows[part], strict=False)) if a != b), len(told))
            yield f"{file} does not speak of each {part} row once, in order: see its line {odd + 1}"


def _run(path: Path, manifest: BundleManifest) -> Iterator[str]:
    """The summary is of the run, and the run of the inputs."""
    digest, identity = manifest.run.get("digest"), manifest.run.get("identity")
    files = [{"bytes": item.bytes, "sha256": item.sha256} for item in manifest.inputs]
    if not isinstance(identity, dict) or identities.digest(identity) != digest:
        yield f"{MANIFEST}: the identity of the run does not have its digest"
    elif [{k: f[k] for k in ("bytes", "sha256")} for f in identity["dataset"]["files"]] != files:
        yield f"{MANIFEST}: its inputs are not the files that the run was of"
    try:
        of = seal.open_json((path / SUMMARY).read_bytes())["finished"]["run"]
    except (seal.Broken, ValueError, KeyError, TypeError):
        yield f"{SUMMARY} is not as the run wrote it"
        return
    if of != digest:
        yield f"{SUMMARY} is of the run {of!a}, and {MANIFEST} of {digest!a}"
