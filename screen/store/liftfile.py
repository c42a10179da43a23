"""lift.parquet, which `screen lift` leaves beside a run; lift.json says what bytes it has and of which run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from screen import seal
from screen.disk import DISK, storing, write_atomically
from screen.errors import StoreError
from screen.store.folder import RunFolder

LIFT, SEAL = "lift.parquet", "lift.json"


def keep(run: RunFolder, table: pa.Table) -> Path:
    """Each file appears whole or not at all; between the two, and after another lift's crash, they do not fit."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data = bytes(sink.getvalue())
    with storing(run.path):
        write_atomically(run.path / LIFT, data, DISK)
        facts = {"file": LIFT, "digest": hashlib.sha256(data).hexdigest(), "run": run.run}
        write_atomically(run.path / SEAL, seal.sealed_json(facts), DISK)
    return run.path / LIFT


def find(run: RunFolder) -> Path | None:
    """The file, hashed; None where there is none. Raises StoreError for one that is damaged or of another run."""
    path = run.path / LIFT
    if not path.exists():
        return None
    try:
        facts = seal.open_json((run.path / SEAL).read_bytes())
        good = facts["digest"] == DISK.sha256(path) and facts["run"] == run.run
    except (OSError, seal.Broken):
        good = False
    if not good:
        raise StoreError(f"{path} or its {SEAL} is damaged", f"make it anew: screen lift {run.path}")
    return path
