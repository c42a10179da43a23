"""RMSNorm with or without an addition. Knows nothing of shapes beyond rows: `screen_kernels.norm` has checked them."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from triton.language import tensor

from screen_kernels.device import launching
from screen_kernels.fused.casts import narrow, widen
from screen_kernels.shapes import heads_of, power_of_two

ELEMENTS = 2048  # in a program, where a row is shorter: several rows then


@triton.jit(do_not_specialize=["rows"])  # type: ignore[untyped-decorator]
def norm_kernel(
    x: tensor, residual: tensor, weight: tensor, normed: tensor, summed: tensor,
    x_outer: tensor, x_inner: tensor, residual_outer: tensor, residual_inner: tensor,
    normed_outer: tensor, normed_inner: tensor, summed_outer: tensor, summed_inner: tensor,
    rows: tensor, inner: tensor, d: tensor, eps: tensor,
    ADD: tl.constexpr, ONE_PLUS: tl.constexpr, CAST_FIRST: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """One program normalises ROWS whole rows; row r is at (r // inner, r % inner)."""
    dtype: tl.constexpr = x.dtype.element_ty
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    outer_at, inner_at = row // inner, row % inner
    col = tl.arange(0, BLOCK)
    keep = (row < rows)[:, None] & (col < d)[None, :]
    at = (outer_at * x_outer + inner_at * x_inner)[:, None] + col[None, :]
    values = widen(tl.load(x + at, mask=keep, other=0.0))
    if ADD:
        at = (outer_at * residual_outer + inner_at * residual_inner)[:, None] + col[None, :]
        total = narrow(widen(tl.load(residual + at, mask=keep, other=0.0)) + values, dtype)
        at = (outer_at * summed_outer + inner_at * summed_inner)[:, None] + col[None, :]
        tl.store(summed + at, total, mask=keep)
        values = widen(total)
    scale = tl.rsqrt(tl.sum(values * values, axis=1) / d + eps)
    values = values * scale[:, None]
    factor = widen(tl.load(weight + col, mask=col < d, other=0.0))[None, :]
    if CAST_FIRST:
        values = widen(narrow(values, dtype))
    if ONE_PLUS:
        factor = 1.0 + factor
    at = (outer_at * normed_outer + inner_at * normed_inner)[:, None] + col[None, :]
    tl.store(normed + at, narrow(values * factor, dtype), mask=keep)


def launch(
    x: torch.Tensor,
    residual: torch.Tensor | None,
    weight: torch.Tensor,
    normed: torch.Tensor,
    summed: torch.Tensor | None,
    eps: float,
    one_plus: bool,
    cast_first: bool,
) -> None:
    """Write normed, and summed where there is a residual; all (..., d), checked by the caller."""
    views = [heads_of("x", x), heads_of("out", normed)]
    views.insert(1, views[0] if residual is None else heads_of("residual", residual))
    views.append(views[2] if summed is None else heads_of("out", summed))
    outer, inner, d = views[0].shape
    if outer * inner == 0:
        return
    block = power_of_two(d)
    rows = max(1, ELEMENTS // block)
    with launching(x.device):
        norm_kernel[(triton.cdiv(outer * inner, rows),)](
            views[0], views[1], weight.contiguous(), views[2], views[3],
            *(stride for view in views for stride in view.stride()[:2]),
            outer * inner, inner, d, eps,
            ADD=residual is not None, ONE_PLUS=one_plus, CAST_FIRST=cast_first, ROWS=rows, BLOCK=block,
            num_warps=min(16, max(4, block // 512)),
        )  # fmt: skip
