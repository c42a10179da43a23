"""How much of a score is arithmetic: rows scored again in float32, one sequence a pass (METHOD section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from screen.analysis.rescore import reopen
from screen.errors import UsageError
from screen.progress import Progress
from screen.store.scan import Scan
from screen.store.unfinished import unfinished

MOST = 200  # rows near a threshold that are scored again
NEAR = 6.0  # times the noise's standard deviation


def check(
    scan: Scan, *, rows: int = 32, seed: int = 0, cache: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Score a seeded sample, and then every row that lies near a threshold, in float32 at batch 1.

    Returns rows (how many), and by trait: column, noise (standard deviation of the difference over the
    sample), largest, threshold, near (rows scored again as their score lies near it), changed (rows whose flag
    changes: row, stored, again), and inside_noise: whether rows near the threshold can go either way.

    Baseline responses are those of the run; only how they are scored differs. Raises UsageError for an unfinished run.
    """
    if not scan.folder.finished:
        raise UsageError(*unfinished(scan.folder))
    columns = {t: scan.folder.score_column(t) for t in scan.traits}
    stored = pa.concat_tables(
        [pq.read_table(f, columns=["row", "variant", *columns.values()]) for f in scan.folder.tables("scores")]
    )
    again = reopen(scan, cache=cache, dtype="float32", alone=True, answering=True, progress=progress)
    numbers = np.unique(stored["row"].to_numpy())
    chosen = np.sort(np.random.default_rng(seed).choice(numbers, min(rows, len(numbers)), replace=False))
    first = _scored(again.score(chosen.tolist())["scores"], columns)
    old = _scored(stored, columns)
    noise = {t: _noise(old, first, t) for t in columns}
    limits = {t: scan.summary["traits"][t]["threshold"] for t in columns}
    near: dict[str, list[int]] = {}
    for trait, limit in limits.items():
        width = max(NEAR * noise[trait][0], 4e-6 * abs(limit or 0.0))
        close = [
            (abs(v[trait] - limit), k[0])
            for k, v in old.items()
            if limit is not None and abs(v[trait] - limit) <= width
        ]
        near[trait] = [row for _, row in sorted(close)[:MOST]]
    more = sorted({row for several in near.values() for row in several} - set(chosen.tolist()))
    new = first | (_scored(again.score(more)["scores"], columns) if more else {})
    by_trait = {}
    for trait, limit in limits.items():
        changed = [
            {"row": key[0], "variant": key[1], "stored": old[key][trait], "again": value[trait]}
            for key, value in sorted(new.items(), key=lambda kv: kv[0][0])
            if limit is not None and key in old and (old[key][trait] > limit) != (value[trait] > limit)
        ]
        by_trait[trait] = {
            "column": columns[trait],
            "noise": noise[trait][0],
            "largest": noise[trait][1],
            "threshold": limit,
            "near": len(near[trait]),
            "changed": changed,
            "inside_noise": bool(near[trait]),
        }
    dtype = scan.folder.identity["model"]["dtype"]
    return {"rows": len(chosen) + len(more), "dtype": dtype, "traits": by_trait}


def _scored(table: pa.Table, columns: Mapping[str, str]) -> dict[tuple[int, str | None], dict[str, float]]:
    """(row, variant) -> trait -> score; NaN where there is none."""
    keys = zip(table["row"].to_pylist(), table["variant"].to_pylist(), strict=True)
    values: dict[str, npt.NDArray[np.float32]] = {
        t: table[c].to_numpy(zero_copy_only=False) for t, c in columns.items()
    }
    return {key: {t: float(v[i]) for t, v in values.items()} for i, key in enumerate(keys)}


def _noise(
    old: Mapping[tuple[int, str | None], Mapping[str, float]],
    new: Mapping[tuple[int, str | None], Mapping[str, float]],
    trait: str,
) -> tuple[float, float]:
    off = np.array([new[k][trait] - old[k][trait] for k in new if k in old])
    off = off[~np.isnan(off)]
    return (float(np.sqrt((off**2).mean())), float(np.abs(off).max())) if len(off) else (0.0, 0.0)
