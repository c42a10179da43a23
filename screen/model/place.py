"""Where a model lies, told without loading a model library."""

from __future__ import annotations

from pathlib import Path

from screen.errors import ModelError


def local_folder(name: str) -> Path | None:
    """The folder that a model's name is; None for a hub id. Raises ModelError for a path that is no model folder."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{path} has no config.json, so it is not a model folder", "give --model its folder")
        return path
    if path.is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise ModelError(f"no model folder at {name}", "check --model; without it the embedded model is used")
    return None
