"""Casts between float32 and what a tensor holds, the same on a GPU and in Triton's interpreter.

The interpreter truncates where the hardware rounds float32 to bfloat16 to nearest even, and multiplies bfloat16 as the
integers it stores them in; so there, and only there, the bits are rounded by hand.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language import tensor

INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


@triton.jit  # type: ignore[untyped-decorator]
def widen(x: tensor) -> tensor:
    """To float32, exactly."""
    if INTERPRETED and x.dtype == tl.bfloat16:
        return (x.to(tl.uint16, bitcast=True).to(tl.uint32) << 16).to(tl.float32, bitcast=True)
    else:
        return x.to(tl.float32)


@triton.jit  # type: ignore[untyped-decorator]
def narrow(x: tensor, dtype: tl.constexpr) -> tensor:
    """From float32 to `dtype`, to nearest even."""
    if INTERPRETED and dtype == tl.bfloat16:
        bits = x.to(tl.uint32, bitcast=True)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        rounded = tl.where(x != x, 0x7FC0, rounded)
        return rounded.to(tl.uint16).to(tl.bfloat16, bitcast=True)
    else:
        return x.to(dtype)


@triton.jit  # type: ignore[untyped-decorator]
def factor(x: tensor) -> tensor:
    """An operand for tl.dot."""
    if INTERPRETED:
        return widen(x)
    else:
        return x
