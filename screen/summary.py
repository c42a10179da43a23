"""What a finished run says of itself: counts, a line of statistics a trait, thresholds, controls, groups.

Read from the shards: Arrow columns, one trait at a time, so that memory stays at some tens of bytes a row; needs
neither DuckDB nor polars.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from screen.scoring import controls, unread, verdict
from screen.scoring.calibrate import control_variate_mean
from screen.scoring.concentration import few_tokens
from screen.scoring.flags import DEFAULT_AT, Threshold, threshold
from screen.scoring.lengths import slope
from screen.scoring.schema import FORMAT, RANDOM, score_column
from screen.scoring.significance import fdr_cut
from screen.scoring.standards import Standards
from screen.store.coverage import coverage
from screen.store.folder import RunFolder

Float32 = npt.NDArray[np.float32]
_FLAG = ("threshold", "rule", "column", "length_slope", "length_mean")
_BASE = (
    "row", "baseline", "truncated", "special_text", "baseline_cut", "base_refused", "answer_tokens", "prompt_key",
    "group", "thought_tokens", "baseline_thinks", "baseline_unfinished",
    *(f"dropped_{kind}" for kind in unread.DROPPED),
)  # fmt: skip


def summarise(
    folder: RunFolder,
    cards: Mapping[str, Mapping[str, Any]],
    *,
    at: str | None = None,
    fdr: float | None = None,
    standards: Standards | None = None,
    run: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of summary.json.

    cards      trait -> {"layer": l, "reference": a clean reference or None}
    fdr        flag at this false-discovery rate against the reference set of `standards`, instead of a percentile
    run        facts of this process: tokens, seconds, resumed_rows
    """
    entries = folder.published.values()
    base = _columns(folder, list(_BASE))
    standards = standards or Standards()
    traits: dict[str, Any] = {}
    z: dict[str, npt.NDArray[Any]] = {}
    over: dict[str, npt.NDArray[np.bool_]] = {}
    scores: dict[str, Float32] = {}
    for trait, card in cards.items():
        scores[trait] = _scores(folder, trait)
        limit = _limit(scores[trait], trait, card, at or DEFAULT_AT, fdr, standards)
        traits[trait], over[trait] = _trait(folder, trait, card, base, scores[trait], limit, standards)
        z[trait] = _z(scores[trait])
    rows, skipped = sum(e.rows for e in entries), sum(e.skipped for e in entries)
    return {
        "format": FORMAT,
        "rows": rows,
        "scored": rows - skipped,
        "samples": base.num_rows,
        "skipped": skipped,
        "skipped_by_code": _skip_codes(folder),
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
        "correlations": verdict.correlations(scores),
        "better_explained": verdict.better_explained(z, over),
        "flags": {t: {k: v[k] for k in _FLAG} for t, v in traits.items()},
    }


def _limit(
    scores: Float32, trait: str, card: Mapping[str, Any], at: str, fdr: float | None, standards: Standards
) -> Threshold:
    present = scores[~np.isnan(scores)]
    reference = standards.references.get(trait)
    if fdr is None or reference is None:
        return threshold(present, card["reference"], at)
    cut = fdr_cut(present, reference, fdr)
    rule = f"false-discovery rate {fdr:g} against {card['reference']['name']} ({len(reference):,} clean rows)"
    if cut is None:  # nothing is above the highest score
        return Threshold(float(present.max()) if len(present) else None, f"{rule}: no row", True)
    return Threshold(cut, rule, True)


def _trait(
    folder: RunFolder,
    trait: str,
    card: Mapping[str, Any],
    base: pa.Table,
    scores: Float32,
    limit: Threshold,
    standards: Standards,
) -> tuple[dict[str, Any], npt.NDArray[np.bool_]]:
    """Statistics of a trait's scores, and which rows are flagged."""
    there = ~np.isnan(scores)
    values = scores[there]
    over = scores > limit.value if limit.value is not None else np.zeros(len(scores), dtype=bool)
    refused = np.asarray(pc.fill_null(base["base_refused"], False))
    flagged = int(over.sum())
    # a refined run has exact scores where a flag was open; the others were found to lie below the cut
    judged = base.num_rows if folder.identity.get("settings", {}).get("refine") else len(values)
    stats: dict[str, Any] = {"mean": None, "p50": None, "p95": None, "p99": None, "max": None}
    if len(values):
        p50, p95, p99 = (float(q) for q in np.quantile(values.astype(np.float64), [0.5, 0.95, 0.99]))
        stats = {"mean": float(values.mean(dtype=np.float64)), "p50": p50, "p95": p95, "p99": p99}
        stats["max"] = float(values.max())
    made = {
        "column": _score_column(folder, trait),
        "layer": card["layer"],
        "n": len(values),
        **stats,
        "threshold": limit.value,
        "rule": limit.rule,
        "reference": limit.reference,
        "flagged": flagged,
        "share": flagged / judged if judged else None,
        "judged": judged,
        "flagged_base_refused": int((over & refused).sum()),
        "flagged_few_tokens": few_tokens(_floats(folder, f"{trait}_top2"), base["answer_tokens"].to_numpy(), over),
        **_beside(folder, trait, card["layer"], base, limit.value),
        "dataset": _dataset(folder, trait, base, scores, there, standards),
    }
    return made, over


