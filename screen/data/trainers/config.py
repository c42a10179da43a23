"""The user's own training configuration -> how to read the dataset, instead of --format and --map.

Read are LLaMA-Factory's `dataset_info.json` and training YAML, axolotl's YAML, and TRL's YAML or JSON. What is in them
about columns, roles, loss and rendering is taken over; what this tool cannot honour is refused, or told in `notes`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from screen.data.trainers import axolotl, llama_factory, trl
from screen.data.trainers.stated import StatedConfig, refuse
from screen.errors import InputError

__all__ = ["StatedConfig", "read_config"]
_MAX_BYTES = 1 << 20


def read_config(path: Path, datasets: Sequence[str]) -> StatedConfig:
    """What the file says about the dataset at `datasets`. Raises InputError."""
    found = read_mapping(path)
    if axolotl.is_axolotl(found):
        return axolotl.given(path, found, datasets)
    if llama_factory.is_training(found):
        info = llama_factory.info_path(path, found)
        return llama_factory.of_training(path, found, info, read_mapping(info), datasets)
    if trl.is_trl(found):
        return trl.given(found)
    if path.suffix == ".json" and found and all(isinstance(info, dict) for info in found.values()):
        return llama_factory.of_info(path, found, datasets)
    refuse(path, "is no configuration of axolotl, TRL or LLaMA-Factory that is known")


def read_mapping(path: Path) -> Mapping[str, object]:
    """The settings in a YAML or JSON file. Raises InputError."""
    import yaml

    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path}: too large for a configuration", "give the trainer's own file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}", "check the path and its permissions") from None
    try:
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        refuse(path, f"cannot be parsed: {str(error)[:200]}")
    if not isinstance(found, dict):
        refuse(path, "is not a mapping of settings")
    return found
