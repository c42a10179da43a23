"""What a finished run says of one trait: statistics, threshold, flags, controls, the verdict, the dataset's mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from screen.baselines.estimates.calibration import control_variate_mean
from screen.scoring.concentration import few_tokens
from screen.scoring.context import ScoringContext
from screen.scoring.findings import dataset
from screen.scoring.findings.comparison import Comparison, compare
from screen.scoring.findings.flags import DEFAULT_AT, Threshold, TraitCard, threshold
from screen.scoring.findings.lengths import slope
from screen.scoring.findings.significance import fdr_threshold
from screen.scoring.findings.signs import flagged
from screen.scoring.findings.verdict import judge
from screen.scoring.schema import scores_schema
from screen.stats import bootstrap_mean, wilson
from screen.store.controls import control_scores
from screen.store.folder import RunFolder

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TraitScores:
    """A trait's scores of all samples in row order, NaN where there is none.

    scores    (n,) float32 that rows are ranked and flagged by
    every     (n,) the same for every row where a refined run has exact ones for some only: what is compared
    layer0    (n,) along the trait's direction at layer 0
    random    (n, m) along its control directions; m is 0 in a run without them
    tokens    (n,) scored tokens
    toward    (n,) whether the row is trained toward, not away from
    """

    trait: str
    column: str
    scores: Float32
    every: Float32
    layer0: Float32
    random: Float32
    tokens: npt.NDArray[np.int32]
    toward: Bool


def read_trait(folder: RunFolder, trait: str, base: pa.Table, controls: str | None) -> TraitScores:
    """`controls`: the key of the set of directions that the trait is compared with."""
    column = folder.score_column(trait)
    n = base.num_rows
    return TraitScores(
        trait=trait,
        column=column,
        scores=floats(folder, column),
        every=floats(folder, folder.baseline.column(trait)),
        layer0=floats(folder, f"{trait}_layer0"),
        random=control_scores(folder, controls, n) if controls else np.zeros((n, 0), dtype=np.float32),
        tokens=base["answer_tokens"].to_numpy(),
        toward=base["sign"].to_numpy() >= 0,
    )


def summarise_trait(
    folder: RunFolder,
    read: TraitScores,
    card: TraitCard,
    base: pa.Table,
    at: str,
    fdr: float | None,
    context: ScoringContext,
) -> tuple[dict[str, Any], Bool]:
    """(the trait's part of summary.json, which rows are flagged)."""
    limit = _limit(read, card, at, fdr, context)
    over = flagged(read.scores, np.where(read.toward, 1, -1), limit.value, limit.away)
    scored = ~np.isnan(read.scores)
    values = read.scores[scored]
    # a refined run has exact scores where a flag was open; the others were found to lie below the threshold
    judged = len(over) if folder.identity.get("settings", {}).get("refine") else len(values)
    refused = np.asarray(pc.fill_null(base["base_refused"], False))
    comparison = _compare(read, card, limit)
    verdict = judge(comparison, card["layer"], scored=len(values), threshold=limit.value is not None, at=limit.at)
    summary = {
        "column": read.column,
        "layer": card["layer"],
        "n": len(values),
        **_statistics(values),
        "threshold": limit.value,
        "threshold_low": limit.low,
        "threshold_high": limit.high,
        "threshold_away": limit.away,
        "at": limit.at,
        "rule": limit.rule,
        "reference": limit.reference,
        "flagged": int(over.sum()),
        "share": float(over.sum()) / judged if judged else None,
        "share_interval": list(wilson(int(over.sum()), judged)) if judged else None,
        "judged": judged,
        "away": _away(read, limit, over),
        "flagged_base_refused": int((over & refused).sum()),
        "flagged_few_tokens": few_tokens(floats(folder, f"{read.trait}_top2"), read.tokens, over),
        "verdict": verdict.to_json(),
        "controls": None if comparison is None else _plain(asdict(comparison)),
        **_length(read),
        "dataset": _dataset(folder, read, base, context),
    }
    return summary, over


def _limit(read: TraitScores, card: TraitCard, at: str, fdr: float | None, context: ScoringContext) -> Threshold:
    toward = read.scores[read.toward & ~np.isnan(read.scores)]
    reference, known = context.references.get(read.trait), card["reference"]
    if fdr is None or reference is None or known is None:
        return threshold(toward, known, at)
    at_rate = fdr_threshold(toward, reference, fdr)
    rule = f"false-discovery rate {fdr:g} against {known['name']} ({len(reference):,} clean rows)"
    if at_rate is None:  # nothing is above the highest score
        return Threshold(float(toward.max()) if len(toward) else None, f"{rule}: no row", True)
    return Threshold(at_rate, rule, True)


def _compare(read: TraitScores, card: TraitCard, limit: Threshold) -> Comparison | None:
    """The trait beside its controls, by the percentile that the threshold is; at a false-discovery rate by p99.

    In a refined run the rows that are flagged have exact scores, and those stand in place of their estimates.
    """
    scores = np.where(np.isnan(read.scores), read.every, read.scores)
    usable = ~np.isnan(scores) & ~np.isnan(read.random).any(axis=1)
    return compare(
        scores[usable],
        read.random[usable],
        read.tokens[usable],
        card["reference"],
        limit.at or DEFAULT_AT,
        layer0=read.layer0[usable],
        toward=read.toward[usable],
    )


def _statistics(values: Float32) -> dict[str, float | None]:
    if not len(values):
        return dict.fromkeys(("mean", "p50", "p95", "p99", "max"))
    p50, p95, p99 = (float(q) for q in np.quantile(values.astype(np.float64), [0.5, 0.95, 0.99]))
    return {
        "mean": float(values.mean(dtype=np.float64)),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "max": float(values.max()),
    }


def _away(read: TraitScores, limit: Threshold, over: Bool) -> dict[str, int] | None:
    """Of the rows that are trained away from: how many, how many show the trait, how many are flagged."""
    if read.toward.all():
        return None
    away = ~read.toward & ~np.isnan(read.scores)
    above = 0 if limit.value is None else int((away & (read.scores > limit.value)).sum())
    return {
        "rows": int((~read.toward & ~np.isnan(read.every)).sum()),
        "above": above,
        "flagged": int((away & over).sum()),
    }


def _length(read: TraitScores) -> dict[str, float | None]:
    scored = ~np.isnan(read.every)
    if not scored.any():
        return {"length_slope": None, "length_mean": None}
    tokens = read.tokens[scored]
    return {
        "length_slope": slope(read.every[scored], tokens),
        "length_mean": float(np.log(np.maximum(tokens, 1)).mean()),
    }


def _dataset(folder: RunFolder, read: TraitScores, base: pa.Table, context: ScoringContext) -> dict[str, Any]:
    """The mean of the rows that are trained toward, with an interval bootstrapped by prompt; and the same by group."""
    values = read.every
    scored = ~np.isnan(values) & read.toward
    keys = base["prompt_key"].to_numpy()[scored]
    if not scored.any():
        return {"mean": None, "low": None, "high": None, "groups": []}
    mean, low, high = bootstrap_mean(values[scored], keys)
    groups = base["group"].filter(pa.array(scored)).to_pylist()
    whole: dict[str, Any] = {"mean": mean, "low": low, "high": high, "method": "bootstrap by prompt"}
    if context.calibration is not None:
        exact = floats(folder, read.trait)
        sampled = context.calibration.has(base["prompt_key"].to_numpy().view(np.uint64)) & ~np.isnan(exact) & scored
        if sampled.sum() >= 20:
            mean, low, high, saved = control_variate_mean(exact[sampled], values[sampled], values[scored])
            whole = {"mean": mean, "low": low, "high": high, "method": "answered rows, estimates as control variate"}
            whole |= {"answered": int(sampled.sum()), "answers_saved": None if np.isinf(saved) else round(saved)}
    return _plain(whole) | {"groups": [_plain(g) for g in dataset.by_group(values[scored], keys, groups)]}


def floats(folder: RunFolder, column: str) -> Float32:
    """(n,) float32 of a column of `scores` in row order, NaN for nulls."""
    values: Float32 = columns(folder, [column])[column].to_numpy(zero_copy_only=False).astype(np.float32)
    return values


def columns(folder: RunFolder, names: list[str]) -> pa.Table:
    """Columns of `scores` over all shards, in row order."""
    files = folder.tables("scores")
    if not files:
        return scores_schema(folder.traits).empty_table().select(names)
    return pa.concat_tables([pq.read_table(f, columns=names) for f in files])


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """NaN becomes None: JSON has none."""
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in value.items()}
