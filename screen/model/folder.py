"""What a model folder may hold, looked at before anything of it is loaded. Standard library only.

Refused: code (`auto_map`), adapters without their base, pickled weights, weight maps and links that lead outside the
folder, safetensors headers that contradict their files, and configs whose sizes cannot be those of the weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from screen.errors import ModelError
from screen.foreign import JsonObject
from screen.model.folder_sizes import check_sizes
from screen.model.safetensors_head import Head, read_head

AGAIN = "get the model again from where it is published"
INDEX = "model.safetensors.index.json"
_CONFIGS = ("config.json", "tokenizer_config.json", "generation_config.json", "processor_config.json",
            "preprocessor_config.json", "adapter_config.json")  # fmt: skip
_CONFIG_BYTES = 64 << 20
_PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_NOT_WEIGHTS = ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth")


def check_folder(folder: Path) -> None:
    """Raises ModelError, with file and field, for what must not be loaded."""
    _check_links(folder)
    configs = {name: read_json(folder / name) for name in _CONFIGS if (folder / name).is_file()}
    if "adapter_config.json" in configs:
        _refuse_adapter(folder, configs["adapter_config.json"])
    if "config.json" not in configs:
        raise ModelError(f"{folder} has no config.json, so it is not a model folder", "give --model its folder")
    for name, config in configs.items():
        for place, value in _named(config, "auto_map"):
            if value:
                raise ModelError(
                    f"{folder / name}: {place} names code of the model's own ({str(value)[:120]}), and none is run",
                    _without_code(configs["config.json"]),
                )
    heads = {path.name: read_head(path) for path in weights_of(folder)}
    _check_map(folder, heads)
    check_sizes(folder / "config.json", configs["config.json"], [t for h in heads.values() for t in h.values()])


def weights_of(folder: Path) -> list[Path]:
    """The safetensors files that are loaded; none where the folder holds no weights at all."""
    if (folder / INDEX).is_file():
        return [folder / name for name in sorted(set(weight_map(folder).values()))]
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    pickled = [p for p in sorted(folder.iterdir()) if p.suffix in _PICKLED and p.name not in _NOT_WEIGHTS]
    if pickled:
        raise ModelError(
            f"{pickled[0]}: the weights are pickled, and a pickle can run code when it is opened",
            "get the model as safetensors; or, where you trust it, load it with transformers and save_pretrained it",
        )
    return []


def weight_map(folder: Path) -> dict[str, str]:
    """Tensor name -> file name, of a model in several files; every name is that of a file in the folder."""
    path = folder / INDEX
    found = read_json(path).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise ModelError(f"{path}: weight_map is not an object of tensor and file names", AGAIN)
    for tensor, name in found.items():
        if not isinstance(name, str) or Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise ModelError(
                f"{path}: weight_map points outside the folder or to no safetensors file: {tensor[:80]!r} -> {name!r}",
                "do not use this model",
            )
        if not (folder / name).is_file():
            raise ModelError(f"{path}: weight_map names {name}, which is not in the folder", AGAIN)
    return found


def read_json(path: Path) -> JsonObject:
    """An object of a JSON file of the folder."""
    try:
        size = path.stat().st_size
        if size > _CONFIG_BYTES:
            raise ModelError(f"{path} is larger than any such file ({size:,} bytes)", AGAIN)
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {str(error)[:200]}", AGAIN) from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no JSON object", AGAIN)
    return value


def _check_links(folder: Path) -> None:
    """No file of the folder lies elsewhere; in the hub's cache, none lies outside the model's own part of it."""
    home = folder.resolve()
    cached = home.parent.name == "snapshots"  # where the hub's cache keeps links to ../../blobs
    homes = (home, home.parent.parent / "blobs") if cached else (home,)
    for path in sorted(folder.iterdir()):
        if not path.is_symlink():
            continue
        target = path.resolve()
        if not any(target.is_relative_to(allowed) for allowed in homes):
            raise ModelError(
                f"{path} is a link that leads outside the folder, to {target}", "put the file itself there"
            )


def _refuse_adapter(folder: Path, config: JsonObject) -> None:
    base = config.get("base_model_name_or_path")
    raise ModelError(
        f"{folder / 'adapter_config.json'}: the folder is an adapter of {str(base)[:120]!r}, not a model of its own",
        "merge it into its base (peft: merge_and_unload, then save_pretrained) and give --model the merged folder",
    )


def _without_code(config: JsonObject) -> str:
    from transformers import CONFIG_MAPPING

    kind = config.get("model_type")
    if isinstance(kind, str) and kind in CONFIG_MAPPING:
        return f"transformers knows {kind!r} without that code: give --model a copy of the folder without auto_map"
    return "use a model whose model_type transformers knows by itself"


def _named(value: object, name: str, place: str = "") -> Iterator[tuple[str, object]]:
    """Every value of a field called `name`, with its place."""
    if isinstance(value, dict):
        for key, item in value.items():
            here = f"{place}.{key}" if place else str(key)
            if key == name:
                yield here, item
            yield from _named(item, name, here)


def _check_map(folder: Path, heads: Mapping[str, Head]) -> None:
    if not (folder / INDEX).is_file():
        return
    for tensor, name in weight_map(folder).items():
        if tensor not in heads[name]:
            raise ModelError(f"{folder / INDEX}: weight_map looks for {tensor[:80]!r} in {name}, which lacks it", AGAIN)
