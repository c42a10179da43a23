"""READ FIRST. A scan: read -> render -> score -> publish, shard by shard, then the summary.

`run_scan` tells the story; everything it calls is one room down. What is loaded (`Instruments`), what is decided
(`ScanPlan`) and what scores (`Scorer`) are three values, each made whole by one function. A shard is a fixed window of
consecutive input rows and is scored by a pure function of those rows and the plan, so a run that was stopped goes on
where it was and ends with the same bytes.
"""

from __future__ import annotations

import gc
import multiprocessing
import shutil
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from screen.data.dataset import Dataset, Window
from screen.data.from_spec import dataset_of
from screen.data.shapes.forms import MIXED
from screen.errors import InputError
from screen.model.host import Here, Host
from screen.progress import Progress, Silent
from screen.rendering.renderer import Renderer
from screen.scan.ahead import ahead
from screen.scan.instruments import ANSWERS, Instruments, load_instruments
from screen.scan.meter import MaxErrors, Meter
from screen.scan.plan import describe, known_baseline, plan_scan
from screen.scan.read import read_window
from screen.scan.reflag import on_record
from screen.scan.scorer import Scorer, carrier_of, prepare_scorer
from screen.scan.since.carry import Carrier
from screen.scan.since.earlier import EarlierRun
from screen.scan.summary.summarise import summarise
from screen.scan.workers.devices import shared, sharing
from screen.scan.workers.guarded import Guarded
from screen.scoring.passes import item_of
from screen.scoring.shard import Tables
from screen.spec import ScanSpec
from screen.store.folder import RunFolder
from screen.store.reference import Reference

_FIRST_ROWS = 64


def run_scan(
    spec: ScanSpec,
    out: Path,
    *,
    progress: Progress | None = None,
    cache: Path | None = None,
    max_errors: MaxErrors | None = None,
    at: str | None = None,
    fdr: float | None = None,
    devices: Sequence[str] = (),
    in_process: bool = False,
) -> dict[str, Any]:
    """Score a dataset into the run folder `out`, resuming what is there; returns the summary (summary.json).

    cache       where generated answers are kept for later runs; None: in the run folder
    max_errors  how many rows may fail to be scored before the run ends with SkipLimit
    at          flag above this percentile of the reference instead of p99
    fdr         flag at this false-discovery rate against the spec's reference set
    devices     torch devices that share the work, one process each; empty: one, on the spec's device
    in_process  run the model in this process, where a row that crashes it ends the run; for debugging

    A folder whose run is done is left as it is; `screen.scan.reflag` alone changes its threshold, once on record.
    Raises the errors of screen.errors; a row that cannot be scored is a Skip, never an error.
    """
    progress = progress or Silent()
    with settled_memory(), opened(spec, out, progress) as dataset, model_host(in_process) as host:
        reference = Reference.load(Path(spec.reference)) if spec.reference else None  # a wrong file is told first
        since = EarlierRun.open(Path(spec.since)) if spec.since else None
        instruments = loaded(spec, dataset, host, progress)
        plan = plan_scan(spec, dataset, instruments, progress, reference=reference, at=at, since=since)
        gc.freeze()
        with RunFolder.open(out, plan.identity, {**plan.facts, "sharing": sharing(devices, host.threads)}) as folder:
            record = on_record(folder, at, fdr, progress)
            if record.summary is not None:
                return record.summary
            meter = Meter(folder, dataset, progress, max_errors or MaxErrors(), plan.shown())
            answers = cache or folder.path / ANSWERS
            scorer = prepare_scorer(plan, folder, answers, meter.answering, progress)
            carrier = carrier_of(plan, scorer)
            with closing(score_shards(scorer, spec, folder, meter, devices, answers, carrier)) as shards:
                for window, fresh, budget in shards:
                    tables, carried = (fresh, None) if carrier is None else carrier.whole(window, fresh)
                    if budget < folder.budget(window.number):
                        progress.note("warning", {"message": out_of_memory(window, budget)})
                    folder.publish(window.number, window.first_row, window.end_row, tables, budget, carried)
                    meter.finish(window, tables, carried or 0)
            summary = summarise(
                folder, plan.cards, at=record.at, fdr=record.fdr, context=scorer.context, run=meter.run_facts()
            )
            if not summary["scored"]:
                raise nothing_scored(dataset, summary["rows"], summary["skipped_by_code"])
            folder.finish(summary)
    return summary


Shard = tuple[Window, Tables, int]


