"""The threshold of a finished run: on record in summary.json, and changed only where that is asked for by name."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from screen.baselines.estimates.estimator import BaselineEstimator
from screen.errors import StoreError, UsageError
from screen.progress import Progress
from screen.scan.summary.summarise import summarise
from screen.scoring.context import ScoringContext
from screen.scoring.findings.flags import DEFAULT_AT, TraitCard
from screen.spec import ScanSpec
from screen.store import context as kept
from screen.store.folder import RunFolder
from screen.store.reference import Reference
from screen.store.unfinished import unfinished

RUN_FACTS = ("tokens", "seconds", "resumed_rows")


class FlagRecord(NamedTuple):
    """The threshold that a folder has on record, else the one asked for; and the summary of a run that is done."""

    at: str | None
    fdr: float | None
    summary: dict[str, Any] | None = None


def on_record(folder: RunFolder, at: str | None, fdr: float | None, progress: Progress) -> FlagRecord:
    """What a folder that was opened again says of its threshold, and whether anything is left to do.

    Raises UsageError where another threshold is asked for than the one on record. A damaged summary is made anew.
    """
    try:
        summary = folder.summary
    except StoreError as error:
        progress.note("warning", {"message": f"{error.message}; it is made anew from the shards"})
        return FlagRecord(at, fdr)
    if not summary:
        return FlagRecord(at, fdr)
    asked, known = (at or DEFAULT_AT, fdr), _threshold(summary)
    if (at is not None or fdr is not None) and asked != known:
        raise UsageError(
            f"{folder.path} flags by {words(known)}; another threshold would change what its flags mean:"
            " nothing was changed",
            f"ask for it by name: screen reflag {shlex.quote(str(folder.path))} {_flags(asked)}",
        )
    if not folder.finished:
        return FlagRecord(*known)
    progress.note("finished", {"rows": summary["rows"]})
    return FlagRecord(*known, summary)


def reflag(path: Path, at: str | None, fdr: float | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Flag a finished run by another threshold: summary.json is written anew. Returns it as it was and as it is.

    No row is scored. Raises UsageError for a run that is not finished, or was refined by its threshold.
    """
    with RunFolder.open(path, RunFolder.read(path).identity) as folder:
        before = folder.summary
        if not folder.finished:
            raise UsageError(*unfinished(folder))
        if folder.identity["settings"]["refine"]:
            raise UsageError(
                f"{path} was refined at {before['at']}: rows below that threshold were not answered exactly",
                "run it again with another --at and another --out",
            )
        references = folder.facts["references"]
        cards: dict[str, TraitCard] = {
            t: {"layer": v["layer"], "reference": references[t]} for t, v in folder.facts["vectors"].items()
        }
        run = {name: before[name] for name in RUN_FACTS if name in before}
        summary = summarise(folder, cards, at=at, fdr=fdr, context=_standards(folder, fdr), run=run)
        summary["reflagged"] = [*before.get("reflagged", ()), dict(zip(("at", "fdr"), _threshold(before), strict=True))]
        folder.finish(summary)
        return before, summary


def _standards(folder: RunFolder, fdr: float | None) -> ScoringContext:
    """What the run was compared with, less the control directions, whose scores are in the shards."""
    calibration = kept.load(folder.path, folder.run)
    spec = ScanSpec.from_json(folder.facts["spec"])
    references: Mapping[str, npt.NDArray[np.float32]] = {}
    if spec.reference:
        reference = Reference.load(Path(spec.reference))
        if reference.sha256 != folder.identity["settings"]["reference"]:
            raise UsageError(
                f"{spec.reference} has changed since the run", "restore it, or run again with another --out"
            )
        references = reference.scores
    elif fdr is not None:
        raise UsageError("--fdr compares with --reference, and this run has none", "give --at, or run with --reference")
    return ScoringContext(
        calibration=None if calibration is None else BaselineEstimator.from_kept(*calibration), references=references
    )


def _threshold(summary: Mapping[str, Any]) -> tuple[str, float | None]:
    return summary["at"], summary["fdr"]


def _flags(threshold: tuple[str, float | None]) -> str:
    return f"--at {threshold[0]}" if threshold[1] is None else f"--fdr {threshold[1]:g}"


def words(threshold: tuple[str, float | None]) -> str:
    return threshold[0] if threshold[1] is None else f"a false-discovery rate of {threshold[1]:g}"
