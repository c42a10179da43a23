"""What a run read of its rows and what it did not: shapes, fields not used; summed exactly over its shards.

Knows nothing of scores.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from screen.store.folder import RunFolder


def coverage(folder: RunFolder) -> dict[str, Any]:
    """`shapes`: shape -> rows read by it; `split_at`, `role_marks`: marks -> rows; `not_used`: name -> rows with it.

    The sides of a pair are one row.
    """
    unused: Counter[str] = Counter()
    by: dict[str, Counter[str]] = {name: Counter() for name in ("shape", "split_at", "role_marks")}
    for file in folder.tables("scores"):
        table = pq.read_table(file, columns=["row", *by, "not_used"])
        for name, counts in by.items():
            counts.update(_rows(table["row"], table[name]))
        names = table["not_used"].combine_chunks()
        rows = pc.take(table["row"], pc.list_parent_indices(names))
        unused.update(_rows(rows, pc.list_flatten(names)))
    shapes, split_at, marks = (dict(counts.most_common()) for counts in by.values())
    described = folder.facts.get("dataset", {})
    notes = {"rendered": described.get("rendered"), "data_notes": described.get("notes", [])}
    return {
        **notes,
        "shapes": shapes,
        "split_at": split_at,
        "role_marks": marks,
        "not_used": dict(unused.most_common()),
    }


def _rows(rows: pa.ChunkedArray, names: pa.ChunkedArray) -> dict[str, int]:
    """Name -> the number of distinct rows that stand beside it."""
    pairs = pa.table({"row": rows, "name": names}).group_by(["row", "name"]).aggregate([])
    counts = pc.value_counts(pairs["name"].drop_null())
    return {count["values"].as_py(): count["counts"].as_py() for count in counts}
