"""act(gate) * up over rows. `screen_kernels.gate` has checked what comes in."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from triton.language import tensor

from screen_kernels.device import launching
from screen_kernels.fused.casts import narrow, widen
from screen_kernels.shapes import power_of_two, rows_of

BLOCK = 2048


@triton.jit  # type: ignore[untyped-decorator]
def gate_kernel(
    gate: tensor, up: tensor, out: tensor,
    gate_row: tensor, up_row: tensor, out_row: tensor, width: tensor, blocks: tensor,
    TANH: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """One program takes BLOCK columns of one row."""
    dtype: tl.constexpr = gate.dtype.element_ty
    row = (tl.program_id(0) // blocks).to(tl.int64)
    col = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)
    keep = col < width
    g = widen(tl.load(gate + row * gate_row + col, mask=keep, other=0.0))
    u = widen(tl.load(up + row * up_row + col, mask=keep, other=0.0))
    # GELU: 0.5 g (1 + tanh z) = g / (1 + exp(-2z)), z = sqrt(2 / pi) (g + 0.044715 g^3)
    exponent = -1.5957691216057308 * (g + 0.044715 * g * g * g) if TANH else -g
    active = widen(narrow(g / (1.0 + tl.exp(exponent)), dtype))
    tl.store(out + row * out_row + col, narrow(active * u, dtype), mask=keep)


def launch(gate: torch.Tensor, up: torch.Tensor, out: torch.Tensor, *, tanh: bool) -> None:
    """Write out; all (..., ffn), checked by the caller."""
    views = rows_of("gate", gate), rows_of("up", up), rows_of("out", out)
    rows, width = views[0].shape
    if rows * width == 0:
        return
    block = min(BLOCK, power_of_two(width))
    blocks = triton.cdiv(width, block)
    with launching(gate.device):
        gate_kernel[(rows * blocks,)](
            *views, *(view.stride(0) for view in views), width, blocks, TANH=tanh, BLOCK=block, num_warps=4
        )
