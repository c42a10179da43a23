"""Compile every fused kernel to machine code for a GPU that need not be there, and say what came out.

    python kernels/bench/compile_kernels.py [--target 90] [--dtype bfloat16]    # compute capability 9.0

The kernels are launched on small CPU tensors by their own launch functions; each launch goes through Triton's own
specialisation and compiler for the target, and ends there. One line each: 16-byte loads of all loads, tensor-core
instructions, bytes of shared memory. The exit code is 1 if a kernel does not compile. Nothing is run.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch


class Absent(NamedTuple):
    """What Triton asks of a driver before it launches."""

    capability: int

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int = 0) -> int:
        return 0

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self.capability, 32)


class Compiled:
    """Stands in for a kernel: what is launched is compiled and told."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*arguments: Any, **named: Any) -> None:
            code = self.kernel.warmup(*arguments, grid=grid, **named)
            text, shared = code.asm["ptx"], code.metadata.shared
            assert code.asm["cubin"]
            loads, wide = len(re.findall(r"ld\.global", text)), len(re.findall(r"ld\.global\S*\.v4", text))
            tensor_cores = len(re.findall(r"mma\.sync|wgmma\.mma", text))
            print(
                f"{self.kernel.__name__:<15}{wide:>3} of {loads:>3} loads wide  {tensor_cores:>3} mma  "
                f"{shared:>6} bytes shared"
            )

        return launch


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=int, default=90)
    parser.add_argument("--dtype", choices=("bfloat16", "float16", "float32"), help="this one only")
    options = parser.parse_args(arguments)
    os.environ.pop("TRITON_INTERPRET", None)
    import triton

    triton.runtime.driver.set_active(Absent(options.target))
    from screen_kernels.fused import gate, norm, rope, segment

    rooms: tuple[tuple[Any, tuple[str, ...]], ...] = (
        (norm, ("norm_kernel",)), (gate, ("gate_kernel",)), (rope, ("rope_kernel",)),
        (segment, ("project_kernel", "mean_kernel")),
    )  # fmt: skip
    for module, names in rooms:
        for name in names:
            setattr(module, name, Compiled(getattr(module, name)))
    failed = 0
    for dtype in (getattr(torch, options.dtype),) if options.dtype else (torch.bfloat16, torch.float16, torch.float32):
        for width, heads, head_dim, k in ((3584, 28, 128, 1), (896, 14, 64, 64), (33, 1, 6, 3)):
            print(f"{dtype}, width {width}, {heads} heads of {head_dim}, {k} vectors")
            try:
                launches(dtype, width, heads, head_dim, k)
            except Exception as error:
                print(f"does not compile: {error!r}")
                failed = 1
    return failed


def launches(dtype: torch.dtype, width: int, heads: int, head_dim: int, k: int) -> None:
    from screen_kernels.fused import gate, norm, rope, segment

    x, weight = torch.zeros(4, width, dtype=dtype), torch.zeros(width, dtype=dtype)
    norm.launch(x, x, weight, x, x, 1e-6, False, True)
    norm.launch(x[:1], None, weight.float(), x[:1], None, 1e-6, True, False)
    qkv = torch.zeros(4, heads + 2, head_dim, dtype=dtype)
    q, key = qkv[:, :heads], qkv[:, heads:-1]
    norm.launch(q, None, weight.new_zeros(head_dim), q, None, 1e-6, False, True)
    pair = torch.zeros(4, 2 * width, dtype=dtype).chunk(2, dim=-1)
    for tanh in (False, True):
        gate.launch(*pair, x, tanh=tanh)
    angles = torch.zeros(4, head_dim, dtype=dtype)
    rope.launch(q, key, angles, angles)
    rope.launch(q, key, angles.float()[:, :2], angles.float()[:, :2])
    index, offsets = torch.arange(4), torch.tensor([0, 1, 4])
    segment.launch(x, index, offsets, torch.zeros(k, width), torch.zeros(4, k), torch.zeros(2, k))


if __name__ == "__main__":
    raise SystemExit(main())
