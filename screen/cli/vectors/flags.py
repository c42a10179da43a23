"""What the flags of `screen vectors import` and `export` come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from screen.errors import UsageError
from screen.model.fingerprint import config_sha256
from screen.pocket import MODEL_DIR
from screen.vectors.interchange.model_shape import model_shape
from screen.vectors.interchange.stated import Stated


def stated(flags: dict[str, Any]) -> Stated:
    """The flags, with what a model's folder says of its shape."""
    model = flags.pop("model_id")
    if model is None:
        return Stated(**flags)
    folder = MODEL_DIR if model == "pocket" else Path(model).expanduser()
    if not folder.is_dir():
        if folder.is_absolute() or model.startswith(".") or model.count("/") > 1:
            raise UsageError(f"no model folder at {model}", "check --model-id")
        return Stated(model=model, **flags)
    layers, width = model_shape(folder)
    if flags.pop("n_layers") not in (None, layers):
        raise UsageError(f"{model} has {layers} layers, which is not what --n-layers says", "leave --n-layers out")
    name = "pocket" if model == "pocket" else folder.resolve().name
    return Stated(model=name, n_layers=layers, d_model=width, config_sha256=config_sha256(folder), **flags)


def targets(out: Path, traits: Sequence[str], force: bool) -> list[Path]:
    """Where each trait's file goes; refused where one would be lost."""
    if out.suffix == ".safetensors" and not out.is_dir():
        if len(traits) > 1:
            raise UsageError(f"{out} is one file, but there are several to write", "give -o a folder")
        paths = [out]
    else:
        paths = [out / f"{trait.replace(' ', '_')}.safetensors" for trait in traits]
    twice = [target for target in paths if paths.count(target) > 1]
    if twice:
        raise UsageError(f"two files would become {twice[0]}", "import them one by one, with --trait")
    writable(paths, force)
    try:
        paths[0].parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{paths[0].parent} cannot be made: {error.strerror}", "choose another -o") from None
    return paths


def writable(files: Sequence[Path], force: bool) -> None:
    for target in files:
        if target.exists() and not force:
            raise UsageError(f"{target} exists already", "overwrite it with --force, or choose another -o")
