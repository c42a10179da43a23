"""A small fake scan: tables that are a pure function of the row, published in shards."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from screen.disk import DISK, Disk
from screen.store import tables
from screen.store.folder import RunFolder

TRAITS = ["evil", 'it\'s "odd"; drop']
ROWS, SHARD = 23, 5


def identity(sha: str = "abc", **changes: Any) -> dict[str, Any]:
    return {"traits": TRAITS, "dataset": {"files": [{"sha256": sha, "bytes": 7}]}, "dtype": "float32", **changes}


def build(name: str, rows: list[dict[str, Any]], traits: Sequence[str] = TRAITS) -> pa.Table:
    wanted = tables.pinned(name, traits)
    return pa.Table.from_pylist([{f: row.get(f) for f in wanted.names} for row in rows], schema=wanted)


def number(row: int, salt: str) -> float:
    return int.from_bytes(hashlib.sha256(f"{salt}{row}".encode()).digest()[:4], "big") / 2**32


@functools.cache
def shard_tables(first: int, end: int, traits: tuple[str, ...] = tuple(TRAITS)) -> dict[str, pa.Table]:
    """Every seventh row is skipped, every fifth a preference pair, the others two turns."""
    scores, turns, skipped = [], [], []
    for row in range(first, end):
        place = {"row": row, "file": "in.jsonl", "line": row + 1, "offset": row * 10, "length": 9, "sha256": "ab"}
        if row % 7 == 3:
            skipped.append({**place, "stage": "read", "code": "bad_json", "message": "no", "head": "{"})
            continue
        for side in ("chosen", "rejected") if row % 5 == 0 else (None,):
            values = {t: number(row, t + str(side)) for t in traits}
            sign = -1 if side == "rejected" else 1
            scores.append({**place, "variant": side, "sign": sign, "turns_scored": 2, **values})
            for turn in (1, 3):
                text = f"answer {turn} of {row}"
                turns.append({"row": row, "variant": side, "turn": turn, "prompt": f"ask {turn}", "text": text})
    return {
        "scores": build("scores", scores, traits),
        "turns": build("turns", turns, traits),
        "skipped": build("skipped", skipped),
    }


def shards(rows: int = ROWS, size: int = SHARD) -> list[tuple[int, int, int]]:
    return [(k, first, min(first + size, rows)) for k, first in enumerate(range(0, rows, size))]


def scan(path: Path, disk: Disk = DISK, rows: int = ROWS, size: int = SHARD, done: list[int] | None = None) -> None:
    """What a run does: open or resume, publish what is missing, finish."""
    with RunFolder.open(path, identity(), {"host": "any"}, disk=disk) as run:
        for shard, first, end in shards(rows, size):
            if shard not in run.published:
                run.publish(shard, first, end, shard_tables(first, end))
                if done is not None:
                    done.append(shard)
        run.finish({"rows": rows, "flags": {"evil": {"threshold": 0.9, "rule": "fixed"}}})


def check_rows(run: RunFolder, rows: int) -> None:
    """Every input row scored or skipped, exactly once."""
    scored = {r for p in run.tables("scores") for r in pq.read_table(p, columns=["row"])["row"].to_pylist()}
    skipped = [r for p in run.tables("skipped") for r in pq.read_table(p, columns=["row"])["row"].to_pylist()]
    assert sorted([*scored, *skipped]) == list(range(rows))
