"""A finished run of given scores, without a model: row i of a trait has the i-th."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from screen.store import tables
from screen.store.folder import RunFolder

Scores = Mapping[str, Sequence[float | None]]


def write(
    path: Path, scores: Scores, thresholds: Mapping[str, float | None], *, size: int = 100_000, finish: bool = True,
    signs: Mapping[int, int] | None = None, away: float | None = None,
) -> Path:  # fmt: skip
    """Shards of `size` rows. signs: row -> -1 for one that is trained away from; away: their threshold."""
    traits = tuple(scores)
    rows = len(next(iter(scores.values())))
    facts = {"baseline": "generate"}
    with RunFolder.open(path, {"traits": list(traits), "rows": rows}, facts) as run:
        for shard, first in enumerate(range(0, rows, size)):
            run.publish(
                shard, first, min(first + size, rows), _shard(scores, first, min(first + size, rows), signs or {})
            )
        if finish:
            flags = {
                t: {"threshold": v, "threshold_away": away, "rule": "fixed", "column": t} for t, v in thresholds.items()
            }
            run.finish({"rows": rows, "flags": flags})
    return path


def _shard(scores: Scores, first: int, end: int, signs: Mapping[int, int]) -> dict[str, pa.Table]:
    number = list(range(first, end))
    own = {
        "row": number,
        "id": [f"r{i}" for i in number],
        "file": ["in.jsonl"] * len(number),
        "sign": [signs.get(i, 1) for i in number],
        "turns_scored": [1] * len(number),
        **{trait: values[first:end] for trait, values in scores.items()},
    }
    turns = {"row": number, "turn": [1] * len(number), "text": [f"answer {i}" for i in number],
             "prompt": [f"question {i}" for i in number]}  # fmt: skip
    return {"scores": _table("scores", own, tuple(scores)), "turns": _table("turns", turns, tuple(scores))}


def _table(name: str, columns: Mapping[str, Sequence[object]], traits: tuple[str, ...]) -> pa.Table:
    wanted = tables.pinned(name, traits)
    rows = len(columns["row"])
    arrays = [pa.array(columns.get(f.name, [None] * rows), f.type) for f in wanted]
    return pa.Table.from_arrays(arrays, schema=wanted)
