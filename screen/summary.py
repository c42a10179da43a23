"""What a finished run says of itself: counts, a line of statistics a trait, thresholds. Read from the shards.

Works on Arrow columns, one trait at a time, so that memory stays at a few bytes a row; needs neither DuckDB nor
polars.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from screen.scoring.flags import DEFAULT_AT, threshold
from screen.scoring.schema import FORMAT, score_column
from screen.store.folder import RunFolder


def summarise(
    folder: RunFolder, cards: Mapping[str, Mapping[str, Any]], *, at: str | None = None, run: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of summary.json.

    cards  trait -> {"layer": l, "reference": the card's clean reference or None}
    run    facts of this process: tokens, seconds, resumed_rows
    """
    entries = folder.published.values()
    base = _columns(folder, ["row", "baseline", "truncated", "special_text", "baseline_cut", "base_refused"])
    traits = {t: _trait(folder, t, card, base, at or DEFAULT_AT) for t, card in cards.items()}
    rows, skipped = sum(e.rows for e in entries), sum(e.skipped for e in entries)
    return {
        "format": FORMAT,
        "rows": rows,
        "scored": rows - skipped,
        "samples": base.num_rows,
        "skipped": skipped,
        "skipped_by_code": _skip_codes(folder),
        "truncated": _true(base["truncated"]),
        "special_text": int(np.count_nonzero(base["special_text"].to_numpy())),
        "baseline": {
            "kind": folder.facts["baseline"],
            "without": _without(folder, base),
            "cut": _true(base["baseline_cut"]),
            "refused": _true(base["base_refused"]),
        },
        **run,
        "notes": [w for v in folder.facts.get("vectors", {}).values() for w in v.get("warnings", ())],
        "at": at or DEFAULT_AT,
        "traits": traits,
        "flags": {t: {k: v[k] for k in ("threshold", "rule", "column")} for t, v in traits.items()},
    }


def _trait(folder: RunFolder, trait: str, card: Mapping[str, Any], base: pa.Table, at: str) -> dict[str, Any]:
    """Statistics of a trait's scores, from the column that the run's kind of baseline fills."""
    column = score_column(trait, folder.facts["baseline"], bool(folder.identity.get("settings", {}).get("refine")))
    values = _columns(folder, [column])[column]
    present = np.asarray(pc.is_valid(values))
    scores = values.to_numpy(zero_copy_only=False)[present].astype(np.float32)
    limit = threshold(scores, card["reference"], at)
    over = scores > limit.value if limit.value is not None else np.zeros(len(scores), dtype=bool)
    refused = np.asarray(pc.fill_null(base["base_refused"], False))[present]
    stats: dict[str, Any] = {"mean": None, "p50": None, "p95": None, "p99": None, "max": None}
    if len(scores):
        p50, p95, p99 = (float(q) for q in np.quantile(scores.astype(np.float64), [0.5, 0.95, 0.99]))
        stats = {"mean": float(scores.mean(dtype=np.float64)), "p50": p50, "p95": p95, "p99": p99}
        stats["max"] = float(scores.max())
    return {
        "column": column,
        "layer": card["layer"],
        "n": len(scores),
        **stats,
        "threshold": limit.value,
        "rule": limit.rule,
        "reference": limit.reference,
        "flagged": int(over.sum()),
        "share": float(over.mean()) if len(scores) else None,
        "flagged_base_refused": int((over & refused).sum()),
    }


def _without(folder: RunFolder, base: pa.Table) -> int:
    """Samples that should have an exact baseline and have none."""
    if folder.facts["baseline"] in ("last-prompt", "calibrated", "none"):
        return 0
    return int(np.count_nonzero(np.asarray(pc.equal(base["baseline"], "none"))))


def _columns(folder: RunFolder, names: list[str]) -> pa.Table:
    """Columns of `scores` over all shards, in row order."""
    files = folder.tables("scores")
    if not files:
        from screen.scoring.schema import scores_schema

        return scores_schema(folder.traits).empty_table().select(names)
    return pa.concat_tables([pq.read_table(f, columns=names) for f in files])


def _skip_codes(folder: RunFolder) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for file in folder.tables("skipped"):
        counts.update(pq.read_table(file, columns=["code"])["code"].to_pylist())
    return dict(counts.most_common())


def _true(column: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.cast(column, pa.int64())).as_py() or 0)
