"""What a finished run says of itself: counts, a line of statistics a trait, thresholds, controls, groups.

Read from the shards: Arrow columns, one trait at a time, so that memory stays at some tens of bytes a row; needs
neither DuckDB nor polars.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from screen.scan.summary.coverage import coverage
from screen.scan.summary.trait import columns, read_trait, summarise_trait
from screen.scoring.context import ScoringContext
from screen.scoring.findings import dataset, unread
from screen.scoring.findings.flags import DEFAULT_AT, TraitCard, TraitReference
from screen.scoring.schema import FORMAT
from screen.stats import quartile_spread, robust_z
from screen.store.controls import control_sets
from screen.store.folder import RunFolder

Float32 = npt.NDArray[np.float32]
_FLAG = ("threshold", "threshold_away", "rule", "column", "length_slope", "length_mean")
_BASE = (
    "row", "baseline", "truncated", "special_text", "baseline_cut", "base_refused", "answer_tokens", "prompt_key",
    "group", "sign", "thought_tokens", "baseline_thinks", "baseline_unfinished",
    *(f"dropped_{kind}" for kind in unread.DROPPED),
)  # fmt: skip


def summarise(
    folder: RunFolder,
    cards: Mapping[str, TraitCard],
    *,
    at: str | None = None,
    fdr: float | None = None,
    context: ScoringContext | None = None,
    run: Mapping[str, object],
) -> dict[str, Any]:
    """The content of summary.json.

    cards      trait -> {"layer": l, "reference": a clean reference (with its "controls") or None}
    fdr        flag at this false-discovery rate against the reference set of `context`, instead of a percentile
    run        facts of this process: tokens, seconds, resumed_rows
    """
    entries = folder.published.values()
    base = columns(folder, list(_BASE))
    context = context or ScoringContext()
    traits: dict[str, Any] = {}
    z: dict[str, npt.NDArray[np.float64]] = {}
    over: dict[str, npt.NDArray[np.bool_]] = {}
    scores: dict[str, Float32] = {}
    sets = control_sets(folder)
    for trait, card in cards.items():
        read = read_trait(folder, trait, base, sets.get(trait))
        traits[trait], over[trait] = summarise_trait(folder, read, card, base, at or DEFAULT_AT, fdr, context)
        scores[trait] = read.scores
        z[trait] = np.where(read.toward, 1, -1) * robust_scores(read.scores, card["reference"])
    rows, skipped = sum(e.rows for e in entries), sum(e.skipped for e in entries)
    return {
        "format": FORMAT,
        "rows": rows,
        "scored": rows - skipped,
        "samples": base.num_rows,
        "skipped": skipped,
        "skipped_by_code": _skip_codes(folder),
        **_since(folder, rows - skipped),
        **coverage(folder),
        "truncated": _true(base["truncated"]),
        "special_text": int(np.count_nonzero(base["special_text"].to_numpy())),
        "baseline": {
            "kind": folder.facts["baseline"],
            "without": _without(folder, base),
            "exact": int(np.count_nonzero(np.asarray(pc.not_equal(base["baseline"], "none")))),
            "cut": _true(base["baseline_cut"]),
            "refused": _true(base["base_refused"]),
        },
        **run,
        "dropped": unread.dropped(base),
        "thoughts": unread.thoughts(base),
        "notes": [
            *(w for v in folder.facts.get("vectors", {}).values() for w in v.get("warnings", ())),
            *unread.notes(base),
        ],
        "at": at or DEFAULT_AT,
        "fdr": fdr,
        "traits": traits,
        "correlations": dataset.correlations(scores),
        "better_explained": dataset.better_explained(z, over),
        "flags": {t: {k: v[k] for k in _FLAG} for t, v in traits.items()},
    }


def robust_scores(scores: Float32, reference: TraitReference | None) -> npt.NDArray[np.float64]:
    """(n,) standard deviations from the median of clean rows; without a reference, of the run's own."""
    scored = ~np.isnan(scores)
    out = np.full(len(scores), np.nan)
    if reference and {"p25", "p50", "p75"} <= reference["quantiles"].keys():
        low, middle, high = (float(reference["quantiles"][q]) for q in ("p25", "p50", "p75"))
        out = (scores - middle) / quartile_spread(low, high) if high > low else out
    elif scored.any():
        out[scored] = robust_z(scores[scored])
    return out


def _without(folder: RunFolder, base: pa.Table) -> int:
    """Samples that should have an exact baseline and have none."""
    if not folder.baseline.exact:
        return 0
    return int(np.count_nonzero(np.asarray(pc.equal(base["baseline"], "none"))))


def _skip_codes(folder: RunFolder) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for file in folder.tables("skipped"):
        counts.update(pq.read_table(file, columns=["code"])["code"].to_pylist())
    return dict(counts.most_common())


def _since(folder: RunFolder, scored: int) -> dict[str, Any]:
    """Of a run that takes rows of an earlier one: which, and how many of the scored rows are its."""
    facts = folder.facts.get("since")
    if facts is None:
        return {}
    carried = folder.carried
    return {"since": {"path": facts["path"], "run": facts["run"], "carried": carried, "scored": scored - carried}}


def _true(column: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.cast(column, pa.int64())).as_py() or 0)
