"""Training by the user's own command: it gets a data file and a folder, and leaves a model there."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from screen.data.dataset import Dataset
from screen.data.sample import RawRow
from screen.errors import ModelError, UsageError
from screen.jsonl import dump
from screen.model.folder import check_folder, weights_of

PLACES = ("{data}", "{out}")
_TOLD = 5  # last lines of its output


def check_command(command: str) -> None:
    """Raises UsageError for a command that names neither its data nor its output."""
    missing = [place for place in PLACES if place not in command]
    if missing:
        example = "python train.py --data {data} --out {out} --seed {seed}"
        raise UsageError(f"--train-command does not say where {missing[0]} stands", f"write it as in '{example}'")


def train_by_command(command: str, dataset: Dataset, rows: Sequence[int], seed: int, out: Path) -> None:
    """Write `rows`, in their order and as often as they come, as JSON lines; run the command; look at what it left.

    `{data}`, `{out}` and `{seed}` are replaced; no shell is in between. Raises ModelError where the command fails or
    leaves no model.
    """
    out.mkdir(parents=True)
    data = out.with_name("rows.jsonl")
    wanted = set(rows)
    lines = {
        entry.place.row: dump(entry.value)
        for entry in dataset.entries(wanted.__contains__)
        if isinstance(entry, RawRow)
    }
    data.write_text("".join(f"{lines[row]}\n" for row in rows), encoding="utf-8")
    filled = {"{data}": str(data), "{out}": str(out), "{seed}": str(seed)}
    parts = [_filled(part, filled) for part in shlex.split(command)]
    try:
        done = subprocess.run(parts, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise ModelError(f"--train-command does not start: {error}", "check the command") from None
    if done.returncode:
        last = " | ".join((done.stderr or done.stdout).strip().splitlines()[-_TOLD:])
        raise ModelError(
            f"--train-command ended with {done.returncode}: {last}", "run it by hand; finished arms are kept"
        )
    if not (out / "config.json").is_file() or not weights_of(out):
        raise ModelError(
            "--train-command ended well and left no model: there is no config.json with .safetensors in its {out}",
            "save the whole model there with save_pretrained, adapters merged, and the tokenizer beside it",
        )
    check_folder(out)


def _filled(part: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        part = part.replace(name, value)
    return part
