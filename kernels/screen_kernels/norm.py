"""K1: RMSNorm, alone or of a sum that is kept as well.

Rounding. The sum x + residual is rounded to their dtype, as eager rounds it: bit-equal. The norm is taken of the
rounded sum, in float32. With `cast_first` (Llama, Qwen, Mistral, Phi-3) the normalised value is rounded to x's dtype
and then multiplied by the weight of the same dtype; without (Gemma, OLMo 2) it is multiplied by the weight in float32
and rounded once. Only the order of the float32 sum of squares differs from eager, so

  float32   within 2e-6 relative
  bfloat16  within 2^-6 relative, float16 2^-9 (or 1.2e-7 where values are subnormal): a rounding may tip over, which
            moves a value by one unit in its last place; all else is bit-equal

A NaN or infinity stays in its row.
"""

from __future__ import annotations

import torch

from screen_kernels.device import use_fused
from screen_kernels.shapes import check_float, check_same, check_shape

WIDEST = 65536  # one program holds a row


def rms_norm_reference(
    x: torch.Tensor, weight: torch.Tensor, eps: float, *, one_plus: bool = False, cast_first: bool = True
) -> torch.Tensor:
    """The definition of `rms_norm`, as transformers writes it."""
    values = x.to(torch.float32)
    normed = values * torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + eps)
    if cast_first:
        return weight * normed.to(x.dtype)
    factor = weight.to(torch.float32)
    return (normed * (1.0 + factor if one_plus else factor)).to(x.dtype)


def add_rms_norm_reference(
    x: torch.Tensor,
    residual: torch.Tensor,
    weight: torch.Tensor,
    eps: float,
    *,
    one_plus: bool = False,
    cast_first: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The definition of `add_rms_norm`."""
    summed = residual + x
    return rms_norm_reference(summed, weight, eps, one_plus=one_plus, cast_first=cast_first), summed


def rms_norm(
    x: torch.Tensor,
    weight: torch.Tensor,
    eps: float,
    *,
    one_plus: bool = False,
    cast_first: bool = True,
    out: torch.Tensor | None = None,
    fused: bool | None = None,
) -> torch.Tensor:
    """x / sqrt(mean of x^2 over the last dimension + eps), times the weight.

    x           (..., d) float32, bfloat16 or float16; d at most 65,536; fused: stride 1 in d, and the dimensions before
                it are one block of rows or (outer, heads) with a stride each
    weight      (d,) of x's dtype with cast_first, any float dtype without
    eps         added to the mean square
    one_plus    multiply by 1 + weight (Gemma); only without cast_first
    cast_first  round to x's dtype before the weight, not after
    out         where to write, like x; may be x itself
    fused       see `screen_kernels.device`

    Returns a tensor like x. Raises ValueError for shapes, strides and dtypes that do not fit.
    """
    _check(x, weight, one_plus, cast_first)
    if out is not None:
        check_same("out", out, "x", x)
    if not use_fused(fused, x, weight, *(() if out is None else (out,))):
        normed = rms_norm_reference(x, weight, eps, one_plus=one_plus, cast_first=cast_first)
        return normed if out is None else out.copy_(normed)
    from screen_kernels.fused.norm import launch

    out = torch.empty_like(x, memory_format=torch.contiguous_format) if out is None else out
    launch(x, None, weight, out, None, eps, one_plus, cast_first)
    return out


def add_rms_norm(
    x: torch.Tensor,
    residual: torch.Tensor,
    weight: torch.Tensor,
    eps: float,
    *,
    one_plus: bool = False,
    cast_first: bool = True,
    out: tuple[torch.Tensor, torch.Tensor] | None = None,
    fused: bool | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of x and residual, and its RMSNorm: (normed, summed).

    x, residual  (tokens, d), or (..., d), one dtype: float32, bfloat16 or float16
    out          (normed, summed), each like x; they may be x and residual themselves, in either order

    The other arguments, the strides and the errors are those of `rms_norm`.
    """
    _check(x, weight, one_plus, cast_first)
    check_same("residual", residual, "x", x)
    for name, tensor in zip(("out[0]", "out[1]"), out or (), strict=False):
        check_same(name, tensor, "x", x)
    if not use_fused(fused, x, residual, weight, *(out or ())):
        pair = add_rms_norm_reference(x, residual, weight, eps, one_plus=one_plus, cast_first=cast_first)
        return pair if out is None else (out[0].copy_(pair[0]), out[1].copy_(pair[1]))
    from screen_kernels.fused.norm import launch

    if out is None:
        out = (
            torch.empty_like(x, memory_format=torch.contiguous_format),
            torch.empty_like(x, memory_format=torch.contiguous_format),
        )
    launch(x, residual, weight, out[0], out[1], eps, one_plus, cast_first)
    return out


def _check(x: torch.Tensor, weight: torch.Tensor, one_plus: bool, cast_first: bool) -> None:
    check_float("x", x)
    check_float("weight", weight)
    if x.ndim < 1 or not 1 <= x.shape[-1] <= WIDEST:
        raise ValueError(f"x must be (..., d) with d of 1 to {WIDEST}, not {tuple(x.shape)}")
    check_shape("weight", weight, (x.shape[-1],))
    if cast_first and weight.dtype != x.dtype:
        raise ValueError(f"with cast_first the weight must be {x.dtype} as x is, not {weight.dtype}")
    if cast_first and one_plus:
        raise ValueError("one_plus is for cast_first=False: no model rounds before it multiplies by 1 + weight")
