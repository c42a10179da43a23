"""K3: rotary positions, in place, with the halves of a head rotated against each other (rotate_half).

Rounding. Eager rounds three times in the dtype (two products and their sum); the fused one computes in float32 and
rounds once. Against eager

  float32   bit-equal: multiplications and the addition are not contracted
  bfloat16  within 2^-6 * (|a * cos| + |b * sin|) for each output a * cos + b * sin, float16 2^-9: eager's three
            roundings and the fused one cost at most 2^-8 (float16 2^-11) of what they round
"""

from __future__ import annotations

import torch

from screen_kernels.device import use_fused
from screen_kernels.shapes import check_dense_rows, check_float, check_shape


def rope_reference(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What `rope_` writes, as new tensors: transformers' apply_rotary_pos_emb, a partial one as in Phi-3."""
    return _rotated(q, cos, sin), _rotated(k, cos, sin)


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    turned, kept = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
    first, second = turned.chunk(2, dim=-1)
    swapped = torch.cat([-second, first], dim=-1)
    return torch.cat([(turned * cos[:, None] + swapped * sin[:, None]).to(x.dtype), kept], dim=-1)


def rope_(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *, fused: bool | None = None) -> None:
    """Rotate q and k in place.

    q         (tokens, heads, head_dim) float32, bfloat16 or float16; any strides of tokens and heads, 1 in head_dim
    k         (tokens, kv_heads, head_dim), likewise, of q's dtype
    cos, sin  (tokens, rot_dim) of q's dtype or float32, rot_dim even and at most head_dim; what lies beyond it stays
    fused     see `screen_kernels.device`

    Raises ValueError for shapes, strides and dtypes that do not fit, and for a q or k that is an expanded view.
    """
    _check(q, k, cos, sin)
    if use_fused(fused, q, k, cos, sin):
        from screen_kernels.fused.rope import launch

        launch(q, k, cos, sin)
        return
    turned_q, turned_k = rope_reference(q, k, cos, sin)
    q.copy_(turned_q)
    k.copy_(turned_k)


def _check(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> None:
    check_float("q", q)
    if q.ndim != 3 or k.ndim != 3 or cos.ndim != 2:
        shapes = tuple(tuple(t.shape) for t in (q, k, cos))
        raise ValueError(f"q and k must be (tokens, heads, head_dim) and cos (tokens, rot_dim), not {shapes}")
    check_shape("k", k, (q.shape[0], k.shape[1], q.shape[2]))
    check_shape("cos", cos, (q.shape[0], cos.shape[1]))
    check_shape("sin", sin, (q.shape[0], cos.shape[1]))
    if cos.shape[1] % 2 or not 0 < cos.shape[1] <= q.shape[2]:
        raise ValueError(f"rot_dim must be even and of 2 to head_dim {q.shape[2]}, not {cos.shape[1]}")
    if k.dtype != q.dtype or cos.dtype != sin.dtype or cos.dtype not in (q.dtype, torch.float32):
        raise ValueError(
            f"k must be {q.dtype} as q is, cos and sin both that or float32, not {k.dtype}, {cos.dtype} and {sin.dtype}"
        )
    for name, tensor in (("q", q), ("k", k), ("cos", cos), ("sin", sin)):
        check_dense_rows(name, tensor)
    for name, tensor in (("q", q), ("k", k)):
        if any(size > 1 and stride == 0 for size, stride in zip(tensor.shape, tensor.stride(), strict=True)):
            raise ValueError(f"{name} is an expanded view and cannot be rotated in place")
