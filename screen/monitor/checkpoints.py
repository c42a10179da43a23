"""Checkpoint folders of a training run: which there are, whether one is whole, and the model of one, in memory."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from screen.errors import ModelError, ScreenError, UsageError
from screen.model.folder import INDEX, check_folder, read_json, weights_of
from screen.model.load import BaseModel, load_model
from screen.model.safetensors_head import read_head

ADAPTER: Final = "adapter_config.json"
_ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"
_STEP = re.compile(r"(\d+)$")
Signature = tuple[tuple[str, int, int], ...]  # of a folder's files: name, bytes, time of the last change


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`step`: the number that its name ends with, or that the trainer wrote; None where neither says."""

    folder: Path
    step: int | None

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def adapter(self) -> bool:
        """Whether it holds peft adapters, not a whole model."""
        return (self.folder / ADAPTER).is_file()


def find(folder: Path) -> list[Checkpoint]:
    """The checkpoints below `folder`, or itself where it is one and holds none; by step, then by name.

    Raises UsageError where there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder", "give the folder that the trainer writes checkpoints to")
    inner = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith((".", "tmp-"))]
    found = [Checkpoint(path, _step(path)) for path in inner if _looks_like_one(path)]
    if not found and _looks_like_one(folder):
        found = [Checkpoint(folder, _step(folder))]
    return sorted(found, key=lambda c: (c.step is None, c.step or 0, c.name))


def signature(checkpoint: Checkpoint) -> Signature | None:
    """What a whole checkpoint looks like now, to be compared with a later look; None for one that is not whole: a file
    is missing, or shorter than its own header says."""
    folder = checkpoint.folder
    try:
        if checkpoint.adapter:
            read_json(folder / ADAPTER)
            files = [folder / _ADAPTER_WEIGHTS]
            read_head(files[0])
        else:
            check_folder(folder)
            files = weights_of(folder)
        if not files or ((folder / INDEX).is_file() and not all(file.is_file() for file in files)):
            return None
        told = [file.stat() for file in [*files, folder / (ADAPTER if checkpoint.adapter else "config.json")]]
    except (ScreenError, OSError):
        return None
    return tuple((str(i), stat.st_size, stat.st_mtime_ns) for i, stat in enumerate(told))


def load(checkpoint: Checkpoint, base: Path, dtype: str, device: str) -> BaseModel:
    """The checkpoint's model: adapters are merged into `base` in memory, nothing is written.

    Raises ModelError for what does not load; UsageError where peft is wanted and not installed.
    """
    if not checkpoint.adapter:
        return load_model(checkpoint.name, checkpoint.folder, deepest=None, generate=False, dtype=dtype, device=device)
    try:
        from peft import PeftModel
    except ImportError:
        raise UsageError(
            f"{checkpoint.folder} holds adapters, and peft is not installed", "pip install 'persona-screen[train]'"
        ) from None
    model = load_model(checkpoint.name, base, deepest=None, generate=True, dtype=dtype, device=device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft's, on how it was saved
            PeftModel.from_pretrained(model.causal, str(checkpoint.folder)).merge_and_unload().requires_grad_(False)
    except Exception as error:  # whatever a library says of a file that does not fit
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ModelError(
            f"{checkpoint.folder}: its adapters do not go onto {base} ({reason})",
            "give --model the base that they were trained on",
        ) from None
    return model


def _looks_like_one(folder: Path) -> bool:
    return (folder / "config.json").is_file() or (folder / ADAPTER).is_file()


def _step(folder: Path) -> int | None:
    if found := _STEP.search(folder.name):
        return int(found[1])
    try:
        step = read_json(folder / "trainer_state.json").get("global_step")
    except ScreenError:
        return None
    return step if isinstance(step, int) else None
