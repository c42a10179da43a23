"""K4: projection of hidden states on unit vectors, and means over segments.

All sums are of float32 products accumulated in float32 or wider, whatever dtype the hidden states have: pooling in
bfloat16 loses 0.125 at |p| = 20. The fused kernel gathers the tokens itself, never waits for the host, and adds in a
fixed order: equal inputs give equal bits. For bfloat16 states it multiplies by the vector as a bfloat16 pair hi + lo,
for float16 by a float16 pair, on the tensor cores. The pair costs at most 2^-16 (float16 2^-22) of H, the sum of
|h_i v_i|, and float32 accumulation comes on top, so a projection is within

  bfloat16  2^-15 * H    float16, float32  2^-18 * H

of the exact one. Means are summed in float64 by both. A row with a NaN or infinity has a projection that is not finite
(NaN where the reference may have an infinity), and so has its segment's mean; no other row or segment is touched.
"""

from __future__ import annotations

import torch

from screen_kernels.device import use_fused
from screen_kernels.shapes import check_dense_rows, check_float, check_shape


def project_tokens(hidden: torch.Tensor, vectors: torch.Tensor, index: torch.Tensor | None = None) -> torch.Tensor:
    """Project tokens on vectors.

    hidden   (tokens, d_model), any float dtype
    vectors  (k, d_model) float32, unit norm
    index    (n,) int64 positions of the tokens that count, or None for all of them

    Returns (n, k) float32: entry (i, j) is hidden[index[i]] . vectors[j].
    """
    if hidden.ndim != 2 or vectors.ndim != 2 or hidden.shape[1] != vectors.shape[1]:
        raise ValueError(f"hidden {tuple(hidden.shape)} and vectors {tuple(vectors.shape)} do not fit")
    if vectors.dtype != torch.float32:
        raise ValueError(f"vectors must be float32, not {vectors.dtype}")
    chosen = hidden if index is None else hidden.index_select(0, index)
    return chosen.to(torch.float32) @ vectors.T


def segment_means(values: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Mean of each run of rows.

    values   (n, k) float32
    offsets  (s + 1,) int64, ascending from 0 to n; segment i is rows offsets[i] to offsets[i + 1], never empty

    Returns (s, k) float32; each mean is summed in float64, on the CPU in row order. Offsets are checked on the CPU
    only, where an empty segment raises ValueError. On a GPU a look at them would wait for it: there its mean is NaN.
    """
    lengths = check_offsets(offsets, len(values))
    sums = torch.zeros(len(lengths), values.shape[1], dtype=torch.float64, device=values.device)
    segments = torch.arange(len(lengths), device=values.device)
    owner = torch.repeat_interleave(segments, lengths, output_size=len(values))
    sums.index_add_(0, owner, values.to(torch.float64))
    return (sums / lengths[:, None]).to(torch.float32)


def segment_project_reference(
    hidden: torch.Tensor, index: torch.Tensor, offsets: torch.Tensor, vectors: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The definition of `segment_project`."""
    tokens = project_tokens(hidden, vectors, index)
    return tokens, segment_means(tokens, offsets)


def segment_project(
    hidden: torch.Tensor,
    index: torch.Tensor,
    offsets: torch.Tensor,
    vectors: torch.Tensor,
    *,
    out: tuple[torch.Tensor, torch.Tensor] | None = None,
    fused: bool | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Projections of chosen tokens, and their means over segments: (tokens, means).

    hidden   (tokens, d_model) float32, bfloat16 or float16; fused: stride 1 in d_model
    index    (n,) int64 positions in hidden
    offsets  (s + 1,) int64, ascending from 0 to n; segment i is index[offsets[i] : offsets[i + 1]], never empty
    vectors  (k, d_model) float32, unit norm
    out      where to write, ((n, k), (s, k)) float32 contiguous
    fused    see `screen_kernels.device`

    Returns (n, k) and (s, k) float32. Raises ValueError for shapes, strides and dtypes that do not fit. What the index
    and the offsets hold is checked on the CPU only; on a GPU a position outside hidden has NaN projections, and an
    empty segment a NaN mean.
    """
    check_float("hidden", hidden)
    _check(hidden, index, offsets, vectors)
    n, s, k = len(index), len(offsets) - 1, len(vectors)
    if out is not None:
        check_shape("out[0]", out[0], (n, k))
        check_shape("out[1]", out[1], (s, k))
        if any(tensor.dtype != torch.float32 or not tensor.is_contiguous() for tensor in out):
            raise ValueError("out must be float32 and contiguous")
    if not use_fused(fused, hidden, index, offsets, vectors, *(out or ())):
        pair = segment_project_reference(hidden, index, offsets, vectors)
        return pair if out is None else (out[0].copy_(pair[0]), out[1].copy_(pair[1]))
    from screen_kernels.fused.segment import launch

    out = out or (vectors.new_empty(n, k), vectors.new_empty(s, k))
    launch(hidden, index, offsets, vectors, *out)
    return out


def check_offsets(offsets: torch.Tensor, n: int) -> torch.Tensor:
    """The segments' lengths. On the CPU, ValueError unless the offsets ascend from 0 to n; elsewhere unchecked."""
    lengths = offsets.diff()
    if offsets.device.type != "cpu":
        return lengths
    if len(lengths) and int(lengths.min()) < 1:
        raise ValueError("an empty segment has no mean")
    if len(offsets) == 0 or int(offsets[0]) != 0 or int(offsets[-1]) != n:
        ends = f"{int(offsets[0])} to {int(offsets[-1])}" if len(offsets) else "nothing to nothing"
        raise ValueError(f"offsets must go from 0 to the {n} rows, not from {ends}")
    return lengths


def _check(hidden: torch.Tensor, index: torch.Tensor, offsets: torch.Tensor, vectors: torch.Tensor) -> None:
    if hidden.ndim != 2 or vectors.ndim != 2 or hidden.shape[1] != vectors.shape[1]:
        raise ValueError(f"hidden {tuple(hidden.shape)} and vectors {tuple(vectors.shape)} do not fit")
    if vectors.dtype != torch.float32:
        raise ValueError(f"vectors must be float32, not {vectors.dtype}")
    for name, tensor in (("index", index), ("offsets", offsets)):
        if tensor.ndim != 1 or tensor.dtype != torch.int64 or not tensor.is_contiguous():
            raise ValueError(f"{name} must be one row of int64, not {tuple(tensor.shape)} {tensor.dtype}")
    if len(offsets) == 0:
        raise ValueError("offsets must have s + 1 entries, at least one")
    check_dense_rows("hidden", hidden)
    check_dense_rows("vectors", vectors)
    check_offsets(offsets, len(index))
