"""Rotation of q and k in place. `screen_kernels.rope` has checked what comes in."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from triton.language import tensor

from screen_kernels.device import launching
from screen_kernels.fused.casts import narrow, widen
from screen_kernels.shapes import power_of_two


@triton.jit  # type: ignore[untyped-decorator]
def rotate(
    base: tensor, head_stride: tensor, heads: tensor, cos: tensor, sin: tensor, half: tensor,
    HEADS: tl.constexpr, HALF: tl.constexpr,
) -> None:  # fmt: skip
    """All heads of one token; cos and sin point at the token's rows."""
    dtype: tl.constexpr = base.dtype.element_ty
    head, lane = tl.arange(0, HEADS).to(tl.int64), tl.arange(0, HALF)
    inside = lane < half
    keep = (head < heads)[:, None] & inside[None, :]
    at = base + head[:, None] * head_stride + lane[None, :]
    first, second = widen(tl.load(at, mask=keep, other=0.0)), widen(tl.load(at + half, mask=keep, other=0.0))
    cos_1 = widen(tl.load(cos + lane, mask=inside, other=0.0))[None, :]
    sin_1 = widen(tl.load(sin + lane, mask=inside, other=0.0))[None, :]
    cos_2 = widen(tl.load(cos + half + lane, mask=inside, other=0.0))[None, :]
    sin_2 = widen(tl.load(sin + half + lane, mask=inside, other=0.0))[None, :]
    tl.store(at, narrow(first * cos_1 - second * sin_1, dtype), mask=keep)
    tl.store(at + half, narrow(second * cos_2 + first * sin_2, dtype), mask=keep)


@triton.jit  # type: ignore[untyped-decorator]
def rope_kernel(
    q: tensor, k: tensor, cos: tensor, sin: tensor,
    q_token: tensor, q_head: tensor, k_token: tensor, k_head: tensor, cos_token: tensor, sin_token: tensor,
    heads: tensor, kv_heads: tensor, half: tensor,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, HALF: tl.constexpr,
) -> None:  # fmt: skip
    """One program turns all heads of one token."""
    token = tl.program_id(0).to(tl.int64)
    cos += token * cos_token
    sin += token * sin_token
    rotate(q + token * q_token, q_head, heads, cos, sin, half, HEADS, HALF)
    rotate(k + token * k_token, k_head, kv_heads, cos, sin, half, KV_HEADS, HALF)


def launch(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> None:
    """q (tokens, heads, head_dim), k (tokens, kv_heads, head_dim), cos and sin (tokens, rot_dim), checked by the
    caller."""
    half = cos.shape[1] // 2
    heads, kv_heads, lanes = (power_of_two(n) for n in (q.shape[1], k.shape[1], half))
    if q.numel() + k.numel() == 0:
        return
    with launching(q.device):
        rope_kernel[(q.shape[0],)](
            q, k, cos, sin, *q.stride()[:2], *k.stride()[:2], cos.stride(0), sin.stride(0),
            q.shape[1], k.shape[1], half, HEADS=heads, KV_HEADS=kv_heads, HALF=lanes,
            num_warps=min(16, max(1, heads * lanes // 512)),
            enable_fp_fusion=False,  # a contracted multiply-add would round differently from eager
        )  # fmt: skip
