"""READ FIRST. A scan: read -> render -> score -> publish, shard by shard, then the summary.

`run_scan` tells the story; everything it calls is one room down. A shard is a fixed window of consecutive input
rows and is scored by a pure function of those rows and the spec, so a run that was stopped goes on where it was
and ends with the same bytes.
"""

from __future__ import annotations

import gc
import multiprocessing
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from screen.baselines.given import GivenAnswers
from screen.data.dataset import Dataset, Window, open_dataset
from screen.errors import InputError, UsageError
from screen.model.host import Here, Host
from screen.progress import Progress, Silent
from screen.rendering.renderer import Renderer
from screen.scan.ahead import ahead
from screen.scan.instruments import Instruments, control_keys, load_instruments
from screen.scan.meter import MaxErrors, Meter
from screen.scan.one_device import score
from screen.scan.prepare import decide, prepare
from screen.scan.read import read_window
from screen.scan.reflag import on_record
from screen.scan.summary.summarise import summarise
from screen.scan.workers.devices import shared, sharing
from screen.scan.workers.guarded import Guarded
from screen.scoring.context import ScoringContext
from screen.scoring.findings.flags import DEFAULT_AT, Threshold, threshold
from screen.scoring.schema import score_column
from screen.scoring.shard import ShardInput
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

    A folder whose run is done is left as it is; its cut, once on record, is changed by `screen.scan.reflag` alone.
    Raises the errors of screen.errors; a row that cannot be scored is a Skip, never an error.
    """
    progress = progress or Silent()
    spool = out.parent / f".{out.name}.stdin"  # what comes from a pipe is kept here while the scan reads it
    try:
        with settled_memory(), Guarded() if guards(in_process) else nullcontext(Here()) as host:
            return _run(spec, out, spool, progress, cache, max_errors or MaxErrors(), at, fdr, devices, host)
    finally:
        shutil.rmtree(spool, ignore_errors=True)


def _run(
    spec: ScanSpec,
    out: Path,
    spool: Path,
    progress: Progress,
    cache: Path | None,
    max_errors: MaxErrors,
    at: str | None,
    fdr: float | None,
    devices: Sequence[str],
    host: Host,
) -> dict[str, Any]:
    dataset = open_dataset(
        spec.dataset,
        format=spec.format,
        map=spec.map,
        limit=spec.limit,
        train_on=spec.train_on,
        render=spec.render,
        max_row_mib=spec.max_row_mib,
        spool=spool,
        config=Path(spec.config) if spec.config else None,
    )
    progress.note("dataset", describe(dataset))
    reference = Reference.load(Path(spec.reference)) if spec.reference else None  # a wrong file is told before loading
    instruments = load_instruments(
        spec, dataset.shape, progress, host, lambda renderer: check_first_rows(dataset, renderer)
    )
    if instruments.baseline is None:
        instruments.settle(decide(spec, dataset, instruments), progress, chosen=False)
    if reference is not None:
        take_reference(reference, instruments)
    given = answers_given(spec, dataset, instruments, progress)
    thresholds = limits(instruments.cards, at)
    if spec.refine:
        check_refine(instruments)
        instruments.identity["settings"]["at"] = at or DEFAULT_AT  # here it decides which rows are answered
    identity = {**instruments.identity, "dataset": by_content(dataset.fingerprint())}
    gc.freeze()
    facts = {**instruments.facts, "dataset": describe(dataset), "sharing": sharing(devices, host.threads)}
    with RunFolder.open(out, identity, facts) as folder:
        at, fdr, done = on_record(folder, at, fdr, progress)
        if done is not None:
            return done
        columns = {t: score_column(t, instruments.kind, refined=spec.refine) for t in thresholds}
        shown = {columns[t]: known.value for t, known in thresholds.items() if known.value is not None}
        meter = Meter(folder, dataset, progress, max_errors, shown)
        instruments.attach(cache or folder.path / "baselines", meter.answering, progress)
        context = prepare(
            spec, dataset, instruments, folder, progress, thresholds, reference.scores if reference else {}
        )
        windows = dataset.windows(spec.shard_rows, skip=folder.published)
        if devices:
            kept = cache or folder.path / "baselines"
            shards = shared(
                windows, devices, spec, dataset, instruments, context, given, kept, folder.budget, meter.shared
            )
        else:
            shards = in_turn(windows, spec, dataset, instruments, context, given, folder.budget, meter)
        with closing(shards):
            for window, tables, budget in shards:
                if budget < folder.budget(window.number):
                    progress.note("warning", {"message": out_of_memory(window, budget)})
                folder.publish(window.number, window.first_row, window.end_row, tables, budget)
                meter.finish(window, tables)
        summary = summarise(folder, instruments.cards, at=at, fdr=fdr, context=context, run=meter.run_facts())
        if not summary["scored"]:
            raise nothing_scored(dataset, summary["rows"], summary["skipped_by_code"])
        folder.finish(summary)
    return summary


def in_turn(
    windows: Iterator[Window],
    spec: ScanSpec,
    dataset: Dataset,
    instruments: Instruments,
    context: ScoringContext,
    given: GivenAnswers | None,
    budget: Callable[[int], int],
    meter: Meter,
) -> Generator[tuple[Window, dict[str, Any], int], None, None]:
    """Each window with its tables and the tokens a batch they took, scored by this process."""

    def read(window: Window) -> ShardInput:
        return read_window(window, dataset, instruments.renderer, group_by=spec.group_by, given=given)

    shards = ahead(windows, read) if reads_ahead(instruments) else ((window, read(window)) for window in windows)
    with closing(shards):
        for window, shard in shards:
            meter.start(window)
            yield (
                window,
                *score(shard, instruments, instruments.projector, context, budget(window.number), meter.scored),
            )


def guards(in_process: bool) -> bool:
    """Whether the model has a process of its own: a process that is itself somebody's helper may have none."""
    return not in_process and not multiprocessing.current_process().daemon