def _beside(folder: RunFolder, trait: str, layer: int, base: pa.Table, limit: float | None) -> dict[str, Any]:
    """What stands beside a trait's figures: its controls, and how much of it is length.

    In a refined run the estimates are judged: they are there for every row, and so are their controls.
    """
    kind = folder.facts["baseline"]
    column = score_column(trait, kind)
    scores = _columns(folder, [column, f"{trait}_layer0"])
    values, words = (scores[c].to_numpy(zero_copy_only=False) for c in (column, f"{trait}_layer0"))
    there = ~np.isnan(values)
    tokens = base["answer_tokens"].to_numpy()[there]
    random = _random(folder, layer, len(values))[there]
    usable = ~np.isnan(random).any(axis=1)
    values, words, tokens, random = values[there][usable], words[there][usable], tokens[usable], random[usable]
    standing = controls.standing(values, random, tokens, layer, words)
    return {
        "informative": None if standing is None else standing.informative,
        "standing": None if standing is None else _plain(asdict(standing)),
        "controls_flagged": controls.would_flag(values, limit, random, tokens)
        if limit is not None and len(values)
        else None,
        "length_slope": slope(values, tokens) if len(values) else None,
        "length_mean": float(np.log(np.maximum(tokens, 1)).mean()) if len(values) else None,
    }


def _dataset(
    folder: RunFolder, trait: str, base: pa.Table, scores: Float32, there: npt.NDArray[np.bool_], standards: Standards
) -> dict[str, Any]:
    """The dataset's mean with its interval, bootstrapped by prompt; and the same by group."""
    column = score_column(trait, folder.facts["baseline"])
    values = _columns(folder, [column])[column].to_numpy(zero_copy_only=False)
    there = ~np.isnan(values)
    keys = base["prompt_key"].to_numpy()[there]
    if not there.any():
        return {"mean": None, "low": None, "high": None, "groups": []}
    mean, low, high = verdict.bootstrap_mean(values[there], keys)
    groups = base["group"].filter(pa.array(there)).to_pylist()
    made: dict[str, Any] = {"mean": mean, "low": low, "high": high, "method": "bootstrap by prompt"}
    if standards.calibration is not None:
        exact = _columns(folder, [trait])[trait].to_numpy(zero_copy_only=False)
        sampled = standards.calibration.has(base["prompt_key"].to_numpy().view(np.uint64)) & ~np.isnan(exact) & there
        if sampled.sum() >= 20:
            mean, low, high, saved = control_variate_mean(exact[sampled], values[sampled], values[there])
            made = {"mean": mean, "low": low, "high": high, "method": "answered rows, estimates as control variate"}
            made |= {"answered": int(sampled.sum()), "answers_saved": None if np.isinf(saved) else round(saved)}
    return _plain(made) | {"groups": [_plain(g) for g in verdict.by_group(values[there], keys, groups)]}


def _scores(folder: RunFolder, trait: str) -> Float32:
    """(n,) float32 in row order, NaN where there is none: the column that the run's kind of baseline fills."""
    return _floats(folder, _score_column(folder, trait))


def _floats(folder: RunFolder, column: str) -> Float32:
    """(n,) float32 of a column of `scores` in row order, NaN for nulls."""
    values: Float32 = _columns(folder, [column])[column].to_numpy(zero_copy_only=False).astype(np.float32)
    return values


def _score_column(folder: RunFolder, trait: str) -> str:
    return score_column(trait, folder.facts["baseline"], bool(folder.identity.get("settings", {}).get("refine")))


def _random(folder: RunFolder, layer: int, n: int) -> Float32:
    """(n, 32) scores on the random directions at a layer, in row order; (n, 0) in a run without them."""
    files = folder.tables("controls")
    if not files:
        return np.zeros((n, 0), dtype=np.float32)
    parts = []
    for file in files:
        table = pq.read_table(file, columns=["layer", "random"])
        chosen = table.filter(pc.equal(table["layer"], layer))["random"].combine_chunks()
        parts.append(chosen.flatten().to_numpy(zero_copy_only=False).reshape(-1, RANDOM))
    whole: Float32 = np.concatenate(parts)
    return whole


def _z(scores: Float32) -> npt.NDArray[Any]:
    there = ~np.isnan(scores)
    out = np.full(len(scores), np.nan)
    if there.any():
        out[there] = controls.robust_z(scores[there])
    return out


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """NaN becomes None: JSON has none."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in value.items()}


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
