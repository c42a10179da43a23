"""standards.safetensors: the arrays a run's scores are compared with, written once before its first shard."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from screen import seal
from screen.baselines.estimates.estimator import Arrays, KeptFacts
from screen.disk import DISK, Disk, storing, write_atomically
from screen.errors import StoreError

STANDARDS = "standards.safetensors"


def save(folder: Path, run: str, arrays: Arrays, facts: KeptFacts, disk: Disk = DISK) -> None:
    """`run` is the digest of the run's identity. Equal content gives equal bytes; the file appears whole or not at
    all."""
    from safetensors.numpy import save as encode

    whole = {name: np.ascontiguousarray(a) for name, a in sorted(arrays.items())}
    # one field: the library writes several in no fixed order
    meta = {"standards": json.dumps({"facts": facts, "run": run, seal.SEAL: seal.BLANK}, sort_keys=True)}
    with storing(folder):
        write_atomically(folder / STANDARDS, seal.sealed_tensors(encode(whole, metadata=meta)), disk)


def load(folder: Path, run: str) -> tuple[Arrays, KeptFacts] | None:
    """(arrays, facts), or None where the run has none yet. Raises StoreError for a damaged file, or another run's."""
    from safetensors.numpy import load as decode

    path = folder / STANDARDS
    with storing(path, "run this again"):
        if not path.exists():
            return None
        data = path.read_bytes()
    try:
        seal.check_tensors(data)
    except seal.Broken as error:
        raise _damaged(path, str(error)) from None
    header = json.loads(seal.metadata(data)["standards"])
    if header["run"] != run:
        raise _damaged(path, "it is of a run with other inputs or settings")
    return {name: array.copy() for name, array in sorted(decode(data).items())}, header["facts"]


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path} is damaged: {why}",
        "restore it from a backup; without one, run again with another --out"
        " (until a shard is published the run's own command makes it anew)",
    )
