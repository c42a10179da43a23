"""What a scan has done so far: counts for the listener, and the limit on rows that cannot be scored."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from screen.data.dataset import Dataset, Window
from screen.errors import SkipLimit
from screen.progress import Progress, Tally
from screen.scoring.findings.signs import flagged
from screen.scoring.shard import Tables
from screen.store.folder import RunFolder


class RunFacts(TypedDict, total=False):
    """Of the process that ends a run: tokens through the model, seconds, rows that were done when it began."""

    tokens: int
    seconds: float
    resumed_rows: int


@dataclass(frozen=True, slots=True)
class MaxErrors:
    """How many rows may be skipped: at most `rows`, or at most `share` of the rows seen; None: any number."""

    rows: int | None = None
    share: float | None = None

    def check(self, skipped: int, seen: int) -> None:
        over_rows = self.rows is not None and skipped > self.rows
        over_share = self.share is not None and skipped > self.share * seen
        if over_rows or over_share:
            limit = f"{self.rows:,} rows" if over_rows else f"{100 * (self.share or 0):g} %"
            raise SkipLimit(
                f"{skipped:,} of {seen:,} rows could not be scored, more than --max-errors {limit}",
                "see why with `screen sql RUN 'select code, count(*) from skipped group by 1'`, then mend the rows,"
                " name the shape with --format or --map, or raise --max-errors",
            )


class Meter:
    """Counts what is done and tells the listener; decides nothing but whether too many rows were skipped."""

    def __init__(
        self,
        folder: RunFolder,
        dataset: Dataset,
        progress: Progress,
        limit: MaxErrors,
        thresholds: Mapping[str, float],
    ) -> None:
        """`thresholds`: score column -> the score above which a sample is flagged."""
        self._thresholds = thresholds
        self._flagged = sum(
            count_over(pq.read_table(f, columns=["sign", *thresholds]), thresholds) for f in folder.tables("scores")
        )
        entries = folder.published.values()
        self.rows, self.skipped = sum(e.rows for e in entries), sum(e.skipped for e in entries)
        self.resumed, self.tokens, self.share = self.rows, 0, 0.0
        self._carried = self._carried_before = folder.carried
        self._total, self._limit, self._progress = dataset.count(), limit, progress
        self._began = time.monotonic()
        self._window, self._answers, self._scored = 0, 0.0, 0
        if self.rows:
            progress.note("resume", {"done_rows": self.rows, "shards": len(folder.published)})

    def start(self, window: Window) -> None:
        self._window, self.share, self._answers, self._scored = window.end_row - window.first_row, 0.0, 0.0, 0
        self._tick("reading")

    def answering(self, done: int, of: int, tokens: int) -> None:
        """`done` of the `of` prompts that this shard needs answered, `tokens` of them just now; by far the
        longest part of a shard."""
        self.tokens += tokens
        if of:
            self._answers = 0.9
            self.share = max(self.share, 0.9 * done / of)
        self._tick("baselines")

    def scored(self, tokens: int, of: int) -> None:
        """`tokens` just now, `of` tokens in this pass over the shard."""
        self.tokens += tokens
        self._scored += tokens
        self.share = max(self.share, self._answers + (1 - self._answers) * min(1.0, self._scored / max(of, 1)))
        self._tick("scoring")

    def shared(self, stage: str, tokens: int) -> None:
        """Tokens "answered" or "scored" by one of several workers."""
        self.tokens += tokens
        self._tick("baselines" if stage == "answered" else "scoring")

    def finish(self, window: Window, tables: Tables, carried: int = 0) -> None:
        """`carried`: how many of its rows have an earlier run's scores."""
        self._carried += carried
        self.rows += window.end_row - window.first_row
        self.skipped += tables["skipped"].num_rows
        self._flagged += count_over(tables["scores"], self._thresholds)
        self._window, self.share = 0, 0.0
        self._tick("scoring")
        seen = self.rows
        # a share is judged once enough rows are in to speak of one, and at the end
        if self._limit.share is None or seen >= 1000 or seen == self._total:
            self._limit.check(self.skipped, seen)

    def run_facts(self) -> RunFacts:
        seconds = time.monotonic() - self._began
        return {"tokens": self.tokens, "seconds": round(seconds, 3), "resumed_rows": self.resumed}

    def _tick(self, stage: str) -> None:
        partial = self.rows + max(0, min(int(self.share * self._window), self._window - 1))  # the last when published
        seconds = time.monotonic() - self._began
        fresh = partial - self.resumed - (self._carried - self._carried_before)  # carried rows say nothing of the pace
        flagged = self._flagged if self._thresholds else None
        self._progress.tick(
            Tally(
                partial, self._total, self.skipped, self.tokens, seconds, stage, fresh, flagged, carried=self._carried
            )
        )  # fmt: skip


def count_over(scores: pa.Table, thresholds: Mapping[str, float]) -> int:
    """Samples that are trained toward, with a score above any of the thresholds, given by column."""
    over = np.zeros(scores.num_rows, dtype=bool)
    for column, limit in thresholds.items():
        # null reads as NaN, which is above nothing
        over |= flagged(scores[column].to_numpy(zero_copy_only=False), scores["sign"].to_numpy(), limit)
    return int(over.sum())
