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
    """`shapes`: shape -> rows read by it; `not_used`: name -> rows that have it. The sides of a pair are one row."""
    shapes: Counter[str] = Counter()
    unused: Counter[str] = Counter()
    for file in folder.tables("scores"):
        table = pq.read_table(file, columns=["row", "shape", "not_used"])
        shapes.update(_rows(table["row"], table["shape"]))
        names = table["not_used"].combine_chunks()
        rows = pc.take(table["row"], pc.list_parent_indices(names))
        unused.update(_rows(rows, pc.list_flatten(names)))
    return {"shapes": dict(shapes.most_common()), "not_used": dict(unused.most_common())}


def _rows(rows: Any, names: Any) -> dict[str, int]:
    """Name -> the number of distinct rows that stand beside it."""
    pairs = pa.table({"row": rows, "name": names}).group_by(["row", "name"]).aggregate([])
    counts = pc.value_counts(pairs["name"].drop_null())
    return {count["values"].as_py(): count["counts"].as_py() for count in counts}
