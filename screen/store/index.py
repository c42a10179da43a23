"""index.safetensors: the scores that a finished run is ranked by, beside their rows, so that a place in the run is
found without opening every shard.

A copy, made from the shards when the run is finished and bound to the manifest: where it is missing, damaged or of
other shards, readers take the shards, and read the same. It decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from screen import seal

if TYPE_CHECKING:
    from screen.store.folder import RunFolder

INDEX = "index.safetensors"
_ROWS, _SIGNS = "row", "sign"


@dataclass(frozen=True)
class Index:
    """rows (n,) int64, signs (n,) int8, scores: column -> (n,) float32 with nan for null; in the order of `scores`."""

    rows: npt.NDArray[np.int64]
    signs: npt.NDArray[np.int8]
    scores: Mapping[str, npt.NDArray[np.float32]]


def encoded(run: RunFolder, manifest: str) -> bytes:
    """The file's bytes; `manifest` is the digest of the manifest whose shards it copies."""
    from safetensors.numpy import save

    columns = sorted({run.score_column(trait) for trait in run.traits})
    table = read(run, [_ROWS, _SIGNS, *columns])
    arrays: dict[str, npt.NDArray[np.generic]] = {
        f"score.{name}": table[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in columns
    }
    arrays |= {_ROWS: table[_ROWS].to_numpy(), _SIGNS: table[_SIGNS].fill_null(1).to_numpy()}
    whole = {name: np.ascontiguousarray(a) for name, a in sorted(arrays.items())}
    meta = {"index": json.dumps({"manifest": manifest, seal.SEAL: seal.BLANK})}
    return seal.sealed_tensors(save(whole, metadata=meta))


def load(folder: Path, manifest: str) -> Index | None:
    """None where there is none that fits."""
    from safetensors.numpy import load as decode

    try:
        data = (folder / INDEX).read_bytes()
        seal.check_tensors(data)
    except (OSError, seal.Broken):
        return None
    if json.loads(seal.metadata(data)["index"])["manifest"] != manifest:
        return None
    arrays = decode(data)
    scores = {n.removeprefix("score."): a for n, a in arrays.items() if n.startswith("score.")}
    return Index(arrays[_ROWS], arrays[_SIGNS], scores)


def read(run: RunFolder, names: list[str]) -> pa.Table:
    """Columns of `scores` over all shards, in row order: parsed from the bytes that were hashed."""
    parts = []
    for file in run.files("scores"):
        source = pa.BufferReader(run.bytes_of(file))
        parts.append(pq.ParquetFile(source, pre_buffer=False).read(columns=names, use_threads=False).select(names))
    if not parts:
        from screen.store.tables import pinned

        return pinned("scores", run.traits).empty_table().select(names)
    return pa.concat_tables(parts)
