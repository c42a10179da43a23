"""Settings by the names of their flags -> ScanSpec. Whatever can be told without a model library is told before one
is loaded."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from screen.baselines.table import offered
from screen.errors import UsageError
from screen.library import devices
from screen.library.options import ScanOptions, check_types, check_values
from screen.spec import ScanSpec

MAX_ERRORS = "10%"
_SAME = (
    "answer_by", "refine", "calibrate_on", "group_by", "max_new_tokens", "generation_batch_size", "format", "train_on",
    "max_row_mib", "render", "end_of_turn", "dtype", "device", "shard_rows",
)  # fmt: skip


def check(options: ScanOptions) -> None:
    """Raises UsageError for a setting that nothing could act on. Looks at no dataset."""
    check_types(options)
    check_values(options)
    check_at(options.get("at"))
    check_fdr(options)
    max_errors(options.get("max_errors"))
    devices.check_devices(options.get("devices"))
    devices.check_device(options.get("device") or "auto")


def chosen(dataset: Sequence[str], options: ScanOptions) -> dict[str, Any]:
    """The fields of a ScanSpec that are given, over those of `spec`, or of the run of `since`. "auto" stands for
    itself."""
    own: dict[str, Any] = {name: options.get(name) for name in _SAME}
    found = {
        **own,
        "dataset": tuple(dataset),
        "model": text(options.get("model")),
        "vectors": paths(options.get("vectors")),
        "traits": names(options.get("traits")),
        "layers": options.get("layer"),
        **baseline(options.get("baseline")),
        "reference": text(options.get("reference")),
        "limit": rows_range(options.get("limit")),
        "map": options.get("map"),
        "config": text(options.get("config")),
        "template": text(options.get("template")),
        "token_budget": options.get("batch_tokens"),
        "since": text(options.get("since")),
    }
    spec, since = options.get("spec"), options.get("since")
    earlier = of_earlier(Path(since)) if since else {}
    whole = merged(found, load_spec(Path(spec)) if spec else earlier)
    if earlier.get("answers_given") and not whole.get("answers"):
        raise UsageError(
            f"the baseline responses of {since} were given, and answers are given by row or id of one dataset",
            "name those of this dataset: --baseline answers:FILE",
        )
    whole.pop("answers_given", None)
    return whole


def percentile_of(options: ScanOptions) -> str | None:
    """--at, or that of a refined run that rows are carried from: it decided which of them were answered."""
    at, since = options.get("at"), options.get("since")
    if at is not None or not since:
        return at
    from screen.store.folder import RunFolder

    return RunFolder.read(Path(since)).identity.get("settings", {}).get("at")


def of_earlier(path: Path) -> dict[str, Any]:
    """The settings that a run takes of the one that it is `--since`: all but which rows, and what `auto` came to.

    Raises StoreError where there is no run, or one with columns of another version."""
    from screen.store.scan import read_scan

    folder = read_scan(path).folder
    own = ("dataset", "limit", "answers", "since")
    spec: dict[str, Any] = {name: value for name, value in folder.facts.get("spec", {}).items() if name not in own}
    kind = folder.baseline
    return {**spec, "answers_given": kind.from_file, **({"baseline": kind.name} if kind.offered else {})}


def text(path: str | os.PathLike[str] | None) -> str | None:
    """A path as the spec has it."""
    return None if path is None else os.fspath(path)


def paths(given: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None) -> tuple[str, ...]:
    """One path or several."""
    if given is None:
        return ()
    return (os.fspath(given),) if isinstance(given, str | os.PathLike) else tuple(os.fspath(path) for path in given)


def merged(flags: Mapping[str, Any], start: Mapping[str, Any]) -> dict[str, Any]:
    """`start` with every flag that was given put over it. Raises where there is no dataset, or it is not there."""
    given = {name: value for name, value in flags.items() if value is not None and value != ()}
    chosen = {**start, **given}
    if not chosen.get("dataset"):
        raise UsageError("no dataset given", "name a file, a folder, or - for standard input: screen run chats.jsonl")
    _need_files(chosen["dataset"])
    return chosen


def build(chosen: Mapping[str, Any]) -> ScanSpec:
    """The spec; "auto" becomes what this machine has."""
    device, dtype = devices.machine(chosen.get("device", "auto"), chosen.get("dtype", "auto"))
    return ScanSpec.from_json({**chosen, "device": device, "dtype": dtype})


def _need_files(paths: Sequence[str]) -> None:
    """A mistyped name is told before torch is loaded."""
    from screen.data.files import find_files

    for path in paths:
        if path != "-" and not os.path.exists(path):
            find_files([path])


def load_spec(path: Path) -> dict[str, Any]:
    """The settings of an earlier run: its folder, its scan.json, or a file that holds a spec alone."""
    from screen.store import scanfile

    if path.is_dir() or path.name == scanfile.SCAN:
        scan = scanfile.load(path if path.is_dir() else path.parent)
        found = scan["facts"].get("spec") if scan else None
    else:
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            found = None
    if not isinstance(found, dict):
        raise UsageError(f"--spec {path}: no settings can be read there", "give the scan.json of a run, or its folder")
    return found


def check_at(at: str | None) -> None:
    """Told before the run, not after it."""
    if at is not None and not re.fullmatch(r"p\d{1,3}", at):
        raise UsageError(f"--at takes a percentile of the reference such as p95 or p99, not {at!a}", "give --at p95")


def check_fdr(options: ScanOptions) -> None:
    """Told before the run, not after it."""
    fdr, reference = options.get("fdr"), text(options.get("reference"))
    if fdr is not None and reference is None:
        raise UsageError(
            "--fdr goes by a reference set, and none is given",
            "build one from clean rows with `screen reference build`, then give it with --reference",
        )
    if fdr is not None and (options.get("at") is not None or options.get("refine")):
        raise UsageError("--fdr sets the threshold when all rows are scored, so it goes with neither --at nor --refine",
                         "leave one of them out")  # fmt: skip
    if reference is not None and not os.path.isfile(reference):
        raise UsageError(f"--reference {reference}: there is no such file", "build one: screen reference build")


def rows_range(given: int | str | None) -> tuple[int, int | None] | None:
    """100 or "100" -> the first 100 rows; "50-99" -> rows 50 to 99, both included."""
    if given is None:
        return None
    text = str(given)
    if re.fullmatch(r"\d+", text) and int(text):
        return (0, int(text))
    if (found := re.fullmatch(r"(\d+)-(\d*)", text)) and (not found[2] or int(found[1]) <= int(found[2])):
        return (int(found[1]), int(found[2]) + 1 if found[2] else None)
    raise UsageError(f"--limit {text!a} is not a number of rows or a range", "give --limit 100, or --limit 50-99")


def baseline(text: str | None) -> dict[str, str | None]:
    """ "answers:FILE" -> the kind and the file; any other kind by itself."""
    kind, colon, file = (text or "").partition(":")
    if text is None:
        return {"baseline": None}
    if kind not in offered() or bool(colon) != (kind == "answers") or (colon and not file):
        raise UsageError(
            f"--baseline {text!a}: no such baseline",
            "give auto, generate, calibrated, last-prompt, answers:FILE or none",
        )
    if file and not os.path.isfile(file):
        raise UsageError(f"--baseline answers:{file}: there is no such file", "give a JSONL file of answers")
    return {"baseline": kind, "answers": file or None}


def names(given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """ "evil, sycophancy" -> its parts; a list of names as it is."""
    if given is None:
        return None
    listed = given.split(",") if isinstance(given, str) else given
    parts = tuple(part.strip() for part in listed if part.strip())
    if parts == ():
        raise UsageError("--traits names no trait", "give --traits evil,sycophancy")
    return parts


def max_errors(given: int | str | None) -> tuple[int | None, float | None]:
    """20 or "20" -> (20, None); "5%" -> (None, 0.05); "none" -> (None, None); None -> as the command line has it."""
    text = MAX_ERRORS if given is None else str(given)
    if text == "none":
        return (None, None)
    if re.fullmatch(r"\d+", text):
        return (int(text), None)
    share = percent(text)
    if share is None:
        raise UsageError(f"--max-errors {text!a} is neither a count nor a share", "give 20, 5% or none")
    return (None, share)


def percent(text: str) -> float | None:
    """ "1.5 %" -> 0.015; None for what is no percentage."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*%", text)
    return float(found[1]) / 100 if found and float(found[1]) <= 100 else None
