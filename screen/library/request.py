"""What a scan is asked for, checked as far as that goes without a model library; and the scan itself."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from screen.errors import SkipLimit, UsageError
from screen.library import early, settings
from screen.library.devices import devices
from screen.library.options import ScanOptions
from screen.library.places import default_cache, default_out
from screen.progress import Progress
from screen.spec import ScanSpec

if TYPE_CHECKING:
    from screen.analysis.estimate.record import ScanEstimate


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """`chosen` are fields of a ScanSpec, as given; `traits` those that will be scored."""

    chosen: Mapping[str, Any]
    traits: tuple[str, ...]
    out: Path
    cache: Path
    at: str | None
    fdr: float | None
    max_errors: tuple[int | None, float | None]  # rows, share of the rows
    devices: str | None
    in_process: bool

    def spec(self) -> ScanSpec:
        """Everything that decides the scores. "auto" becomes what this machine has, which torch may have to tell."""
        shared = devices(self.devices)
        return settings.build({**self.chosen, **({"device": shared[0]} if shared else {})})

    def perform(self, progress: Progress | None = None) -> Path:
        """Score, and write the catalogue; the run's folder. Raises the errors of screen.errors."""
        spec, shared = self.spec(), devices(self.devices)
        from screen.scan.meter import MaxErrors
        from screen.scan.run import run_scan
        from screen.store.folder import RunFolder
        from screen.store.sql import catalogue

        try:
            run_scan(
                spec,
                self.out,
                progress=progress,
                cache=self.cache,
                max_errors=MaxErrors(*self.max_errors),
                at=self.at,
                fdr=self.fdr,
                devices=shared,
                in_process=self.in_process,
            )
        except SkipLimit as error:
            raise SkipLimit(error.message, error.next_step.replace("RUN", shlex.quote(str(self.out)))) from None
        catalogue.renew(RunFolder.read(self.out))
        return self.out


def scan_request(dataset: Sequence[str], options: ScanOptions) -> ScanRequest:
    """Raises the error of the first setting that cannot be acted on. Loads no model library."""
    settings.check(options)
    chosen = settings.chosen(dataset, options)
    out, cache = options.get("out"), options.get("cache")
    folder = Path(out) if out is not None else default_out(chosen["dataset"])
    _check_apart(folder, chosen.get("since"))
    answers = Path(cache) if cache is not None else default_cache()
    at = settings.percentile_of(options)
    vectors = early.check(chosen, folder, at, None if cache is None else answers)
    return ScanRequest(
        chosen,
        vectors.traits,
        folder,
        answers,
        at,
        options.get("fdr"),
        settings.max_errors(options.get("max_errors")),
        options.get("devices"),
        bool(options.get("in_process")),
    )


def estimated(paths: tuple[str, ...], options: ScanOptions, progress: Progress | None) -> ScanEstimate:
    """What a scan of these files would cost. Loads the model library once every setting was looked at."""
    began = time.monotonic()
    if options.get("since") is not None:
        raise UsageError("an estimate is of a whole run, not of one --since another", "leave it out")
    settings.check(options)
    chosen = settings.chosen(paths, options)
    early.check(chosen, None, options.get("at"), None)
    shared = devices(options.get("devices"))
    spec = settings.build({**chosen, **({"device": shared[0]} if shared else {})})
    from screen.analysis.estimate.estimate import estimate_scan

    out, cache = options.get("out"), options.get("cache")
    return estimate_scan(
        spec,
        Path(out) if out is not None else _beside(spec.dataset[0]),
        default_cache() if cache is None else Path(cache),
        progress=progress,
        in_process=bool(options.get("in_process")),
        workers=len(shared) or 1,
        began=began,
    )


def _beside(dataset: str) -> Path:
    """Where a run would be kept, or about there."""
    return Path() if dataset == "-" else Path(dataset).parent


def _check_apart(out: Path, since: str | None) -> None:
    """Raises UsageError where the run would be written into the one whose rows it takes."""
    if since is not None and out.resolve() == Path(since).resolve():
        raise UsageError(
            f"--since {since} is the folder that this run would be written to",
            f"give another: --out {shlex.quote(str(out.with_name(f'{out.stem}-2.screen')))}",
        )
