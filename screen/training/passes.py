"""Vectors added in training passes alone.

A training pass is made in training mode and with gradients. Evaluation and generation are not, nor is the pass of a
reference model that shares the weights (DPO with adapters). Gradient checkpointing may run blocks once more in the
backward pass, outside any forward pass of the whole: they get what they got before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from screen.errors import ModelError
from screen.steering.hook import Additions, blocks_of, steered


class TrainingSteering:
    """Adds `additions` in the training passes of `model`, while `applied`.

    `seen`, `trained`: forward passes so far, and those of them that were training passes. Raises ModelError for a model
    without blocks, or compiled.
    """

    def __init__(self, model: nn.Module, additions: Additions) -> None:
        refuse_compiled(model)
        self.seen = self.trained = 0
        self._blocks, self._additions = blocks_of(model), additions
        self._decoder = _parent(model, self._blocks[0])
        self._under_way: list[bool] = []  # forward passes, whether each is a training pass

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Whatever is raised inside, no hook is left."""
        with ExitStack() as hooks:
            hooks.callback(self._under_way.clear)
            hooks.callback(self._decoder.register_forward_pre_hook(self._begin).remove)
            hooks.callback(self._decoder.register_forward_hook(self._end, always_call=True).remove)
            hooks.enter_context(steered(self._blocks, self._additions, self._now))
            yield

    def _now(self) -> bool:
        """Whether a block that is run now belongs to a training pass."""
        return self._under_way[-1] if self._under_way else self._decoder.training

    def _begin(self, _decoder: nn.Module, _args: object) -> None:
        self._under_way.append(self._decoder.training and torch.is_grad_enabled())
        self.seen += 1
        self.trained += self._under_way[-1]

    def _end(self, _decoder: nn.Module, _args: object, _output: object) -> None:
        self._under_way.pop()


def refuse_compiled(model: nn.Module) -> None:
    """Raises ModelError where torch.compile has the model's code: what is compiled keeps or drops hooks as they were
    when it was compiled."""
    if any(m._compiled_call_impl is not None or "_orig_mod" in m._modules for m in model.modules()):
        raise ModelError(
            "the model is compiled (torch.compile), and compiled code goes past the hooks that steer it",
            "train without torch.compile (torch_compile=False)",
        )


def _parent(model: nn.Module, block: nn.Module) -> nn.Module:
    """The module that runs the blocks: it holds the list that holds them."""
    for module in model.modules():
        for child in module.children():
            if isinstance(child, nn.ModuleList) and len(child) and child[0] is block:
                return module
    raise ModelError(f"{type(model).__name__} has no module that runs its blocks", "use another model")
