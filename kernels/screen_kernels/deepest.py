"""K5: means of the deepest layer's states without the states.

A block ends with h = mid + down_proj(act), and down_proj is linear: the mean of h over a segment is
mean(mid) + down_proj(mean(act)). One row a segment goes through the matrix instead of one a token.
"""

from __future__ import annotations

import torch
from torch import segment_reduce

from screen_kernels.segment import check_offsets
from screen_kernels.shapes import check_float, check_shape

COLUMNS = 1024  # features turned to float32 at a time: n * 4 KiB of scratch


def deepest_means_reference(
    mid: torch.Tensor,
    act: torch.Tensor,
    down_weight: torch.Tensor,
    down_bias: torch.Tensor | None,
    index: torch.Tensor,
    offsets: torch.Tensor,
) -> torch.Tensor:
    """The definition of `deepest_means`: every token's h in float32, then the means."""
    hidden = mid[index].to(torch.float32) + act[index].to(torch.float32) @ down_weight.to(torch.float32).T
    if down_bias is not None:
        hidden = hidden + down_bias.to(torch.float32)
    check_offsets(offsets, len(index))
    return _means(hidden, offsets)


def deepest_means(
    mid: torch.Tensor,
    act: torch.Tensor,
    down_weight: torch.Tensor,
    down_bias: torch.Tensor | None,
    index: torch.Tensor,
    offsets: torch.Tensor,
) -> torch.Tensor:
    """Mean over each segment of h = mid + act @ down_weight.T + down_bias, at the tokens of `index`.

    mid          (tokens, d) float32, bfloat16 or float16: the residual stream after attention
    act          (tokens, ffn), a float dtype: what enters down_proj
    down_weight  (d, ffn), down_bias (d,) or None, float dtypes
    index        (n,) int64 positions in mid and act
    offsets      (s + 1,) int64, ascending from 0 to n; segment i is index[offsets[i] : offsets[i + 1]], never empty

    Returns (s, d) float32, accumulated in float32; plain torch on every device, no wait for the host, fixed order.
    On CUDA, torch.backends.cuda.matmul.allow_tf32 must be off (torch's default) for this to hold.

    In float32 it agrees with the reference to 1e-5 of the root mean square of h. Of a bfloat16 model it gives the mean
    of states that were not rounded: each element is within 2^-8 * (mean of |down_proj(act)| + mean of |h|) of the mean
    of the rounded ones, and nearer to the float32 value. Raises ValueError for shapes and dtypes that do not fit, and
    for an empty segment on the CPU (elsewhere its mean is NaN).
    """
    _check(mid, act, down_weight, down_bias, index, offsets)
    means = mid.new_empty(len(offsets) - 1, mid.shape[1], dtype=torch.float32)
    for at in range(0, mid.shape[1], COLUMNS):
        part = slice(at, at + COLUMNS)
        means[:, part] = _means(mid[:, part].index_select(0, index), offsets)
    for at in range(0, act.shape[1], COLUMNS):
        part = slice(at, at + COLUMNS)
        means.addmm_(_means(act[:, part].index_select(0, index), offsets), down_weight[:, part].to(torch.float32).T)
    return means if down_bias is None else means.add_(down_bias)


def _means(values: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    if len(offsets) == 1:
        return values.new_zeros(0, values.shape[1], dtype=torch.float32)
    return segment_reduce(values.to(torch.float32), "mean", offsets=offsets, axis=0, unsafe=True)


def _check(
    mid: torch.Tensor,
    act: torch.Tensor,
    down_weight: torch.Tensor,
    down_bias: torch.Tensor | None,
    index: torch.Tensor,
    offsets: torch.Tensor,
) -> None:
    for name, tensor in (("mid", mid), ("act", act), ("down_weight", down_weight)):
        check_float(name, tensor)
        if tensor.ndim != 2:
            raise ValueError(f"{name} must have two dimensions, not {tuple(tensor.shape)}")
    check_shape("act", act, (mid.shape[0], act.shape[1]))
    check_shape("down_weight", down_weight, (mid.shape[1], act.shape[1]))
    if down_bias is not None:
        check_shape("down_bias", down_bias, (mid.shape[1],))
    for name, tensor in (("index", index), ("offsets", offsets)):
        if tensor.ndim != 1 or tensor.dtype != torch.int64:
            raise ValueError(f"{name} must be one row of int64, not {tuple(tensor.shape)} {tensor.dtype}")
    check_offsets(offsets, len(index))
