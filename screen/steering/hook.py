"""The one hook that adds vectors to a model: while vectors are built, in training, and at inference.

Layer l is `hidden_states[l]` (METHOD.md): what is added to is the output of block l, before any final norm. Knows
nothing of traits, cards or trainers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from screen.errors import ModelError, VectorError
from screen.model.load import block_stack

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Additions = Mapping[int, torch.Tensor]
"""hidden_states row, 1 to the number of blocks -> (d_model,) float32, its coefficient in it already."""

_WRAPPERS = ("_orig_mod", "module", "_fsdp_wrapped_module")  # of torch.compile, DistributedDataParallel, FSDP


@contextmanager
def steered(
    blocks: Sequence[nn.Module], additions: Additions, when: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Add `additions` to the outputs of `blocks`, at every position, in the output's own dtype and device.

    `when` is asked at each forward pass of each block. Two of them nest: the sums are added. Whatever is raised
    inside, the hooks are gone afterwards. Raises ModelError for a layer that the model does not have, VectorError for
    an addition that is not a finite vector.
    """
    for layer, addition in additions.items():
        if not 1 <= layer <= len(blocks):
            raise ModelError(f"cannot steer layer {layer}: the model has blocks 1 to {len(blocks)}", "choose one")
        if addition.ndim != 1 or not addition.isfinite().all():
            shape = f"of shape {list(addition.shape)}" if addition.ndim != 1 else "with NaN or infinity in it"
            raise VectorError(f"cannot add a tensor {shape} at layer {layer}", "give one finite vector a layer")
    with ExitStack() as hooks:
        for layer, addition in additions.items():
            block = blocks[layer - 1]
            adding = _adding(_beside(block, addition), when)
            hooks.callback(block.register_forward_hook(adding, prepend=True).remove)  # what reads states reads the sum
        yield


def blocks_of(model: PreTrainedModel | nn.Module) -> tuple[nn.Module, ...]:
    """The blocks of a transformers model, in order, also below peft, accelerate and torch.compile's wrappers.

    Raises ModelError for an encoder-decoder model, and for one without a plain stack of blocks.
    """
    bare = unwrapped(model)
    config = getattr(bare, "config", None)
    if config is None or not hasattr(config, "get_text_config"):
        raise ModelError(f"{type(bare).__name__} is not a transformers model", "give one made by from_pretrained")
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{type(bare).__name__} is an encoder-decoder model", "give a causal language model")
    return block_stack(bare, int(config.get_text_config().num_hidden_layers))


def unwrapped(model: nn.Module) -> nn.Module:
    """The model below what torch.compile and parallel training put around it; peft's stays."""
    for name in _WRAPPERS:
        inner = model._modules.get(name)
        if inner is not None and not hasattr(type(model), "from_pretrained"):
            return unwrapped(inner)
    return model


def _beside(block: nn.Module, addition: torch.Tensor) -> torch.Tensor:
    """`addition` on the device of the block's weights, so that it need not travel at each pass."""
    device = next((p.device for p in block.parameters() if p.device.type != "meta"), addition.device)
    return addition.detach().to(device, torch.float32)


def _adding(shift: torch.Tensor, when: Callable[[], bool]) -> Callable[[nn.Module, object, object], object]:
    def hook(_module: nn.Module, _args: object, output: object) -> object:
        if not when():
            return output
        if isinstance(output, tuple):
            return (_sum(output[0], shift), *output[1:])
        return _sum(output, shift)

    return hook


def _sum(hidden: object, shift: torch.Tensor) -> torch.Tensor:
    if not isinstance(hidden, torch.Tensor) or hidden.shape[-1:] != shift.shape:
        kind = list(hidden.shape) if isinstance(hidden, torch.Tensor) else type(hidden).__name__
        raise ModelError(f"a block gives {kind}, and {len(shift)} numbers were to be added to it", "check the vector")
    return hidden + shift.to(hidden.device, hidden.dtype)