def reads_ahead(instruments: Instruments) -> bool:
    """Where the model has a device of its own: on a CPU both would want the same cores."""
    return instruments.model.device.type != "cpu"


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


def limits(cards: Mapping[str, Mapping[str, Any]], at: str | None) -> dict[str, Threshold]:
    """The thresholds known before any row is scored: those of the cards' references. Raises UsageError for a
    percentile that a reference does not have."""
    none = np.zeros(0, dtype=np.float32)
    found = {trait: threshold(none, card["reference"], at or DEFAULT_AT) for trait, card in cards.items()}
    return {trait: t for trait, t in found.items() if t.reference and t.value is not None}


def answers_given(
    spec: ScanSpec, dataset: Dataset, instruments: Instruments, progress: Progress
) -> GivenAnswers | None:
    """The user's answers, checked against the rows: those without one are named."""
    if instruments.baseline != "answers":
        return None
    if not spec.answers:
        raise UsageError("--baseline answers names no file", "give --baseline answers:FILE")
    given = GivenAnswers(Path(spec.answers))
    instruments.identity["settings"]["answers"] = given.sha256
    lost, first = given.check(dataset)
    if lost:
        message = (
            f"{spec.answers} has no answer to {lost:,} samples, which get no difference (first: {', '.join(first)})"
        )
        progress.note("warning", {"message": message})
    return given


def take_reference(reference: Reference, instruments: Instruments) -> None:
    """Check a reference set against the run, and put it in place of the cards' own."""
    reference.check(instruments.identity, instruments.kind)
    instruments.identity["settings"]["reference"] = reference.sha256
    for trait, card in instruments.cards.items():
        card["reference"] = reference.as_card(trait)
        card["directions"] = reference.directions(trait)
    instruments.identity["settings"]["controls"] = control_keys(instruments.cards)
    instruments.facts["references"] = {t: c["reference"] for t, c in instruments.cards.items()}


def check_refine(instruments: Instruments) -> None:
    """Nothing is left to refine where every prompt is answered; without responses there is nothing to refine with."""
    if instruments.baseline not in ("calibrated", "generate"):
        raise UsageError(
            f"--refine goes with a calibrated baseline, and this run's is {instruments.baseline}",
            "leave it out, or give --baseline calibrated",
        )


def describe(dataset: Dataset) -> dict[str, Any]:
    """What was found, for people and for scan.json."""
    return {
        "files": [f.path if isinstance(f.path, str) else str(f.path) for f in dataset.files],
        "shape": dataset.shape.name,
        "evidence": dataset.shape.evidence,
        "rows": dataset.count(),
        "rendered": dataset.rendering(),
        "notes": list(dataset.notes),
    }


def by_content(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset's fingerprint without its paths: a file that was moved is the same file."""
    files = [{k: v for k, v in f.items() if k != "path"} for f in fingerprint["files"]]
    return {**fingerprint, "files": files}


def check_first_rows(dataset: Dataset, renderer: Renderer) -> int:
    """Tokens of the longest of the first rows. Raises InputError, before a model is loaded or a run folder exists,
    where they all fail for one and the same reason."""
    first = next(dataset.windows(_FIRST_ROWS), None)
    if first is None:  # a dataset without rows is refused when it is opened
        raise InputError(f"--limit leaves no row of {names(dataset)}", "give rows that are there, such as --limit 100")
    shard = read_window(first, dataset, renderer)
    codes = Counter(skip.code for skip in shard.skips)
    whole = dataset.count() == len(shard.skips)
    if not shard.samples and (whole or len(codes) == 1):
        raise nothing_scored(dataset, len(shard.skips), codes)
    return max((len(s.ids) for _, rendered in shard.samples for s in rendered.sequences), default=0)


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
