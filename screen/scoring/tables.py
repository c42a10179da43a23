"""A shard's scores as Arrow tables, in the declared schema. The batch is the unit: columns are filled whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from screen.baselines.estimates.estimator import prompt_hashes
from screen.baselines.response import BaselineResponse
from screen.data.sample import Place, Sample, Skip
from screen.rendering.rendered import Rendered
from screen.scoring.context import Directions, ScoringContext
from screen.scoring.schema import RANDOM, WINDOW_PARTS, controls_schema, scores_schema, skipped_schema, turns_schema
from screen.scoring.scored import Scored

T = TypeVar("T")
Float32 = npt.NDArray[np.float32]
_DROPPED = {
    "reasoning": ("reasoning",),
    "tool_calls": ("tool_calls",),
    "tools": ("tools",),
    "messages": ("messages", "answers"),
}


Columns = dict[str, pa.Array | npt.NDArray[np.generic] | Sequence[object]]
Samples = Sequence[tuple[Sample, Rendered]]
PLACE = ("row", "file", "line", "offset", "group", "not_used")  # of a row's place, or of settings that decide no score


def reading_columns(samples: Samples, groups: Mapping[int, str] | None = None) -> Columns:
    """The columns of `scores` that the rows themselves decide, and how they are read and rendered: no model.

    groups  row -> the value of the --group-by field; a row that is not named stands under its file
    """
    read, rendered = [s for s, _ in samples], [r for _, r in samples]
    turns = [[(sequence, turn) for sequence in r.sequences for turn in sequence.turns] for r in rendered]
    firsts = [sequence.ids[: turn.prompt_end] for (sequence, turn), *_ in turns]
    return {
        "row": [s.row for s in read],
        "id": [s.id for s in read],
        "variant": [s.variant for s in read],
        **_place_columns([s.place for s in read]),
        "turns_scored": [len(own) for own in turns],
        "prompt_tokens": [len(prompt) for prompt in firsts],
        "answer_tokens": [sum(len(turn.tokens) for _, turn in own) for own in turns],
        "thought_tokens": [sum(len(turn.thought_tokens) for _, turn in own) for own in turns],
        "tokens_lost": [r.tokens_lost for r in rendered],
        "truncated": [r.tokens_lost > 0 for r in rendered],
        "mask_rung": [r.rung for r in rendered],
        "special_text": [r.special_text for r in rendered],
        "other_parts": [sum(sum(t.other_parts.values()) for t in s.turns if t.other_parts) for s in read],
        "shape": [s.shape for s in read],
        "split_at": [s.split_at for s in read],
        "role_marks": [s.marks for s in read],
        "not_used": [list(s.unused) for s in read],
        **{f"dropped_{kind}": _dropped(rendered, kinds) for kind, kinds in _DROPPED.items()},
        "weight": [s.weight for s in read],
        "sign": [s.sign for s in read],
        "group": [storable((groups or {}).get(s.row, s.place.file)) for s in read],
        "prompt_key": prompt_hashes(firsts).view(np.int64),
    }


def turn_reading_columns(samples: Samples) -> Columns:
    """The same of `turns`."""
    found = [(s, turn) for s, r in samples for sequence in r.sequences for turn in sequence.turns]
    turns = [turn for _, turn in found]
    return {
        "row": [s.row for s, _ in found],
        "variant": [s.variant for s, _ in found],
        "turn": [t.turn for t in turns],
        "prompt_tokens": [t.prompt_end for t in turns],
        "answer_tokens": [len(t.tokens) for t in turns],
        "prompt": [storable(t.prompt) for t in turns],
        "text": [storable(t.text) for t in turns],
        "thought_start": [t.thought[0] if t.thought else None for t in turns],
        "thought_end": [t.thought[1] if t.thought else None for t in turns],
    }


def scores_table(
    scored: Scored, traits: Sequence[str], context: ScoringContext, groups: Mapping[int, str] | None = None
) -> pa.Table:
    """One row per sample, in input order."""
    samples = scored.samples
    exact = scored.sample_baseline
    missing = np.isnan(exact[:, : scored.k]).sum(axis=1).tolist()
    kind = scored.kind.exact_name()
    own = [scored.own_of(i) for i in range(len(samples))]
    columns: Columns = {
        **reading_columns(samples, groups),
        "baseline": ["none" if m else kind for m in missing],
        "baseline_tokens": [_of_answers(o, lambda a: sum(len(x.ids) for x in a)) for o in own],
        "baseline_thinks": [_of_answers(o, lambda a: any(x.thinks for x in a)) for o in own],
        "baseline_unfinished": [_of_answers(o, lambda a: any(x.unfinished for x in a)) for o in own],
        "baseline_cut": [_of_answers(o, lambda a: any(x.truncated for x in a)) for o in own],
        "base_refused": [_of_answers(o, lambda a: any(x.refused for x in a)) for o in own],
    }
    projection, last, estimate = scored.sample_projection, scored.mean(scored.last), scored.mean(scored.estimate)
    window = scored.sample_window
    nothing = np.full(len(samples), np.nan, dtype=np.float32)
    for j, trait in enumerate(traits):
        columns[trait] = _floats(projection[:, j] - exact[:, j])
        columns[f"{trait}_projection"] = _floats(projection[:, j])
        columns[f"{trait}_baseline"] = _floats(exact[:, j])
        columns[f"{trait}_last_prompt"] = _floats(projection[:, j] - last[:, j])
        columns[f"{trait}_estimate"] = _floats(projection[:, j] - estimate[:, j])
        columns[f"{trait}_se"] = _floats(scored.sample_se[:, j])
        columns[f"{trait}_window"] = _floats(window[:, j])
        columns[f"{trait}_top2"] = _floats(scored.sample_top2[:, j])
        columns[f"{trait}_trimmed"] = _floats(scored.sample_trimmed[:, j])
        columns[f"{trait}_max"] = _floats(scored.highest_turn[:, j])
        has = j < len(context.directions.has_layer0) and context.directions.has_layer0[j]
        columns[f"{trait}_layer0"] = _floats(scored.score[:, scored.k + j] if has else nothing)
        columns |= _against(scored.score[:, j], context.references.get(trait), trait)
    return pa.table(columns, schema=scores_schema(traits))


def _against(score: Float32, reference: Float32 | None, trait: str) -> dict[str, pa.Array]:
    """Percentile, z and empirical p of scores against ascending reference scores; nulls without them."""
    if reference is None or not len(reference):
        nothing = _floats(np.full(len(score), np.nan, dtype=np.float32))
        return {f"{trait}_{name}": nothing for name in ("percentile", "z", "p")}
    below = np.searchsorted(reference, score, side="left").astype(np.float32)
    mean, sd = reference.mean(dtype=np.float64), reference.std(dtype=np.float64)
    unknown = np.isnan(score)
    parts = {
        "percentile": 100 * below / len(reference),
        "z": (score - mean) / sd if sd > 0 else np.full(len(score), np.nan),
        "p": (1 + len(reference) - below) / (1 + len(reference)),
    }
    return {f"{trait}_{n}": _floats(np.where(unknown, np.nan, v).astype(np.float32)) for n, v in parts.items()}


def turns_table(scored: Scored, traits: Sequence[str]) -> pa.Table:
    """One row per scored turn, in input order."""
    columns: Columns = {
        **turn_reading_columns(scored.samples),
        "base_answer": [storable(own[0].text) if own else None for own in scored.own],
        "base_refused": [any(a.refused for a in own) if own else None for own in scored.own],
    }
    projection, exact = scored.projection, scored.turn_baseline
    for j, trait in enumerate(traits):
        columns[trait] = _floats(projection[:, j] - exact[:, j])
        columns[f"{trait}_projection"] = _floats(projection[:, j])
        columns[f"{trait}_baseline"] = _floats(exact[:, j])
        columns[f"{trait}_last_prompt"] = _floats(projection[:, j] - scored.last[:, j])
        columns[f"{trait}_estimate"] = _floats(projection[:, j] - scored.estimate[:, j])
        columns[f"{trait}_se"] = _floats(scored.se[:, j])
        columns[f"{trait}_window"] = _floats(scored.window[:, j, 0])
        columns[f"{trait}_top2"] = _floats(scored.turn_top2[:, j])
        columns[f"{trait}_trimmed"] = _floats(scored.turn_trimmed[:, j])
        columns[f"{trait}_window_start"] = [chars[j][0][0] for chars in scored.window_chars]
        columns[f"{trait}_window_end"] = [chars[j][0][1] for chars in scored.window_chars]
        columns[f"{trait}_windows"] = _windows(scored, j)
        columns[f"{trait}_thought"] = _floats(scored.thought[:, j])
        columns[f"{trait}_thought_difference"] = _floats(scored.thought[:, j] - scored.own_thought[:, j])
    return pa.table(columns, schema=turns_schema(traits))


def _windows(scored: Scored, j: int) -> pa.Array:
    """A trait's highest windows of every turn: list of {mean, start, end}."""
    places = [chars[j] for chars in scored.window_chars]
    counts = np.array([len(p) for p in places], dtype=np.int32)
    flat = [place for several in places for place in several]
    filled = np.arange(scored.window.shape[2]) < counts[:, None]
    means = pa.array(scored.window[:, j][filled], type=pa.float32())
    starts, ends = (pa.array([place[i] for place in flat], type=pa.int32()) for i in (0, 1))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([means, starts, ends], WINDOW_PARTS))