def score_shards(
    scorer: Scorer,
    spec: ScanSpec,
    folder: RunFolder,
    meter: Meter,
    devices: Sequence[str],
    cache: Path,
    carrier: Carrier | None = None,
) -> Generator[Shard, None, None]:
    """Each window that the folder lacks, in order, with the tables of the rows that are scored now and the tokens a
    batch that they took."""
    windows = scorer.dataset.windows(spec.shard_rows, skip=folder.published)
    windows = windows if carrier is None else carrier.fresh(windows)
    if devices:
        yield from shared(windows, devices, spec, scorer, cache, folder.budget, meter.shared)
        return
    pairs = ahead(windows, scorer.read) if reads_ahead(scorer) else ((w, scorer.read(w)) for w in windows)
    with closing(pairs):
        for window, shard in pairs:
            meter.start(window)
            yield (window, *scorer.score(shard, folder.budget(window.number), meter.scored))


def reads_ahead(scorer: Scorer) -> bool:
    """Where the model has a device of its own: on a CPU both would want the same cores."""
    return scorer.instruments.model.device.type != "cpu"


@contextmanager
def opened(spec: ScanSpec, out: Path, progress: Progress) -> Iterator[Dataset]:
    """The dataset; what comes from a pipe is kept beside the run while the scan reads it."""
    spool = out.parent / f".{out.name}.stdin"
    try:
        dataset = dataset_of(spec, spool)
        progress.note("dataset", describe(dataset))
        yield dataset
    finally:
        shutil.rmtree(spool, ignore_errors=True)


@contextmanager
def model_host(in_process: bool) -> Iterator[Host]:
    """Where the model runs: in a process of its own, unless this one is somebody's helper, which may have none."""
    own = not in_process and not multiprocessing.current_process().daemon
    with Guarded() if own else nullcontext(Here()) as host:
        yield host


def loaded(spec: ScanSpec, dataset: Dataset, host: Host, progress: Progress) -> Instruments:
    """What the scan is made with, its batching proved on rows as long as the first."""

    def longest(renderer: Renderer) -> int:
        first = check_first_rows(dataset, renderer)
        progress.note("size", {**first._asdict(), "dataset_rows": dataset.count(), "device": spec.device})
        return first.longest

    return load_instruments(spec, known_baseline(spec, dataset), progress, host, longest)


def out_of_memory(window: Window, budget: int) -> str:
    return (
        f"memory ran out at rows {window.first_row:,} to {window.end_row - 1:,}: batches have {budget:,} tokens from"
        " here on, which is on record with the shards; scores change within their noise"
    )


@contextmanager
def settled_memory() -> Iterator[None]:
    """The collector walks less while a scan runs: objects frozen inside the block (gc.freeze) not at all, and rows,
    which hold no cycles, seldom. With a model library loaded its walking is a third of the host's time. Where something
    was frozen before, all stays so."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not frozen:
            gc.unfreeze()


class FirstRows(NamedTuple):
    """The rows that are looked at before a model is loaded: how many, their tokens, those of the longest sequence."""

    rows: int
    tokens: int
    longest: int


def check_first_rows(dataset: Dataset, renderer: Renderer) -> FirstRows:
    """What the first rows are. Raises InputError, before a model is loaded or a run folder exists,
    where they all fail for one and the same reason."""
    first = next(dataset.windows(_FIRST_ROWS), None)
    if first is None:  # a dataset without rows is refused when it is opened
        raise InputError(f"--limit leaves no row of {names(dataset)}", "give rows that are there, such as --limit 100")
    shard = read_window(first, dataset, renderer)
    codes = Counter(skip.code for skip in shard.skips)
    whole, same = dataset.count() == len(shard.skips), len(codes) == 1 and dataset.format != MIXED
    if not shard.samples and (whole or same):  # among conversations of many shapes there may be rows of anything
        raise nothing_scored(dataset, len(shard.skips), codes)
    sequences = [s for _, rendered in shard.samples for s in rendered.sequences]
    tokens = sum(len(item_of(s).ids) for s in sequences)
    return FirstRows(len(first.entries), tokens, max((len(s.ids) for s in sequences), default=0))


def names(dataset: Dataset) -> str:
    """The first files, for a message."""
    shown = [str(f.path) for f in dataset.files[:3]]
    return ", ".join(shown) + (f" and {len(dataset.files) - 3:,} more" if len(dataset.files) > 3 else "")


def nothing_scored(dataset: Dataset, rows: int, codes: Mapping[str, int]) -> InputError:
    why = max(codes, key=lambda code: codes[code]) if codes else "it holds no rows"
    return InputError(
        f"no row of {names(dataset)} can be scored ({rows:,} rows looked at; most often: {why})",
        "look at it with `screen inspect`, then name its shape with --format or its fields with --map",
    )
