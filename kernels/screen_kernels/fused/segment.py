"""Projections of gathered rows, then means over segments. `screen_kernels.segment` has checked what comes in.

Two kernels. The first projects rows; each depends on no other, so its tiles need not know the segments. In the second
one program owns a segment, from its own first row on: where a segment stands in the batch changes no bit of its mean.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from triton.language import tensor

from screen_kernels.device import launching
from screen_kernels.fused.casts import factor, narrow, widen
from screen_kernels.shapes import power_of_two

ROWS = 32


@triton.jit(do_not_specialize=["tokens", "n"])  # type: ignore[untyped-decorator]
def project_kernel(
    hidden: tensor, index: tensor, vectors: tensor, out: tensor,
    hidden_row: tensor, vector_row: tensor, tokens: tensor, n: tensor, k: tensor,
    D: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """One program projects ROWS rows on COLS vectors. The pair's low part is summed on its own, scaled up by 2^11 in
    float16, where it would be subnormal."""
    dtype: tl.constexpr = hidden.dtype.element_ty
    place = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    col = tl.program_id(1) * COLS + tl.arange(0, COLS)
    position = tl.load(index + place, mask=place < n, other=0)
    inside = (position >= 0) & (position < tokens)
    wanted = inside & (place < n)
    high = tl.full((ROWS, COLS), 0.0, tl.float32)
    low = tl.full((ROWS, COLS), 0.0, tl.float32)
    scale: tl.constexpr = 2048.0 if dtype == tl.float16 else 1.0
    for start in range(0, D, BLOCK):
        lane = start + tl.arange(0, BLOCK)
        h_at = hidden + position[:, None] * hidden_row + lane[None, :]
        h = tl.load(h_at, mask=wanted[:, None] & (lane < D)[None, :], other=0.0)
        v_at = vectors + col[None, :].to(tl.int64) * vector_row + lane[:, None]
        v = tl.load(v_at, mask=(col < k)[None, :] & (lane < D)[:, None], other=0.0)
        if dtype == tl.float32:
            high = tl.dot(h, v, high, input_precision="ieee")
        else:
            hi = narrow(v, dtype)
            lo = narrow((v - widen(hi)) * scale, dtype)
            high = tl.dot(factor(h), factor(hi), high)
            low = tl.dot(factor(h), factor(lo), low)
    total = tl.where(inside[:, None], high + low / scale, float("nan"))
    keep = (place < n)[:, None] & (col < k)[None, :]
    tl.store(out + place[:, None] * k + col[None, :], total, mask=keep)


@triton.jit  # type: ignore[untyped-decorator]
def mean_kernel(
    values: tensor, offsets: tensor, means: tensor, k: tensor, ROWS: tl.constexpr, COLS: tl.constexpr
) -> None:
    """One program averages COLS columns of one segment."""
    segment = tl.program_id(0).to(tl.int64)
    col = tl.program_id(1) * COLS + tl.arange(0, COLS)
    begin, end = tl.load(offsets + segment), tl.load(offsets + segment + 1)
    start = begin
    total = tl.full((ROWS, COLS), 0.0, tl.float64)
    while start < end:
        row = start + tl.arange(0, ROWS)
        keep = (row < end)[:, None] & (col < k)[None, :]
        total += tl.load(values + row[:, None] * k + col[None, :], mask=keep, other=0.0).to(tl.float64)
        start += ROWS
    mean = tl.sum(total, axis=0) / (end - begin).to(tl.float64)
    tl.store(means + segment * k + col, mean.to(tl.float32), mask=col < k)


def launch(
    hidden: torch.Tensor,
    index: torch.Tensor,
    offsets: torch.Tensor,
    vectors: torch.Tensor,
    projected: torch.Tensor,
    means: torch.Tensor,
) -> None:
    """Write projected (n, k) and means (s, k), both contiguous; the grids come from shapes alone."""
    (tokens, d), (n, k) = hidden.shape, projected.shape
    if n * k == 0:
        means.fill_(float("nan"))
        return
    cols = min(64, max(16, power_of_two(k)))
    with launching(hidden.device):
        project_kernel[(triton.cdiv(n, ROWS), triton.cdiv(k, cols))](
            hidden, index, vectors, projected, hidden.stride(0), vectors.stride(0), tokens, n, k,
            D=d, ROWS=ROWS, COLS=cols, BLOCK=32 if hidden.dtype == torch.float32 else 64, num_warps=4, num_stages=3,
        )  # fmt: skip
        if len(means) == 0:
            return
        mean_kernel[(len(means), triton.cdiv(k, cols))](projected, offsets, means, k, ROWS=64, COLS=cols, num_warps=4)
