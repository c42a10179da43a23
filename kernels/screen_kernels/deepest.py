"""K5: projections of the deepest layer's states without the states.

A block ends with h = mid + W act + b, and a projection is linear: v . h = v . mid + (W^T v) . act + v . b. The block's
last product, the widest of all, falls away for every token; W^T v is made once. Two runs of K4, whose bounds add up.
Of a bfloat16 model it gives the projection of a state that was not rounded, within 2^-8 * (|W act| + |h|) . |v| of that
of the rounded one, and nearer to the float32 value.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from screen_kernels.segment import segment_project, segment_project_reference
from screen_kernels.shapes import check_float, check_shape

COLUMNS = 1024  # features turned to float32 at a time: no second copy of the weight


class Inner(NamedTuple):
    """Directions seen from inside a block: vectors (k, d), W^T v as inner (k, ffn), v . b as shift (k,), float32."""

    vectors: torch.Tensor
    inner: torch.Tensor
    shift: torch.Tensor


def inner_of(vectors: torch.Tensor, down_weight: torch.Tensor, down_bias: torch.Tensor | None) -> Inner:
    """vectors (k, d) float32; down_weight (d, ffn), down_bias (d,) or None, float dtypes. Raises ValueError for shapes
    that do not fit. On CUDA, torch.backends.cuda.matmul.allow_tf32 must be off (torch's default)."""
    check_float("down_weight", down_weight)
    check_shape("down_weight", down_weight, (vectors.shape[1], *down_weight.shape[1:]))
    if down_bias is not None:
        check_shape("down_bias", down_bias, (vectors.shape[1],))
    parts = (part.to(torch.float32) for part in torch.split(down_weight, COLUMNS, dim=1))
    inner = torch.cat([vectors @ part for part in parts], dim=1)
    shift = vectors.new_zeros(len(vectors)) if down_bias is None else vectors @ down_bias.to(torch.float32)
    return Inner(vectors, inner, shift)


def deepest_project_reference(
    mid: torch.Tensor,
    act: torch.Tensor,
    down_weight: torch.Tensor,
    down_bias: torch.Tensor | None,
    index: torch.Tensor,
    offsets: torch.Tensor,
    vectors: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The definition of `deepest_project`: every token's h in float32, projected."""
    hidden = mid.to(torch.float32) + act.to(torch.float32) @ down_weight.to(torch.float32).T
    if down_bias is not None:
        hidden = hidden + down_bias.to(torch.float32)
    return segment_project_reference(hidden, index, offsets, vectors)


def deepest_project(
    mid: torch.Tensor,
    act: torch.Tensor,
    inner: Inner,
    index: torch.Tensor,
    offsets: torch.Tensor,
    *,
    fused: bool | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`segment_project` of h = mid + down_proj(act): (tokens (n, k), means (s, k)) float32.

    mid      (tokens, d) float32, bfloat16 or float16: the residual stream after attention
    act      (tokens, ffn), likewise: what enters down_proj
    inner    the directions, by `inner_of`
    index, offsets, fused, and what is raised: as for `segment_project`
    """
    if len(act) != len(mid):
        raise ValueError(f"act has {len(act)} tokens and mid {len(mid)}")
    tokens, means = segment_project(mid, index, offsets, inner.vectors, fused=fused)
    more, more_means = segment_project(act, index, offsets, inner.inner, fused=fused)
    return tokens.add_(more).add_(inner.shift), means.add_(more_means).add_(inner.shift)
