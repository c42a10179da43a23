"""How fast rows are scored here: a shard of the sample's own rows, as large as the time allows. Keeps nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from screen.analysis.estimate.census import LookedRow
from screen.baselines.estimates.estimator import ControlSetFacts, KeptFacts
from screen.baselines.kind import Baseline
from screen.model.forward.items import Item
from screen.model.host import Measuring
from screen.scan.instruments import Instruments, budget_of
from screen.scan.scorer import Within, context_of, with_directions
from screen.scoring.context import ScoringContext
from screen.scoring.schema import RANDOM
from screen.scoring.shard import ShardInput, Tables, score_shard
from screen.spec import ScanSpec
from screen.store import tables

_START = 512  # tokens of the first shard
_PROBES = (8, 64, 512)  # tokens run alone, before a whole row is
_GROWTH = 4


@dataclass(frozen=True)
class ScoringPace:
    """`seconds` a token, measured on so many `tokens`; a rough guess where no row could be scored in time (`rows` is
    0). `bytes`: what a run stores, (of each shard, of each row); None where no row was scored."""

    seconds: float
    tokens: int
    rows: int
    bytes: tuple[float, float] | None


def measure_scoring(
    rows: Sequence[LookedRow], instruments: Instruments, baseline: Baseline, spec: ScanSpec, until: float
) -> ScoringPace:
    """Score rows, of which there is at least one, until the clock (time.monotonic) says `until`; what is begun is
    expected to end by then."""
    context = stand_in(instruments, baseline)
    projector = with_directions(instruments.projector, context.directions)
    pace = _probe(rows, projector, until)
    size, done = _START, 0
    while True:
        size = min(size, int(0.8 * (until - time.monotonic()) / pace.seconds))
        part = _of_tokens(rows, size)
        tokens = sum(row.tokens for row in part)
        if tokens < 2 * done or not part:
            if pace.rows or size < _START or size >= max(row.tokens for row in rows):
                return pace
            size *= _GROWTH  # the shortest row is longer
            continue
        began = time.monotonic()
        stored = _score(part, instruments, projector, baseline, spec, context)
        pace = ScoringPace((time.monotonic() - began) / tokens, tokens, len(part), _bytes(stored, instruments.traits))
        size, done = size * _GROWTH, tokens


def stand_in(instruments: Instruments, baseline: Baseline) -> ScoringContext:
    """A context of the size that the run's will have; its directions are zeros, which cost as much."""
    from screen.baselines.estimates.fitting import COMPONENTS

    vectors, d_model = instruments.vectors, instruments.model.d_model
    layers = sorted(set(vectors.layers))
    sets: list[ControlSetFacts] = [{"key": str(layer), "layer": layer, "source": "run"} for layer in layers]
    pairs = zip(vectors.vectors, vectors.layers, strict=True)
    facts: KeptFacts = {
        "sets": sets,
        "set_of": {vector.trait: str(layer) for vector, layer in pairs},
        "screened": layers,
        "components": COMPONENTS if baseline.calibrates else 0,
    }
    arrays = {f"random.{layer}": np.zeros((RANDOM, d_model), dtype=np.float32) for layer in layers}
    arrays |= {f"components.{layer}": np.zeros((COMPONENTS, d_model), dtype=np.float32) for layer in layers}
    return context_of(arrays, facts, vectors)


def _probe(rows: Sequence[LookedRow], projector: Measuring, until: float) -> ScoringPace:
    """Seconds a token of the longest piece of text that a fraction of the time allows."""
    ids = np.concatenate([s.ids for row in rows[:64] for _, r in row.shard.samples for s in r.sequences])
    began, pace = time.monotonic(), ScoringPace(0.0, 0, 0, None)
    for tokens in _PROBES:
        size = min(tokens, len(ids), projector.model.context)
        if pace.tokens and pace.seconds * size > (until - time.monotonic()) / 4:
            break
        since = time.monotonic()
        projector.measure([Item(ids[:size], np.array([size - 1], dtype=np.int32))])
        pace = ScoringPace((time.monotonic() - since) / size, size, 0, None)
        if time.monotonic() - began > (until - began) / 4:
            break
    return pace


def _of_tokens(rows: Sequence[LookedRow], most: int) -> list[LookedRow]:
    """The first rows that fit, those that are too long by themselves left out."""
    part: list[LookedRow] = []
    tokens = 0
    for row in (r for r in rows if r.tokens <= most):
        if tokens + row.tokens > most:
            break
        part.append(row)
        tokens += row.tokens
    return part


def _score(
    part: Sequence[LookedRow],
    instruments: Instruments,
    projector: Measuring,
    baseline: Baseline,
    spec: ScanSpec,
    context: ScoringContext,
) -> Tables:
    """A shard's tables, without answers of the model."""
    samples = [one for row in sorted(part, key=lambda r: r.row) for one in row.shard.samples]
    given = [row.shard.given for row in part if row.shard.given is not None]
    merged = {place: answers for each in given for place, answers in each.items()} if given else None
    shard = ShardInput(samples, given=merged)
    return score_shard(shard, instruments.traits, Within(projector, budget_of(spec)), None, baseline, context=context)


def _bytes(stored: Tables, traits: Sequence[str]) -> tuple[float, float]:
    """Of each shard and of each row, by the line through what the tables and their first halves take."""
    fixed = a_row = 0.0
    for name, table in stored.items():
        if (n := table.num_rows) >= 2:
            schema = tables.pinned(name, traits)
            whole, half = (len(tables.encode(t, schema)) for t in (table, table.slice(0, n // 2)))
            slope = (whole - half) / (n - n // 2)
            a_row += slope * n
            fixed += max(0.0, whole - slope * n)
    rows = stored["scores"].num_rows
    return fixed, a_row / max(rows, 1)
