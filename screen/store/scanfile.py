"""scan.json: what a run is of. Written once, when the folder is made; compared, never changed, on resume."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from screen import seal
from screen.disk import Disk, is_temporary, write_atomically
from screen.errors import ResumeRefused, StoreError
from screen.store import identity as identities
from screen.store import lock, tables
from screen.store.identity import Identity
from screen.store.manifest import MANIFEST, Manifest

if TYPE_CHECKING:
    from screen.scoring.findings.flags import TraitReference

FORMAT = 2
SCAN = "scan.json"
_BESIDE = {
    "summary.json",
    "standards.safetensors",
    "index.safetensors",
    "catalogue.duckdb",
    "lift.parquet",
    "lift.json",
    "labels.jsonl",
    "report.html",
    "baselines",
}
_ELSEWHERE = "give --out a folder that is new or empty"


class VectorFacts(TypedDict):
    """Where a trait's vector came from, and what was said of it when it was read."""

    source: str
    layer: int
    pooling: str | None
    warnings: list[str]


class ModelFactsRecord(TypedDict):
    """The model and how it is run. The `batching_*` are of the proof that batches change no score beyond the bound."""

    name: str
    embedded: bool
    device: str
    dtype: str
    layers: int
    loaded_layers: int
    context: int
    batching: str
    batching_difference: float
    batching_noise: float | None
    batching_bound: float
    batching_reason: str
    longest_row: int
    notes: list[str]


class DatasetFacts(TypedDict):
    """What was found at the paths. `rows` within the limit, None where they cannot be counted before they are read."""

    files: list[str]
    shape: str
    evidence: str
    rows: int | None
    rendered: str | None
    notes: list[str]


class SinceFacts(TypedDict):
    """The run whose rows are carried over, when this one began: its folder as given, the digest of its identity, its
    rows, and whether it was finished. How many rows were carried is in the manifest and in summary.json."""

    path: str
    run: str
    rows: int
    finished: bool


class Facts(TypedDict, total=False):
    """What is on record beside the identity and never compared. `spec`: a ScanSpec as JSON."""

    spec: Mapping[str, Any]
    model: ModelFactsRecord
    vectors: Mapping[str, VectorFacts]
    versions: Mapping[str, str]
    worker: Mapping[str, object]
    baseline: str
    references: Mapping[str, TraitReference | None]
    dataset: DatasetFacts
    sharing: Mapping[str, object]
    since: SinceFacts


class ScanRecord(TypedDict):
    format: int
    identity: Identity
    facts: Facts


def check_target(path: Path) -> None:
    """Refuse what is neither a run nor a place for one."""
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path} is a file, not a folder", _ELSEWHERE)
    if not path.exists() or (path / SCAN).exists():
        return
    ours = {lock.NAME, MANIFEST, *tables.NAMES}  # a crash while the folder was made leaves these
    if (path / MANIFEST).exists():  # scan.json alone was lost
        ours |= _BESIDE
    strangers = sorted(p.name for p in path.iterdir() if p.name not in ours and not is_temporary(p.name))
    if strangers:
        some = ", ".join(ascii(name)[1:-1] for name in strangers[:3]) + (", ..." if len(strangers) > 3 else "")
        raise StoreError(f"{path} is not a run: it has no {SCAN} and holds other files ({some})", _ELSEWHERE)


def load(path: Path) -> ScanRecord | None:
    """None where it is missing or damaged; raises StoreError where another version wrote it."""
    try:
        data = (path / SCAN).read_bytes()
        scan = seal.open_json(data)
    except FileNotFoundError:
        return None
    except seal.Broken:
        if not _unsealed(data):
            return None
        scan = {"format": 1}
    if scan["format"] != FORMAT:
        raise StoreError(
            f"{path / SCAN} has format {scan['format']!a}; this version reads {FORMAT}",
            "use the version of screen that wrote it, or give another --out",
        )
    return cast(ScanRecord, scan)  # its seal is whole and its format this one: the bytes that `create` wrote


def _unsealed(data: bytes) -> bool:
    """Whether it is of format 1, which had no digest; no single flipped bit makes a sealed file look so."""
    with contextlib.suppress(ValueError, RecursionError):
        scan = json.loads(data)
        return isinstance(scan, dict) and scan.get("format") == 1 and "sha256" not in scan
    return False


def check_same(path: Path, wanted: Identity) -> ScanRecord | None:
    """The scan on disk, if it is of the wanted identity; None where there is none; else ResumeRefused."""
    scan = load(path)
    if scan is None:
        return None
    fields = list(identities.differences(scan["identity"], wanted))
    if fields:
        raise ResumeRefused(
            f"{path} holds a run of something else; nothing was changed:\n"
            + "\n".join(f"  {field}" for field in fields),
            "undo the change to resume that run, or give another --out",
        )
    return scan


def create(path: Path, identity: Identity, facts: Facts, disk: Disk) -> ScanRecord:
    """Make the folder's parts, scan.json last. Again after a crash; also where scan.json alone was lost."""
    for name in tables.NAMES:
        disk.make_folder(path / name)
    if not (path / MANIFEST).exists():
        disk.write_new(path / MANIFEST, b"")
    written_by = {entry.run for entry in Manifest(path / MANIFEST, disk).entries.values()}
    if not written_by <= {identities.digest(identity)}:
        raise damaged(path)
    scan: ScanRecord = {"format": FORMAT, "identity": identity, "facts": facts}
    write_atomically(path / SCAN, seal.sealed_json(scan), disk)
    disk.fsync_dir(path.parent)
    return scan


def damaged(path: Path) -> StoreError:
    return StoreError(
        f"{path / SCAN} is missing or damaged, and the shards beside it may be of another run",
        "type the run's command again, with the inputs and settings it had: the file is made anew; or restore it from"
        " a backup, or give another --out",
    )
