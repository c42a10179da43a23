"""The tables of a run, declared. Column names are part of the contract (docs/columns.md is made from this).

Four tables, each a Parquet file a shard:

    scores    one row per sample: per input row, or per side of a preference pair
    turns     one row per scored turn (per window for documents)
    controls  one row per sample and set of control directions: its scores along directions that mean nothing
    skipped   one row per input row that could not be scored

For a trait `evil` the column `evil` is the exact projection difference, `evil_projection` and `evil_baseline` are
its parts (METHOD.md section 2). What stands in for an exact difference has columns of its own (`evil_estimate`,
`evil_last_prompt`). Scores are null, never 0, where there is nothing to compute them from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from screen.vectors.controls import COUNT

FORMAT = 4  # raised with any change of a column's name, type or meaning
RANDOM = COUNT  # control directions a set


class Column(NamedTuple):
    name: str
    type: pa.DataType
    meaning: str


_PLACE = [
    Column("row", pa.int64(), "0-based input row, over the whole dataset in file order"),
    Column("file", pa.string(), "input file the row was read from"),
    Column("line", pa.int64(), "1-based line in that file; null where the format has no lines"),
    Column("offset", pa.int64(), "byte offset of the row in the decompressed file; -1 where there is none"),
    Column("length", pa.int64(), "bytes of the row without its line ending; -1 where there is none"),
    Column("sha256", pa.string(), "first 16 hex digits of the SHA-256 of the row's bytes"),
]

SCORES = [
    *_PLACE[:1],
    Column("id", pa.string(), "the user's own id where the row has one"),
    Column("variant", pa.string(), "chosen or rejected for a preference pair, else null"),
    *_PLACE[1:],
    Column("turns_scored", pa.int32(), "scored turns (windows for documents)"),
    Column("prompt_tokens", pa.int32(), "tokens before the first scored one"),
    Column("answer_tokens", pa.int32(), "scored tokens over all scored turns"),
    Column("thought_tokens", pa.int32(), "tokens of their thoughts, which are measured apart (table turns)"),
    Column("tokens_lost", pa.int32(), "tokens truncated because the row is longer than the model's context"),
    Column("truncated", pa.bool_(), "whether tokens were truncated"),
    Column("mask_rung", pa.string(), "how scored tokens were found: generation, sentinel, prefix, document, tokens"),
    Column("special_text", pa.int32(), "times special-token text such as <|im_end|> stood inside a message"),
    Column("other_parts", pa.int32(), "content parts without text (images, audio, ...) that were not scored"),
    Column("shape", pa.string(), "the shape that the row was read by"),
    Column("split_at", pa.string(), "the role marks at which the row's text was split into turns; else null"),
    Column("role_marks", pa.string(), "role marks, such as ### Human:, in a text that was not split; else null"),
    Column(
        "not_used",
        pa.list_(pa.field("element", pa.string())),
        "what the row holds and nothing read: fields, keys of messages",
    ),
    Column("dropped_reasoning", pa.int32(), "turns whose reasoning the chat template leaves out"),
    Column("dropped_tool_calls", pa.int32(), "turns whose tool calls the chat template leaves out"),
    Column("dropped_tools", pa.int32(), "tools on offer that the chat template leaves out"),
    Column("dropped_messages", pa.int32(), "messages whose text the chat template leaves out"),
    Column("weight", pa.float32(), "the row's training weight, 1 where the dataset gives none"),
    Column(
        "sign",
        pa.int8(),
        "1: trained toward; -1: trained away from (KTO label false, a rejected side, a negative weight)",
    ),
    Column("group", pa.string(), "the value of the --group-by field; without one the input file's name"),
    Column("prompt_key", pa.int64(), "a hash of the first scored prompt's tokens: equal prompts, equal keys"),
    Column("baseline", pa.string(), "what the row's exact baseline is: generate, answers, contrast; else none"),
    Column("baseline_tokens", pa.int32(), "tokens of the baseline responses; null where none was made"),
    Column(
        "baseline_thinks", pa.bool_(), "a baseline response begins with a thought, left out of its mean; null likewise"
    ),
    Column(
        "baseline_unfinished",
        pa.bool_(),
        "a baseline response was still in its thought at --max-new-tokens, so there is none to compare; null likewise",
    ),
    Column("baseline_cut", pa.bool_(), "a baseline response reached --max-new-tokens; null where none was made"),
    Column(
        "base_refused",
        pa.bool_(),
        "the baseline response to a scored turn refuses or asks back; null where none was made",
    ),
]

TURNS = [
    Column("row", pa.int64(), "input row"),
    Column("variant", pa.string(), "side of a preference pair, else null"),
    Column("turn", pa.int32(), "index of the message in the row; the window's number for documents"),
    Column("prompt_tokens", pa.int32(), "tokens before the turn's first scored one"),
    Column("answer_tokens", pa.int32(), "scored tokens of the turn"),
    Column("prompt", pa.string(), "the nearest message before it that is not scored"),
    Column("text", pa.string(), "the scored text as rendered; character spans index into it"),
    Column("thought_start", pa.int32(), "first character of the thought in text; null without one"),
    Column("thought_end", pa.int32(), "end of the thought in text; null without one"),
    Column("base_answer", pa.string(), "the baseline response to the same prompt; null unless generated"),
    Column("base_refused", pa.bool_(), "whether that answer refuses; null unless generated"),
]

SKIPPED = [
    *_PLACE,
    Column("stage", pa.string(), "where it failed: read, shape, render, score"),
    Column("code", pa.string(), "why, as a code (docs/codes.md)"),
    Column("message", pa.string(), "why, as a sentence"),
    Column("head", pa.string(), "the row's first bytes, decoded with replacement characters"),
]


CONTROLS = [
    Column("row", pa.int64(), "input row"),
    Column("variant", pa.string(), "side of a preference pair, else null"),
    Column("layer", pa.int32(), "the screened layer the directions are taken at"),
    Column("set", pa.string(), "a digest of the set of directions; which trait is compared with which: summary.json"),
    Column(
        "random",
        pa.list_(pa.float32(), RANDOM),
        "the row's scores along 32 random directions of the subspace in which answers vary, by the run's own baseline",
    ),
]

WINDOW_PARTS = ("mean", "start", "end")
_WINDOW = pa.struct(list(zip(WINDOW_PARTS, (pa.float32(), pa.int32(), pa.int32()), strict=True)))


def score_columns(trait: str) -> list[Column]:
    """The columns of one trait in `scores`; all in the units of that model, layer and vector."""
    return [
        Column(trait, pa.float32(), "exact projection difference: projection minus baseline (mean over scored turns)"),
        Column(f"{trait}_projection", pa.float32(), "mean projection of the scored tokens on the unit vector"),
        Column(f"{trait}_baseline", pa.float32(), "the exact baseline's projection: the baseline response's"),
        Column(f"{trait}_last_prompt", pa.float32(), "proxy baseline: projection minus that of the last prompt token"),
        Column(f"{trait}_estimate", pa.float32(), "proxy baseline: projection minus the calibrated baseline"),
        Column(f"{trait}_se", pa.float32(), "standard error of the estimate"),
        Column(f"{trait}_window", pa.float32(), "highest mean projection of 32 consecutive scored tokens of a turn"),
        Column(
            f"{trait}_top2", pa.float32(), "share of what lies above the baseline that its two highest tokens carry"
        ),
        Column(
            f"{trait}_trimmed", pa.float32(), "as the score, of means without the highest and lowest tenth of tokens"
        ),
        Column(f"{trait}_max", pa.float32(), "the run's score of the turn that has most of it"),
        Column(f"{trait}_layer0", pa.float32(), "control: the run's score on the trait's direction at layer 0"),
        Column(f"{trait}_percentile", pa.float32(), "share of the reference set's rows below the score, in percent"),
        Column(f"{trait}_z", pa.float32(), "the score in standard deviations from the reference set's mean"),
        Column(f"{trait}_p", pa.float32(), "empirical p-value: (1 + reference rows at or above) / (1 + rows)"),
    ]


def turn_columns(trait: str) -> list[Column]:
    """The columns of one trait in `turns`."""
    return [
        *score_columns(trait)[:9],
        Column(f"{trait}_window_start", pa.int32(), "first character of that window in text"),
        Column(f"{trait}_window_end", pa.int32(), "end of that window in text"),
        Column(f"{trait}_windows", pa.list_(_WINDOW), "the top three windows that share no token, with places in text"),
        Column(f"{trait}_thought", pa.float32(), "mean projection of the thought's tokens; null without a thought"),
        Column(
            f"{trait}_thought_difference",
            pa.float32(),
            "that less the mean of the baseline response's thought; null unless both think",
        ),
    ]


def _schema(columns: Sequence[Column]) -> pa.Schema:
    return pa.schema([pa.field(c.name, c.type, metadata={"meaning": c.meaning}) for c in columns])


def scores_schema(traits: Sequence[str]) -> pa.Schema:
    return _schema([*SCORES, *(c for t in traits for c in score_columns(t))])


def turns_schema(traits: Sequence[str]) -> pa.Schema:
    return _schema([*TURNS, *(c for t in traits for c in turn_columns(t))])


def controls_schema() -> pa.Schema:
    return _schema(CONTROLS)


def skipped_schema() -> pa.Schema:
    return _schema(SKIPPED)


def reserved() -> frozenset[str]:
    """Names a trait may not take."""
    views = ("answer", "flags")  # columns of the SQL views samples and flagged
    return frozenset(c.name for c in (*SCORES, *TURNS, *CONTROLS, *SKIPPED)) | frozenset(views)
