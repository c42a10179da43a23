"""One row of a run, read from its shard alone. Knows nothing of how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc

from screen.scoring.findings.flags import Flagging
from screen.scoring.schema import SCORES, TURNS, score_columns
from screen.select.named import entry_of
from screen.select.scores import score_column, score_values, thresholds_of
from screen.store.folder import read_published
from screen.store.labels.record import Label
from screen.store.manifest import ShardEntry
from screen.store.scan import Scan

_PARTS = ("", "_projection", "_baseline", "_window", "_max")


@dataclass(frozen=True, slots=True)
class Side:
    """A sample: a row, or one side of a preference pair."""

    facts: dict[str, Any]  # the columns of scores that belong to no trait
    scores: dict[str, dict[str, Any]]  # trait -> score, projection, ..., ranked, column, place, threshold, flagged
    turns: list[dict[str, Any]]  # the columns of turns

    @property
    def variant(self) -> str | None:
        variant: str | None = self.facts["variant"]
        return variant


@dataclass(frozen=True, slots=True)
class Row:
    """Everything a run has on one input row: sides where it was scored, else why not."""

    row: int
    sides: list[Side] = field(default_factory=list)
    skipped: dict[str, Any] | None = None
    labels: list[Label] = field(default_factory=list)


def find(scan: Scan, row: int) -> Row:
    """Raises UsageError for a row that the run does not hold."""
    entry = entry_of(scan, row)
    labels = list(scan.labels.current.get(row, {}).values())
    skips = _read(scan, entry, "skipped", row)
    if skips:
        return Row(row, skipped=skips[0], labels=labels)
    turns = _read(scan, entry, "turns", row)
    flags = thresholds_of(scan)
    return Row(row, [_side(scan, s, turns, flags) for s in _read(scan, entry, "scores", row)], labels=labels)


def _read(scan: Scan, entry: ShardEntry, table: str, row: int) -> list[dict[str, Any]]:
    if table not in entry.files:
        return []
    rows = read_published(scan.folder.whole(entry.files[table]), filters=pc.field("row") == row)
    return list(rows.to_pylist())


def _side(scan: Scan, sample: dict[str, Any], turns: list[dict[str, Any]], flags: Mapping[str, Flagging]) -> Side:
    own = sorted((t for t in turns if t["variant"] == sample["variant"]), key=lambda t: t["turn"])
    scores = {}
    for trait in scan.traits:
        values = {p.lstrip("_") or "score": sample[f"{trait}{p}"] for p in _PARTS}
        column = score_column(scan, trait)
        away = sample["sign"] < 0
        value, limit = sample[column], flags[trait]["threshold_away" if away else "threshold"]
        flagged = limit is not None and value is not None and (value < limit if away else value > limit)
        place = _place(scan, column, value)
        scores[trait] = {
            **values,
            "ranked": value,
            "column": column,
            "place": place,
            "threshold": limit,
            "flagged": flagged,
        }
    return Side({c.name: sample[c.name] for c in SCORES}, scores, own)


def _place(scan: Scan, column: str, value: float | None) -> float | None:
    """The share of the run's samples with a lower score."""
    if value is None:
        return None
    values = score_values(scan, column)
    values = values[~np.isnan(values)]
    return float((values < np.float32(value)).mean()) if len(values) else None


def leading(row: Row) -> str:
    """The trait that stands out most in this row: flagged, or else the highest in the run."""

    def standing(trait: str) -> tuple[bool, float]:
        scores = [side.scores[trait] for side in row.sides]
        return any(s["flagged"] for s in scores), max(s["place"] or 0.0 for s in scores)

    return max(row.sides[0].scores, key=standing)


def highest(side: Side, trait: str) -> dict[str, Any] | None:
    """The turn with the trait's highest window."""
    known = [t for t in side.turns if t[f"{trait}_window"] is not None] or side.turns
    return max(known, key=lambda t: t[f"{trait}_window"] or 0.0, default=None)


def as_object(row: Row) -> dict[str, Any]:
    """Plain JSON: the row's columns as they are stored, traits and turns nested."""
    labels = [asdict(label) for label in row.labels]
    if row.skipped is not None:
        return {"row": row.row, "scored": False, "skipped": row.skipped, "labels": labels}
    samples = [{**s.facts, "traits": s.scores, "turns": [_turn(t, s) for t in s.turns]} for s in row.sides]
    return {"row": row.row, "scored": True, "samples": samples, "labels": labels}


def _turn(turn: dict[str, Any], side: Side) -> dict[str, Any]:
    traits = {
        t: {c.name.removeprefix(t).lstrip("_") or "score": turn[c.name] for c in score_columns(t)[:4]}
        | {"window_span": [turn[f"{t}_window_start"], turn[f"{t}_window_end"]]}
        for t in side.scores
    }
    return {c.name: turn[c.name] for c in TURNS} | {"traits": traits}
