"""A run by the names of its columns: what they hold, which one ranks a trait, which thresholds rows are flagged by."""

from __future__ import annotations

import difflib
import shlex
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from screen.errors import UsageError, near
from screen.scoring import schema
from screen.scoring.findings.flags import DEFAULT_AT, Flagging, Threshold, threshold
from screen.store.index import read
from screen.store.scan import Scan


def sample_types(scan: Scan) -> dict[str, pa.DataType]:
    """The columns of the view `samples`, those of traits first."""
    types = {f.name: f.type for f in schema.scores_schema(scan.traits)}
    corrected = {f"{trait}_corrected": pa.float32() for trait in scan.traits}
    texts = dict.fromkeys(("prompt", "answer", "base_answer"), pa.string())
    return {**{t: types[t] for t in scan.traits}, **types, **corrected, **texts}


def score_column(scan: Scan, name: str) -> str:
    """The column to rank by: `name`, or for a trait the column that the run's kind of baseline fills."""
    if name not in (known := sample_types(scan)):
        close = difflib.get_close_matches(name.lower(), known, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        where = shlex.quote(near(scan.path))
        raise UsageError(
            f"there is no column {name!a} in {near(scan.path)}",
            f"{hint}its traits are {', '.join(scan.traits)}; `screen sql {where} 'describe samples'` lists all columns",
        )
    if name in scan.traits:
        return scan.folder.score_column(name)
    return name


def score_values(scan: Scan, name: str) -> Any:
    """(n,) float32 values of one score over the run, in row order; nan where there is none."""
    if scan.index is not None and name in scan.index.scores:
        return scan.index.scores[name]
    return pc.cast(read(scan.folder, [name])[name], pa.float32()).to_numpy(zero_copy_only=False)


def threshold_of(scan: Scan, trait: str, at: str | None = None) -> Threshold:
    """The threshold of one trait: as the finished run has it, or made anew for `at` or a run that goes on."""
    known = scan.flags.get(trait)
    if at is None and known is not None and scan.folder.finished:
        reference = scan.summary.get("traits", {}).get(trait, {}).get("reference", False)
        return Threshold(known.get("threshold"), known.get("rule", ""), bool(reference))
    values = score_values(scan, score_column(scan, trait))
    reference = scan.folder.facts.get("references", {}).get(trait)
    return threshold(values[~np.isnan(values)], reference, at or scan.summary.get("at") or DEFAULT_AT)


def threshold_away_of(scan: Scan, trait: str, at: str | None = None) -> float | None:
    """Below which score a row that is trained away from is flagged; None where the run's record says nothing of it."""
    known = scan.flags.get(trait, {}) if at is None and scan.folder.finished else {}
    limit = known.get("threshold_away")
    return None if limit is None else float(limit)


def thresholds_of(scan: Scan, at: str | None = None) -> dict[str, Flagging]:
    """What the view `flagged` goes by, for every trait."""
    made: dict[str, Flagging] = {}
    for trait in scan.traits:
        limit = threshold_of(scan, trait, at)
        made[trait] = {
            "threshold": limit.value,
            "threshold_away": threshold_away_of(scan, trait, at),
            "rule": limit.rule,
            "column": score_column(scan, trait),
        }
    return made
