"""`screen export`: what a finished run is handed over as. One function a kind; nothing is half written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from screen.data.copying import check_not_input, check_out
from screen.disk import new_folder, writing
from screen.errors import UsageError
from screen.handover import hub, weights
from screen.handover.bundle.manifest import MANIFEST
from screen.handover.bundle.write import SKIPPED_PART, parts_of, write_bundle
from screen.handover.inoculation.copy import check_takes, record_of, write_inoculated
from screen.handover.inoculation.prompts import prompts_of
from screen.handover.options import ExportOptions, Handover, Written
from screen.handover.targets import check_folder, check_place
from screen.select.subset import Subset, subset, targets
from screen.store.scan import Scan
from screen.store.unfinished import require_finished

_ROOM = "choose a place with room, with -o"


class _Kind(NamedTuple):
    """write(scan, subset, options, out) writes it. `mark`: of a folder, the file by which it is known again."""

    write: Callable[[Scan, Subset, ExportOptions, Path], Written]
    files: Callable[[Path, ExportOptions], list[Path]]
    own: tuple[str, ...] = ()  # options that are its own
    mark: str | None = None


def export(scan: Scan, kind: str, out: Path, options: ExportOptions) -> Handover:
    """Write `out`, a file or a folder. The dataset has to be there, and to be the one that was scored.

    Raises UsageError for an unfinished run, a place that cannot be written to, an option of another kind, a dataset
    that is not there or has changed; InputError for one whose format the kind cannot be written in.
    """
    if kind not in WRITERS:
        raise UsageError(f"--as {kind}: no such kind", f"choose one of {', '.join(WRITERS)}")
    wanted = WRITERS[kind]
    _check_options(kind, options)
    files = wanted.files(out, options)
    if wanted.mark is not None:
        require_finished(scan.folder)
        check_folder(out, wanted.mark, options.force)
    for path in files:
        targets(path, None, options.force)
    found = subset(
        scan,
        options.expression,
        drop_skipped=options.drop_skipped,
        rest=options.rest,
        dataset=options.dataset,
        labels=options.labels,
        unsure=options.unsure,
    )
    check_place(scan, found.dataset, options.dataset or scan.folder.facts["spec"]["dataset"], out)
    for path in files:
        check_not_input(found.dataset, path)
    made = Written() if options.dry_run else wanted.write(scan, found, options, out)
    written = () if options.dry_run else tuple(map(str, files)) or _within(out)
    counts, apart, changes = found.counts, kind == "audit", kind == "inoculation"
    return Handover(
        kind=kind,
        out=str(out),
        files=written,
        rows=counts.rows,
        kept=counts.rows if changes else counts.kept - (int((parts_of(found) == SKIPPED_PART).sum()) if apart else 0),
        dropped=0 if changes else counts.dropped,
        matching=counts.dropped if changes else counts.matching,
        by_label=counts.by_label,
        rule=options.rule,
        skipped=counts.skipped,
        skipped_are="apart" if apart else counts.skipped_are,
        not_reached=counts.not_reached,
        inoculated=made.inoculated,
        seal=made.seal,
        notes=(*found.notes, *made.notes),
    )


def _check_options(kind: str, options: ExportOptions) -> None:
    for other, found in WRITERS.items():
        for name in found.own:
            if other != kind and name not in WRITERS[kind].own and getattr(options, name) not in (None, False):
                raise UsageError(f"--{name.replace('_', '-')} is for --as {other}, not {kind}", "leave it out")
    if kind == "audit" and options.drop_skipped is not None:
        raise UsageError("a bundle keeps the rows that could not be scored apart, in skipped/", "leave the flag out")
    if kind == "inoculation" and (options.drop_skipped is not None or options.rest == "drop"):
        raise UsageError("with --as inoculation every row stays", "leave --drop-skipped and --rest drop out")
    if options.unsure is not None and not options.labels:
        raise UsageError("--unsure goes with --labels", "add --labels, or leave it out")
    if options.weight is not None and not 0 <= options.weight <= 1:
        raise UsageError(f"--weight {options.weight:g} is not from 0 to 1", "0 leaves a row out, 1 leaves it as it is")


def _within(out: Path) -> tuple[str, ...]:
    return tuple(sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()))


def reasons_of(out: Path) -> Path:
    """Where the reasons stand of rows that a file was written without."""
    return out.with_name(f"{out.name}.reasons.jsonl")


def _clean(scan: Scan, found: Subset, options: ExportOptions, out: Path) -> Written:
    check_out(found.dataset, out)
    found.write_reasons(reasons_of(out))
    found.write(out, force=True)
    return Written()


def _weights(scan: Scan, found: Subset, options: ExportOptions, out: Path) -> Written:
    weight = options.weight or 0.0
    if not options.inline:
        weights.write_weights(found, weight, out)
        return Written()
    check_out(found.dataset, out)
    without = weights.write_inline(found, weight, out)
    return Written((f"rows that are no JSON object and have no weight in the copy: {without:,}",) if without else ())


def _weights_files(out: Path, options: ExportOptions) -> list[Path]:
    if not options.inline:
        weights.check_name(out)
    return [out]


def _audit(scan: Scan, found: Subset, options: ExportOptions, out: Path) -> Written:
    with writing(out, _ROOM), new_folder(out, replace=options.force) as scratch:
        report = options.report is not False
        seal = write_bundle(scan, found, options.rule, options.signed_by, scratch, report=report)
    return Written(seal=seal)


def _hub(scan: Scan, found: Subset, options: ExportOptions, out: Path) -> Written:
    with writing(out, _ROOM), new_folder(out, replace=options.force) as scratch:
        hub.write_hub(scan, found, options.rule, out.resolve().name, scratch)
    return Written(("nothing was uploaded; read README.md, and add what it does not know",))


def _inoculation(scan: Scan, found: Subset, options: ExportOptions, out: Path) -> Written:
    check_out(found.dataset, out)
    check_takes(found.dataset)
    prompts, without = prompts_of(scan, found, options.prompt, options.trait)
    done = write_inoculated(found, prompts, without, out)
    left = found.counts.dropped - done
    told = f"rows that match and could not take a prompt: {left:,}; {record_of(out)} says why"
    return Written((told,) if left else (), inoculated=done)


WRITERS = {
    "clean": _Kind(_clean, lambda out, _: [out, reasons_of(out)]),
    "weights": _Kind(_weights, _weights_files, own=("weight", "inline")),
    "inoculation": _Kind(_inoculation, lambda out, _: [out, record_of(out)], own=("prompt", "trait")),
    "audit": _Kind(_audit, lambda out, _: [], own=("signed_by", "report"), mark=MANIFEST),
    "hub": _Kind(_hub, lambda out, _: [], mark=hub.MARK),
}
