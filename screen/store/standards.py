"""standards.safetensors: the arrays a run's scores are held against, written once before its first shard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from screen.errors import StoreError
from screen.store.files import DISK, Disk, storing, write_atomically

STANDARDS = "standards.safetensors"
Arrays = Mapping[str, npt.NDArray[Any]]


def save(folder: Path, arrays: Arrays, facts: Mapping[str, Any], disk: Disk = DISK) -> None:
    """Equal arrays and facts give equal bytes; the file appears whole or not at all."""
    from safetensors.numpy import save as encode

    whole = {name: np.ascontiguousarray(a) for name, a in sorted(arrays.items())}
    # one field: the library writes several in no fixed order
    meta = {"standards": json.dumps({"facts": facts, "sha256": _digest(whole)}, sort_keys=True)}
    with storing(folder):
        write_atomically(folder / STANDARDS, encode(whole, metadata=meta), disk)


def load(folder: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]] | None:
    """(arrays, facts), or None where the run has none yet. Raises StoreError for a damaged file."""
    from safetensors import SafetensorError, safe_open

    path = folder / STANDARDS
    if not path.exists():
        return None
    try:
        with safe_open(path, "numpy") as f:
            arrays = {name: f.get_tensor(name) for name in sorted(f.keys())}
            told = json.loads((f.metadata() or {}).get("standards", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, str(error).splitlines()[0][:120]) from None
    if not isinstance(told, dict) or told.get("sha256") != _digest(arrays):
        raise _damaged(path, "its arrays are not those written")
    return arrays, told["facts"]


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(f"{path} is damaged: {why}", "restore it from a backup, or start a new run with another --out")


def _digest(arrays: Arrays) -> str:
    seen = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        seen.update(f"{name} {array.dtype.str} {array.shape}\n".encode() + np.ascontiguousarray(array).tobytes())
    return seen.hexdigest()
