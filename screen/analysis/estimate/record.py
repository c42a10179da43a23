"""What a scan would cost, as `screen estimate` tells it. Times in seconds, sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class TokenCounts:
    """Of a row, as the model reads it (prompts and answers): median and 95th percentile; of the dataset: `total`, with
    the ends of its 95 % interval, which are the total itself where every row was looked at."""

    p50: int
    p95: int
    total: int
    low: int
    high: int


@dataclass(frozen=True)
class PromptCounts:
    """`distinct` is counted where every row was looked at, else estimated from those `seen` in the sample."""

    distinct: int
    seen: int


@dataclass(frozen=True)
class BaselineCost:
    """kind: what would be taken; certain: whether the rows that were looked at decide it. answers: prompts that the
    model has to answer; kept: how many more are in the cache already. answer_tokens: of an answer, on the mean."""

    kind: str
    certain: bool
    answers: int
    kept: int
    answer_tokens: float | None


@dataclass(frozen=True)
class Seconds:
    """loading: until the model is ready, measured. baselines: the model's answers and what is fitted on them.
    scoring: reading, the passes over the model and the tables. total: of the three, a whole run from nothing. None:
    could not be measured in the time there is; `notes` say why."""

    loading: float
    baselines: float | None
    scoring: float | None
    total: float | None


@dataclass(frozen=True)
class MeasuredPart:
    """What the times are taken from: tokens and rows that were scored, whole batches that were answered; seconds that
    it took after the model was loaded."""

    tokens: int
    rows: int
    batches: int
    seconds: float


@dataclass(frozen=True)
class MemoryUse:
    """resident: what the processes hold after the measured pass, None where the system does not tell; weights: the
    model's files."""

    resident: int | None
    weights: int


@dataclass(frozen=True)
class DiskUse:
    """run: the run's Parquet files, without catalogue.duckdb, the copy for other tools; cache: the answers that are
    kept; free: where the run would be."""

    run: int | None
    cache: int | None
    free: int


@dataclass(frozen=True)
class ScanEstimate:
    """looked_at: rows of the seeded sample, all of them in a small dataset; skipped: code -> rows, of those. truncated:
    share of the samples looked at that are longer than the model's context."""

    files: tuple[str, ...]
    rows: int
    looked_at: int
    shape: str
    skipped: Mapping[str, int]
    tokens: TokenCounts
    truncated: float
    prompts: PromptCounts
    baseline: BaselineCost
    traits: tuple[str, ...]
    model: str
    device: str
    dtype: str
    batching: str
    seconds: Seconds
    measured: MeasuredPart
    memory: MemoryUse
    disk: DiskUse
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """As `screen estimate --json` prints it (docs/json/estimate.schema.json)."""
        return asdict(self)
