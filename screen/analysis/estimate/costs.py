"""What was counted and measured, added up to a whole run. The rules are docs/estimate.md's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from screen.analysis.estimate.answering import AnsweringPace, Wanted
from screen.analysis.estimate.census import Census, prompts_in
from screen.analysis.estimate.machine import free_bytes, weight_bytes
from screen.analysis.estimate.record import (
    BaselineCost,
    DiskUse,
    MeasuredPart,
    MemoryUse,
    PromptCounts,
    ScanEstimate,
    Seconds,
    TokenCounts,
)
from screen.analysis.estimate.scoring import ScoringPace
from screen.baselines.kind import Baseline
from screen.baselines.table import AUTO_MOST
from screen.data.dataset import Dataset
from screen.scan.instruments import Instruments
from screen.spec import ScanSpec

_ID_BYTES = 4  # of a token in the cache of answers
_RECORD_BYTES = 38  # of an answer there beside its tokens: its key, lengths and whether it ended


@dataclass(frozen=True)
class Costs:
    """known: the kind of baseline is not for the rows to decide; workers: processes that share the work."""

    spec: ScanSpec
    census: Census
    baseline: Baseline
    wanted: Wanted
    scoring: ScoringPace
    answering: AnsweringPace | None
    instruments: Instruments
    known: bool
    workers: int

    def told(self, dataset: Dataset, out: Path, loading: float, spent: float, resident: int | None) -> ScanEstimate:
        """Everything, with the seconds that loading and measuring took here."""
        census, model = self.census, self.instruments.model
        lost, samples = census.truncated()
        answered = self.answering
        return ScanEstimate(
            files=tuple(str(file.path) for file in dataset.files),
            rows=census.rows,
            looked_at=len(census.looked),
            shape=dataset.shape.name,
            skipped=census.skipped(),
            tokens=self._tokens(),
            truncated=lost / samples,
            prompts=PromptCounts(census.distinct_prompts(), len(census.prompts())),
            baseline=BaselineCost(
                self.baseline.name,
                self.known or census.whole or len(census.prompts()) > AUTO_MOST,
                self.wanted.answers,
                self.wanted.kept,
                answered.tokens if answered and answered.batches else None,
            ),
            traits=self.instruments.traits,
            model=self.spec.model,
            device=str(model.device),
            dtype=self.spec.dtype,
            batching=str(self.instruments.proof.batching),
            seconds=self._seconds(loading),
            measured=MeasuredPart(self.scoring.tokens, self.scoring.rows, answered.batches if answered else 0, spent),
            memory=MemoryUse(resident, weight_bytes(model.folder)),
            disk=DiskUse(self._run_bytes(), self._cache_bytes(), free_bytes(out)),
            notes=tuple(self._notes()),
        )

    def _tokens(self) -> TokenCounts:
        p50, p95 = np.percentile([row.tokens for row in self.census.scored], [50, 95])
        total, low, high = self.census.tokens()
        return TokenCounts(round(p50), round(p95), round(total), round(low), round(high))

    def _seconds(self, loading: float) -> Seconds:
        baselines, scoring = self._baselines(), self._scoring()
        known = baselines is not None and scoring is not None
        return Seconds(loading, baselines, scoring, loading + baselines + scoring if known else None)  # type: ignore[operator]

    def _scoring(self) -> float | None:
        """Reading and rendering every row, and every token through the model, its answers' behind their prompts."""
        if not self.scoring.tokens:
            return None
        tokens = self.census.tokens()[0] + self._answer_tokens()
        reading, passes = self.census.rows * self.census.seconds, tokens * self.scoring.seconds
        on_cpu = self.instruments.model.device.type == "cpu"
        return reading + passes if on_cpu else max(reading, passes)  # elsewhere rows are read ahead

    def _baselines(self) -> float | None:
        """Answers; counting the prompts where the rows decide the kind; and what a calibration goes through."""
        if self.answering is None:
            return None
        seconds = self.wanted.answers * self.answering.a_prompt * self.answering.seconds
        rows_a_prompt = self.census.rows / max(self.census.distinct_prompts(), 1)
        if not self.known:
            seconds += min(self.census.rows, AUTO_MOST * rows_a_prompt) * self.census.seconds
        if self.baseline.calibrates:
            asked = self.wanted.answers + self.wanted.kept
            rows, tokens = self._calibrated(asked)
            seconds += rows * self.census.seconds + tokens * self.scoring.seconds
        return seconds

    def _calibrated(self, asked: int) -> tuple[float, float]:
        """(rows that are rendered, tokens that are run) for a calibration on so many prompts: all rows for their
        prompts, then the windows with those that were chosen; each chosen prompt, then its row with its answer."""
        prompts = [len(prompt) for row in self.census.scored for prompt in prompts_in(row)]
        a_row = self.census.tokens()[0] / max(self.census.rows, 1)
        again = min(1.0, 256 * asked / max(self.census.rows, 1))
        return self.census.rows * (1 + again), asked * (float(np.mean(prompts)) + a_row) + self._answer_tokens()

    def _answer_tokens(self) -> float:
        if not self.baseline.generates or self.answering is None:
            return 0.0
        return (self.wanted.answers + self.wanted.kept) * self.answering.tokens

    def _run_bytes(self) -> int | None:
        if self.scoring.bytes is None:
            return None
        a_shard, a_row = self.scoring.bytes
        samples = sum(len(row.shard.samples) for row in self.census.looked) * self.census.scale()
        return round(a_shard * -(-self.census.rows // self.spec.shard_rows) + a_row * samples)

    def _cache_bytes(self) -> int | None:
        if self.answering is None:
            return None
        return round(self.wanted.answers * (_RECORD_BYTES + _ID_BYTES * self.answering.tokens))

    def _notes(self) -> list[str]:
        notes = []
        if self.census.within < self.census.rows:
            notes.append(f"reading took too long: the sample is of the first {self.census.within:,} rows")
        if not self.scoring.rows:
            notes.append("no whole row could be scored in the time there is: the time for scoring is a rough guess")
        if self.answering is None:
            why = "a server makes them" if self.spec.answer_by != "model" else "a batch of them takes too long"
            notes.append(f"the time for baseline responses was not measured: {why}")
        elif self.wanted.answers and not self.answering.batches:
            limit = self.instruments.sampling.max_new_tokens
            notes.append(f"no whole answer could be made in the time there is: counted as {limit:,} tokens each")
        if self.spec.refine:
            notes.append("--refine answers further prompts, as many as have an open flag: not counted")
        if self.workers > 1:
            notes.append(f"{self.workers} processes share the work: the times are those of one")
        return notes
