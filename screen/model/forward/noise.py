"""What half precision itself does to a model's hidden states: the measure of what two honest ways may differ by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from screen.model.forward.layout import Ids
from screen.model.load import BaseModel

Args = tuple[torch.Tensor, ...]  # that a block is called with
Kwargs = dict[str, Any]
BEHIND = 7  # tokens put behind a sequence, which its own cannot see: other shapes, so another order of arithmetic


def lengthened(model: BaseModel, sequence: Ids) -> Ids:
    """The sequence with tokens behind it; as it is where the model has no room, or changes its positions there."""
    n = len(sequence) + BEHIND
    if n > model.context or (model.apart is not None and len(sequence) <= model.apart < n):
        return sequence
    return np.concatenate([sequence, sequence[:1].repeat(BEHIND)])


@contextmanager
def rounded(model: BaseModel, layers: Sequence[int]) -> Iterator[None]:
    """Inside the `with` what goes into each of the model's blocks is moved by a last place of its dtype at most, up or
    down at random, the same every time."""
    rng = torch.Generator().manual_seed(0)
    handles = [b.register_forward_pre_hook(_move(rng), with_kwargs=True) for b in model.blocks[: max(layers)]]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _move(rng: torch.Generator) -> Callable[[nn.Module, Args, Kwargs], tuple[Args, Kwargs]]:
    def hook(_block: nn.Module, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
        states = args[0] if args else kwargs["hidden_states"]
        half = torch.finfo(states.dtype).eps / 2
        up = 2 * torch.randint(0, 2, states.shape, generator=rng) - 1
        moved = (states.float() * (1 + half * up.to(states.device))).to(states.dtype)
        return ((moved, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": moved})

    return hook
