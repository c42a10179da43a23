"""K2: the gated product of an MLP, act(gate) * up.

Rounding. act(gate) is computed in float32 and rounded to the dtype, the product is rounded again: eager's two
roundings. Against eager

  float32   within 1e-5 relative for SiLU; for the tanh GELU within 1e-6 * |gate * up| (eager's 1 + tanh cancels in the
            left tail, the fused gate / (1 + exp(-2u)) does not)
  bfloat16  within 2^-6 relative, float16 2^-9 (or 1.2e-7 * (1 + |up|) where values are subnormal), and for the tanh
            GELU 1e-6 * |gate * up| beside: a rounding may tip over; all else is bit-equal
"""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional

from screen_kernels.device import use_fused
from screen_kernels.shapes import check_float, check_same

Activation = Literal["silu", "gelu_tanh"]


def swiglu_reference(gate: torch.Tensor, up: torch.Tensor, *, activation: Activation = "silu") -> torch.Tensor:
    """The definition of `swiglu`."""
    active = functional.silu(gate) if activation == "silu" else functional.gelu(gate, approximate="tanh")
    return active * up


def swiglu(
    gate: torch.Tensor,
    up: torch.Tensor,
    *,
    activation: Activation = "silu",
    out: torch.Tensor | None = None,
    fused: bool | None = None,
) -> torch.Tensor:
    """act(gate) * up.

    gate, up    (..., ffn), one dtype: float32, bfloat16 or float16; fused: stride 1 in ffn, the dimensions before it
                one block of rows of any stride, as the halves of a (tokens, 2 * ffn) tensor have
    activation  "silu", or "gelu_tanh" (Gemma)
    out         where to write, like gate; may be gate or up itself
    fused       see `screen_kernels.device`

    Returns a contiguous tensor like gate. Raises ValueError for shapes, strides and dtypes that do not fit.
    """
    check_float("gate", gate)
    check_same("up", up, "gate", gate)
    if gate.ndim < 1:
        raise ValueError("gate must be (..., ffn), not a scalar")
    if activation not in ("silu", "gelu_tanh"):
        raise ValueError(f'activation must be "silu" or "gelu_tanh", not {activation!r}')
    if out is not None:
        check_same("out", out, "gate", gate)
    if not use_fused(fused, gate, up, *(() if out is None else (out,))):
        product = swiglu_reference(gate, up, activation=activation)
        return product if out is None else out.copy_(product)
    from screen_kernels.fused.gate import launch

    out = torch.empty_like(gate, memory_format=torch.contiguous_format) if out is None else out
    launch(gate, up, out, tanh=activation == "gelu_tanh")
    return out
