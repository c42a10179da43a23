"""summary.json as typed, frozen records. One reader, by the records' own types.

Scores, thresholds and means are projection differences: in units of the model's activations at the trait's layer.
Shares and probabilities are of 1. docs/scores.md says what each means.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from screen.scoring.findings.comparison import Comparison
from screen.scoring.findings.verdict import Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GroupMean:
    """The rows of one group; a mean only where there are enough of them."""

    group: str
    rows: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class DatasetMean:
    """The mean over the rows that are trained toward, with its 95 % interval, and the same by group."""

    mean: float | None
    low: float | None
    high: float | None
    groups: tuple[GroupMean, ...]
    method: str | None = None
    answered: int | None = None  # rows whose prompt was answered, where the others are estimates
    answers_saved: int | None = None


@dataclass(frozen=True, slots=True)
class TrainedAway:
    """Rows that are trained away from: how many, how many of them show the trait, how many are flagged."""

    rows: int
    above: int
    flagged: int


@dataclass(frozen=True, slots=True)
class TraitSummary:
    """One trait over the run's samples."""

    column: str  # of `scores`, that rows are ranked and flagged by
    layer: int  # hidden_states[layer]
    n: int  # samples with a score
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None
    threshold: float | None  # above it a row is flagged
    threshold_low: float | None  # its 95 % interval
    threshold_high: float | None
    threshold_away: float | None  # below it a row that is trained away from is flagged
    at: str | None  # the percentile of clean rows that the threshold is
    rule: str  # the threshold in words
    reference: bool  # whether it comes from clean rows
    flagged: int
    share: float | None  # flagged / judged
    share_interval: tuple[float, ...] | None  # 95 %: low, high
    judged: int
    away: TrainedAway | None
    flagged_base_refused: int  # flagged rows to whose prompt the base model refused
    flagged_few_tokens: int  # flagged rows of whose score two tokens carry more than half
    verdict: Verdict
    controls: Comparison | None  # the trait beside directions that mean nothing
    length_slope: float | None  # of the score on the logarithm of the answer's tokens
    length_mean: float | None  # of that logarithm
    dataset: DatasetMean


@dataclass(frozen=True, slots=True)
class BaselineSummary:
    """What was subtracted: its kind; samples with an exact baseline and without one; responses truncated, refused."""

    kind: str
    without: int
    exact: int
    cut: int
    refused: int


@dataclass(frozen=True, slots=True)
class Thoughts:
    """Rows with a thought, rows whose baseline response has one, and those where it never ended."""

    rows: int
    baseline: int
    unfinished: int


@dataclass(frozen=True, slots=True)
class BetterExplained:
    """Of the `of` rows flagged for `trait`, `rows` stand higher on `other`."""

    trait: str
    other: str
    rows: int
    of: int


@dataclass(frozen=True, slots=True)
class Flag:
    """What the view `flagged` goes by, for one trait."""

    threshold: float | None
    threshold_away: float | None
    rule: str
    column: str
    length_slope: float | None
    length_mean: float | None


@dataclass(frozen=True, slots=True)
class FlagRule:
    """The percentile, or the false-discovery rate, that a run was flagged by."""

    at: str
    fdr: float | None


@dataclass(frozen=True, slots=True)
class Finished:
    """The shards that the summary is of: `manifest` and `run` are SHA-256 in hex."""

    shards: int
    rows: int
    manifest: str
    run: str


@dataclass(frozen=True, slots=True)
class Since:
    """Of a run that takes rows of an earlier one (`--since`): its folder as given, the digest of its identity, how many
    rows were carried over, and how many were scored."""

    path: str
    run: str
    carried: int
    scored: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished run says of itself."""

    format: int
    rows: int  # input rows: scored + skipped
    scored: int
    samples: int  # two for a preference pair
    skipped: int
    skipped_by_code: Mapping[str, int]  # docs/codes.md
    rendered: str | None
    data_notes: tuple[str, ...]
    shapes: Mapping[str, int]  # shape -> rows read by it
    split_at: Mapping[str, int]
    role_marks: Mapping[str, int]
    not_used: Mapping[str, int]  # field -> rows that have it
    truncated: int
    special_text: int
    baseline: BaselineSummary
    tokens: int  # through the model, in the process that ended the run
    seconds: float
    resumed_rows: int
    dropped: Mapping[str, int]
    thoughts: Thoughts
    notes: tuple[str, ...]
    at: str
    fdr: float | None
    traits: Mapping[str, TraitSummary]
    correlations: Mapping[str, Mapping[str, float | None]]  # Pearson's r
    better_explained: tuple[BetterExplained, ...]
    flags: Mapping[str, Flag]
    finished: Finished
    since: Since | None = None
    reflagged: tuple[FlagRule, ...] | None = None  # what it was flagged by before, oldest first

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Summary:
        return read(cls, value)


def read(kind: type[T], value: Mapping[str, Any]) -> T:
    """An object of JSON as a record of this kind; fields that it lacks have their default.

    Raises KeyError for a field without one, so that no file of another format is taken for this one's.
    """
    made: T = _read(kind, value)
    return made


def _read(kind: Any, value: Any) -> Any:
    """By the type: a record, a tuple or a mapping of records, or a plain value; None where that is allowed."""
    inner = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return None if value is None else _read(next(k for k in inner if k is not type(None)), value)
    if get_origin(kind) is tuple:
        return tuple(_read(inner[0], item) for item in value)
    if get_origin(kind) is Mapping:
        return {key: _read(inner[1], item) for key, item in value.items()}
    if not isinstance(kind, type) or not dataclasses.is_dataclass(kind):
        return value
    hints = _hints(kind)
    needed = [f.name for f in dataclasses.fields(kind) if f.name in value or f.default is dataclasses.MISSING]
    return kind(**{name: _read(hints[name], value[name]) for name in needed})


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