def controls_table(scored: Scored, directions: Directions) -> pa.Table:
    """One row per sample and control set, in input order: the run's scores along the control directions."""
    samples, sets = [s for s, _ in scored.samples], directions.sets
    blocks = [scored.score[:, scored.k :][:, directions.random(i)] for i in range(len(sets))]
    values = np.stack(blocks, axis=1) if blocks else np.zeros((0, 0, RANDOM), dtype=np.float32)
    flat = _floats(np.ascontiguousarray(values).reshape(-1))
    columns = {
        "row": np.repeat(np.array([s.row for s in samples], dtype=np.int64), len(sets)),
        "variant": [s.variant for s in samples for _ in sets],
        "layer": np.tile(np.array([s.layer for s in sets], dtype=np.int32), len(samples)),
        "set": [s.key for _ in samples for s in sets],
        "random": pa.FixedSizeListArray.from_arrays(flat, RANDOM),
    }
    return pa.table(columns, schema=controls_schema())


def skipped_table(skips: Sequence[Skip]) -> pa.Table:
    """One row per input row that could not be scored, in input order."""
    columns: dict[str, list[object]] = {
        "row": [s.place.row for s in skips],
        **_place_columns([s.place for s in skips]),
        "stage": [s.stage for s in skips],
        "code": [s.code for s in skips],
        "message": [storable(s.message) for s in skips],
        "head": [s.head.decode("utf-8", "replace") for s in skips],
    }
    return pa.table(columns, schema=skipped_schema())


def storable(text: str) -> str:
    """Text as UTF-8 can hold it: lone surrogates become replacement characters."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
    return text


def _place_columns(places: Sequence[Place]) -> dict[str, list[object]]:
    return {name: [getattr(p, name) for p in places] for name in ("file", "line", "offset", "length", "sha256")}


def _dropped(rendered: Sequence[Rendered], kinds: Sequence[str]) -> list[int]:
    return [sum(r.dropped.get(kind, 0) for kind in kinds) for r in rendered]


def _of_answers(own: list[BaselineResponse], ask: Callable[[list[BaselineResponse]], T]) -> T | None:
    """`ask` of the sample's baseline responses; None where none was made."""
    return ask(own) if own else None


def _floats(values: Float32) -> pa.Array:
    """NaN becomes null in the table, never 0."""
    return pa.array(values, type=pa.float32(), mask=np.isnan(values))
