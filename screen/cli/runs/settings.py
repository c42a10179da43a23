"""Flags of `screen run` -> ScanSpec. Knows nothing of click, and loads torch only to answer "auto"."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from screen.errors import UsageError
from screen.spec import BASELINES, ScanSpec

_PACKED = (".gz", ".zst", ".zstd")


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
    device, dtype = machine(chosen.get("device", "auto"), chosen.get("dtype", "auto"))
    return ScanSpec.from_json({**chosen, "device": device, "dtype": dtype})


def _need_files(paths: Sequence[str]) -> None:
    """A mistyped name is told before torch is loaded."""
    from screen.data.files import find_files

    for path in paths:
        if path != "-" and not os.path.exists(path):
            find_files([path])


def machine(device: str, dtype: str) -> tuple[str, str]:
    """What "auto" is here. Raises UsageError for a device that is not there."""
    check_device(device)
    if device != "cpu":
        device = _accelerator(device)
    if dtype == "auto":
        dtype = "bfloat16" if device.startswith("cuda") else "float32"
    return device, dtype


def check_device(name: str) -> None:
    """Whether a device can be meant by this name; that it is there, only a model library knows."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", name):
        raise UsageError(f"--device {name!a}: no such device", "give auto, cpu, cuda, cuda:1 or mps")


def _accelerator(device: str) -> str:
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind, _, number = device.partition(":")
    if not (cuda if kind == "cuda" else mps) or (number and int(number) >= torch.cuda.device_count()):
        raise UsageError(f"--device {device}: torch finds no such device here", "give --device auto, or cpu")
    return device


def devices(text: str | None) -> tuple[str, ...]:
    """ "0,1" -> ("cuda:0", "cuda:1"); "all" -> every CUDA device; "cpu:2" -> two processes on the CPU. "0,0" is two
    processes on one device, which keep it busy where a small model waits for its host.

    Raises UsageError for what is not understood, or not there.
    """
    if text is None:
        return ()
    check_devices(text)
    if text.startswith("cpu:"):
        return ("cpu",) * int(text[4:])
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    numbers = list(range(there)) if text == "all" else [int(n) for n in text.split(",")]
    if not numbers or max(numbers) >= there:
        raise UsageError(f"--devices {text}: torch finds {there} CUDA devices here", "leave it out, or give cpu:2")
    return tuple(f"cuda:{n}" for n in numbers)


def check_devices(text: str | None) -> None:
    """Whether devices can be meant by this text; that they are there, only a model library knows."""
    if text is not None and not re.fullmatch(r"cpu:[1-9]\d{0,2}|all|\d+(,\d+)*", text):
        raise UsageError(f"--devices {text!a} is not understood", "give 0,1 or all for GPUs, or cpu:2 for processes")


def check_at(at: str | None) -> None:
    """Told before the run, not after it."""
    if at is not None and not re.fullmatch(r"p\d{1,3}", at):
        raise UsageError(f"--at takes a percentile of the reference such as p95 or p99, not {at!a}", "give --at p95")


def check_fdr(options: Mapping[str, Any]) -> None:
    """Told before the run, not after it."""
    if options["fdr"] is not None and options["reference"] is None:
        raise UsageError(
            "--fdr goes by a reference set, and none is given",
            "build one from clean rows with `screen reference build`, then give it with --reference",
        )
    if options["fdr"] is not None and (options["at"] is not None or options["refine"]):
        raise UsageError("--fdr sets the cut when all rows are scored, so it goes with neither --at nor --refine",
                         "leave one of them out")  # fmt: skip
    if options["reference"] is not None and not os.path.isfile(options["reference"]):
        raise UsageError(
            f"--reference {options['reference']}: there is no such file", "build one: screen reference build"
        )


def default_out(dataset: Sequence[str]) -> Path:
    """`chats.screen` beside `chats.jsonl.gz`."""
    if len(dataset) != 1 or dataset[0] == "-" or not os.path.exists(dataset[0]):
        what = "standard input" if tuple(dataset) == ("-",) else "several inputs"
        raise UsageError(f"there is no place beside {what} for the run", "name its folder with --out")
    from screen.data.sniff import kind_of_name

    path = Path(dataset[0])
    stem = Path(os.path.abspath(path)).name if path.name in ("", "..") else path.name
    for packed in _PACKED:
        stem = stem.removesuffix(packed)
    if kind_of_name(stem) is not None and not path.is_dir():
        stem = stem.rpartition(".")[0]
    return path.parent / f"{stem or path.name}.screen"


def default_cache() -> Path:
    """Where generated answers are kept for later runs: the user's cache folder (docs/decisions/0001)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "persona-screen" / "answers"


def rows_range(text: str | None) -> tuple[int, int | None] | None:
    """ "100" -> the first 100 rows; "50-99" -> rows 50 to 99, both included."""
    if text is None:
        return None
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
    if kind not in BASELINES or bool(colon) != (kind == "answers") or (colon and not file):
        raise UsageError(
            f"--baseline {text!a}: no such baseline",
            "give auto, generate, calibrated, last-prompt, answers:FILE or none",
        )
    if file and not os.path.isfile(file):
        raise UsageError(f"--baseline answers:{file}: there is no such file", "give a JSONL file of answers")
    return {"baseline": kind, "answers": file or None}


def names(text: str | None) -> tuple[str, ...] | None:
    """ "evil, sycophancy" -> its parts."""
    parts = tuple(part.strip() for part in text.split(",") if part.strip()) if text is not None else None
    if parts == ():
        raise UsageError("--traits names no trait", "give --traits evil,sycophancy")
    return parts


def pairs(option: str, given: Sequence[str], example: str) -> dict[str, str] | None:
    """("evil=20",) -> {"evil": "20"}; None where nothing is given."""
    made: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise UsageError(f"{option} {text!a} is not of the form name=value", f"give {option} {example}")
        made[key.strip()] = value.strip()
    return made or None


def layers(given: Sequence[str]) -> dict[str, int] | None:
    found = pairs("--layer", given, "evil=20")
    for trait, layer in (found or {}).items():
        if not re.fullmatch(r"\d{1,4}", layer):
            raise UsageError(f"--layer {trait}={layer}: a layer is a whole number", "give --layer evil=20")
    return {trait: int(layer) for trait, layer in found.items()} if found else None


def max_errors(text: str) -> tuple[int | None, float | None]:
    """ "20" -> (20, None); "5%" -> (None, 0.05); "none" -> (None, None)."""
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
