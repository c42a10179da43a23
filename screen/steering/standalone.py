"""Adds vectors to a Hugging Face model while it runs; they lie in steering.safetensors beside this file.

    from transformers import AutoModelForCausalLM
    import steering

    model = AutoModelForCausalLM.from_pretrained(...)
    with steering.steered(model):  # or: added = steering.attach(model); ...; added.close()
        model.generate(...)

Needs torch and safetensors, and nothing else. No weight is changed, and a model that is saved has no trace of it. The
tensor "layer.L" is added, at every position, to hidden_states[L]: the output of block L, counted from 1, before any
final norm. Its coefficient is in it; `scale` multiplies it once more. What it is made of is in `about()`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

FILE = Path(__file__).with_name("steering.safetensors")


def about() -> dict[str, Any]:
    """Traits, coefficients, layers, and the model that it is for."""
    with safe_open(FILE, framework="pt") as file:
        return dict(json.loads(file.metadata()["steering"]))


def attach(model: nn.Module, scale: float = 1.0) -> ExitStack:
    """Add the vectors from now on, until `.close()` is called on what this returns."""
    blocks, width = _blocks(model)
    with safe_open(FILE, framework="pt") as file:
        names = list(file.keys())
        vectors = {int(name.removeprefix("layer.")): file.get_tensor(name) for name in names}
    if max(vectors) > len(blocks) or any(v.shape != (width,) for v in vectors.values()):
        raise ValueError(f"these vectors are for {about()['model'].get('name', 'another model')}, not for this one")
    hooks = ExitStack()
    for layer, vector in vectors.items():
        shift = vector if scale == 1.0 else scale * vector
        hooks.callback(blocks[layer - 1].register_forward_hook(_adding(shift)).remove)
    return hooks


@contextmanager
def steered(model: nn.Module, scale: float = 1.0) -> Iterator[nn.Module]:
    """Add the vectors inside the block, and not after it, whatever happens in it."""
    with attach(model, scale):
        yield model


def _adding(shift: torch.Tensor) -> Any:
    def hook(_module: nn.Module, _args: object, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        hidden = hidden + shift.to(hidden.device, hidden.dtype)
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    return hook


def _blocks(model: nn.Module) -> tuple[list[nn.Module], int]:
    """The model's blocks, in order, and its hidden size."""
    config: Any = model.config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    lists: list[nn.ModuleList] = [
        m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == text.num_hidden_layers
    ]
    if not lists:
        raise ValueError("the model has no plain list of blocks")
    stack = max(lists, key=lambda m: sum(p.numel() for p in m.parameters()))
    return list(stack), int(text.hidden_size)
