"""READ FIRST. What a scan would cost: load as a run does, look at a sample of rows, measure a short pass, add up.

Keeps nothing on disk. After the model is loaded it takes LIMIT seconds at most: what is begun is expected to end in
time.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from screen.analysis.estimate.answering import Wanted, measure_answering, wanted_answers
from screen.analysis.estimate.census import take_census
from screen.analysis.estimate.costs import Costs
from screen.analysis.estimate.machine import resident_bytes
from screen.analysis.estimate.record import ScanEstimate
from screen.analysis.estimate.scoring import measure_scoring
from screen.baselines import table
from screen.baselines.answers_file import GivenAnswers
from screen.data.dataset import Dataset
from screen.data.from_spec import dataset_of
from screen.disk import scratch_folder
from screen.progress import Progress, Silent
from screen.scan.plan import describe, known_baseline, model_record
from screen.scan.run import loaded, model_host, nothing_scored, settled_memory
from screen.spec import ScanSpec

LIMIT = 20.0  # seconds after the model is loaded
_CENSUS, _SCORING, _ANSWERING = 5.0, 10.0, 18.0  # when each part has to be done; the rest is spare


def estimate_scan(
    spec: ScanSpec,
    out: Path,
    cache: Path,
    *,
    progress: Progress | None = None,
    in_process: bool = False,
    workers: int = 1,
    began: float | None = None,
) -> ScanEstimate:
    """What `run_scan` would cost with this spec, from nothing.

    out      where the run would be; cache  where answers are kept, and looked up
    workers  processes that would share the work, of which one is measured
    began    when loading started (time.monotonic), the model library's own included; None: now
    Raises the errors that `run_scan` raises before it scores.
    """
    progress = progress or Silent()
    began = time.monotonic() if began is None else began
    with settled_memory(), _opened(spec) as dataset, model_host(in_process) as host:
        progress.note("dataset", describe(dataset))
        instruments = loaded(spec, dataset, host, progress)
        progress.note("model", model_record(spec, instruments))
        gc.freeze()
        ready = time.monotonic()
        given = GivenAnswers(Path(spec.answers)) if spec.answers else None
        census = take_census(dataset, instruments.renderer, spec.seed, ready + _CENSUS, given)
        if not census.scored:
            raise nothing_scored(dataset, len(census.looked), census.skipped())
        known = known_baseline(spec, dataset)
        baseline = known or table.by_prompts(census.distinct_prompts())
        if spec.refine:
            table.check_refine(baseline)
        wanted = wanted_answers(spec, census, baseline, instruments, cache) if baseline.generates else Wanted()
        scoring = measure_scoring(census.scored, instruments, baseline, spec, ready + _SCORING)
        by_model = spec.answer_by == "model"
        answering = measure_answering(wanted.calls, instruments, scoring.seconds, ready + _ANSWERING, by_model)
        costs = Costs(spec, census, baseline, wanted, scoring, answering, instruments, known is not None, workers)
        return costs.told(dataset, out, ready - began, time.monotonic() - ready, resident_bytes())


@contextmanager
def _opened(spec: ScanSpec) -> Iterator[Dataset]:
    """The dataset; what comes from a pipe lies in a temporary folder meanwhile."""
    if "-" not in spec.dataset:
        yield dataset_of(spec)
        return
    with scratch_folder("screen-estimate-") as folder:
        yield dataset_of(spec, folder)
