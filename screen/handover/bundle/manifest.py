"""manifest.json of a bundle: what it is of, who signed it, and the digest of every file. One writer, one reader.

Its last field is the digest of all before it, the seal: whoever notes that down elsewhere can tell any later change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TypeVar, get_args

from screen import seal
from screen.data.sniff import Kind
from screen.handover.parts import PARTS

MANIFEST = "manifest.json"
REASONS = "reasons.jsonl"
SKIPPED = "skipped.jsonl"
LABELS = "labels.jsonl"
FORMAT = 1
T = TypeVar("T")


class NoManifest(ValueError):
    """The bytes are no manifest that this version reads; says why."""


@dataclass(frozen=True, slots=True)
class BundleFile:
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BundlePart:
    """`file` in the bundle; None where no row of the input is in this part."""

    file: str | None
    rows: int


@dataclass(frozen=True, slots=True)
class BundleInput:
    """One file of the dataset: bytes and SHA-256 as it was given, compressed or not; its rows, and their parts."""

    name: str
    kind: str
    bytes: int
    sha256: str
    rows: int
    parts: Mapping[str, BundlePart]


@dataclass(frozen=True, slots=True)
class BundleManifest:
    """`run`: its digest, identity and versions; `files`: all of the bundle but this one."""

    tool: str
    made: str  # UTC
    signed_by: str | None
    expression: str
    counts: Mapping[str, int]  # rows, kept, dropped, skipped, not_reached
    run: Mapping[str, object]
    inputs: tuple[BundleInput, ...]
    files: Mapping[str, BundleFile]
    format: int = FORMAT
    kind: str = "audit"

    def sealed(self) -> bytes:
        return seal.sealed_json(asdict(self))


def seal_of(data: bytes) -> str:
    """The seal of a manifest's bytes, which were checked."""
    return str(json.loads(data)["sha256"])


def read_manifest(data: bytes) -> BundleManifest:
    """Raises NoManifest for bytes that are not as they were sealed, or not of this format."""
    try:
        raw = seal.open_json(data)
        if raw.get("format") != FORMAT or raw.get("kind") != "audit":
            raise NoManifest(f"it is of format {raw.get('format')!a} and kind {raw.get('kind')!a}")
        inputs = tuple(_input(item) for item in raw.pop("inputs"))
        files = {str(name): _record(BundleFile, item) for name, item in raw.pop("files").items()}
        counts = {str(name): int(count) for name, count in raw.pop("counts").items()}
        made = _record(BundleManifest, {**raw, "inputs": inputs, "files": files, "counts": counts})
    except (seal.Broken, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NoManifest(str(error)) from error
    if not {"rows", *PARTS} <= counts.keys() or any(i.kind not in get_args(Kind) for i in inputs):
        raise NoManifest("it lacks counts, or names a kind of file that is not known")
    return made


def _input(raw: Mapping[str, object]) -> BundleInput:
    parts = raw["parts"]
    if not isinstance(parts, dict) or set(parts) != set(PARTS):
        raise NoManifest(f"an input without the parts {', '.join(PARTS)}")
    return _record(BundleInput, {**raw, "parts": {name: _record(BundlePart, part) for name, part in parts.items()}})


def _record(kind: type[T], raw: Mapping[str, object]) -> T:
    """Raises TypeError for fields too many or too few."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in raw.items() if name in known})
