"""One forward pass over the blocks up to the deepest layer wanted. No gradients, no cache, no head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from screen.model.forward import packing
from screen.model.forward.fused import stack
from screen.model.forward.layout import Ids, Layout, Places, lay_out
from screen.model.forward.plan import Batching
from screen.model.forward.transfer import send
from screen.model.load import BaseModel


class _Deep(Exception):
    pass


def run_to(
    model: BaseModel, layers: Sequence[int], see: Callable[[int, torch.Tensor], None], inputs: Mapping[str, object]
) -> None:
    """One forward pass that calls `see(l, hidden_states[l])` for each of `layers` and stops after the deepest.

    hidden_states[l]: (batch, seq, d_model). The last layer of the whole model is what transformers gives as
    `hidden_states[-1]`: taken after the final norm.
    """
    deepest = max(layers)
    with _hooks(model, [layer for layer in layers if layer < model.n_layers], deepest, see):
        try:
            out = model.decoder(**inputs, use_cache=False)
        except _Deep:
            return
    if deepest == model.n_layers:
        see(deepest, out.last_hidden_state)


@contextmanager
def _hooks(
    model: BaseModel, layers: Sequence[int], deepest: int, see: Callable[[int, torch.Tensor], None]
) -> Iterator[None]:
    def after(layer: int) -> Callable[..., None]:
        def hook(_module: object, _args: object, output: Any) -> None:
            see(layer, output[0] if isinstance(output, tuple) else output)
            if layer == deepest:
                raise _Deep

        return hook

    def before(_module: object, args: tuple[torch.Tensor, ...], kwargs: Mapping[str, torch.Tensor]) -> None:
        see(0, args[0] if args else kwargs["hidden_states"])
        if deepest == 0:
            raise _Deep

    handles = [model.blocks[n - 1].register_forward_hook(after(n)) for n in layers if n > 0]
    if 0 in layers:
        handles.append(model.blocks[0].register_forward_pre_hook(before, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def padded_inputs(model: BaseModel, sequences: Sequence[Ids]) -> dict[str, torch.Tensor]:
    """Right-padded ids (batch, longest). No mask: a causal model's tokens never see the padding after them."""
    width = max(len(s) for s in sequences)
    ids = np.zeros((len(sequences), width), dtype=np.int64)
    for row, s in zip(ids, sequences, strict=True):
        row[: len(s)] = s
    return {"input_ids": send(ids, model.device)}


class Together(NamedTuple):
    """Sequences ready to share a pass. where: of each, its tokens' (seq,) int64 places among all tokens of the batch,
    padding counted; layout: of a packed batch."""

    inputs: dict[str, torch.Tensor]
    where: tuple[Places, ...]
    layout: Layout | None


def together(model: BaseModel, batching: Batching, sequences: Sequence[Ids], shared: npt.NDArray[np.intp]) -> Together:
    """Lay the sequences of a `Batch` side by side, packed or padded, on the device."""
    if batching.mode == "packed":
        layout = lay_out(sequences, shared)
        inputs = {"input_ids": layout.ids, "position_ids": layout.positions}
        return Together({k: send(v, model.device)[None] for k, v in inputs.items()}, layout.where, layout)
    padded = padded_inputs(model, sequences)
    width = padded["input_ids"].shape[1]
    where = (np.arange(row * width, row * width + len(s), dtype=np.int64) for row, s in enumerate(sequences))
    return Together(padded, tuple(where), None)


def narrows(batching: Batching, layers: Sequence[int]) -> bool:
    """Whether `run_together` can give the deepest of `layers` for chosen tokens alone."""
    return batching.fused and max(layers) > 0


def run_together(
    model: BaseModel,
    batching: Batching,
    batch: Together,
    layers: Sequence[int],
    see: Callable[[int, torch.Tensor], None],
    rows: torch.Tensor | None = None,
    halved: bool = False,
) -> None:
    """`run_to` for a batch. `rows` and `halved`, where the batching narrows, are as for `fuse.Stack.running`: of the
    deepest layer `see` gets these tokens alone, (1, n, d_model)."""
    layout, deepest = batch.layout, max(layers)
    with nullcontext() if layout is None else _packing(model, layout, batching, deepest, rows, halved):
        run_to(model, layers, see, batch.inputs)


@contextmanager
def _packing(
    model: BaseModel, layout: Layout, batching: Batching, deepest: int, rows: torch.Tensor | None, halved: bool
) -> Iterator[None]:
    """Run the block with packed attention; the model's own implementation is put back after it."""
    decoder: Any = model.decoder
    usual = decoder.config._attn_implementation  # transformers has a public way to set it, none to read it
    decoder.set_attn_implementation(packing.NAME)
    try:
        with (
            packing.attending(packing.spans(layout, batching.attention, model.device)),
            stack(model).running(deepest, rows, halved) if batching.fused else nullcontext(),
        ):
            yield
    finally:
        decoder.set_attn_implementation(usual)
