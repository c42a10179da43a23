"""What a model's config.json says of its shape, read without loading transformers."""

from __future__ import annotations

from pathlib import Path

from screen.errors import ModelError
from screen.tensor_header import unique_json

_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_WIDTH = ("hidden_size", "n_embd", "d_model")
_MAX_CONFIG = 4 << 20


def model_shape(folder: Path) -> tuple[int, int]:
    """(blocks, d_model) of the model in `folder`. Raises ModelError where its config does not say."""
    path = folder / "config.json"
    try:
        with path.open("rb") as file:
            config = unique_json(file.read(_MAX_CONFIG))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error})", "check the model's folder") from None
    text = config.get("text_config", config) if isinstance(config, dict) else {}
    sizes = [_first(text, names) for names in (_LAYERS, _WIDTH)]
    if None in sizes:
        raise ModelError(f"{path} names no layer count or hidden size", "state the layer count with --n-layers")
    layers, width = (int(n) for n in sizes if n is not None)
    return layers, width


def _first(config: object, names: tuple[str, ...]) -> int | None:
    values = [config[name] for name in names if isinstance(config, dict) and name in config]
    return values[0] if values and type(values[0]) is int and values[0] > 0 else None
