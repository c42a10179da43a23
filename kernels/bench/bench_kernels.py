"""The fused kernels beside eager torch, at the shapes of two models: one run, one process, bfloat16.

    python kernels/bench/bench_kernels.py           # needs a CUDA device; exits 2 with the reason without one
    python kernels/bench/bench_kernels.py --tiny    # small shapes through Triton's interpreter: measures nothing

For each kernel: the median time of eager (its reference) and of fused, their ratio, and GB/s: the bytes that must move
(every input read once, every output written once) over the fused time. Results are compared first; where they disagree
there is no time and no ratio, and the exit code is 1. `difference` is ||fused - eager|| / ||eager||, the largest of all
rows where a row has 64 elements or more. The cache is flushed between repeats.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import screen_kernels as kernels
import torch
from screen_kernels.rope import rope_reference
from screen_kernels.segment import segment_project_reference
from torch.nn import functional

Tensors = Sequence[torch.Tensor]
ROUNDED, EXACT = 2**-7, 2e-5  # bound on the difference: of results in bfloat16, and of float32 sums


class Shape(NamedTuple):
    name: str
    tokens: int
    d: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int


class Case(NamedTuple):
    name: str
    eager: Callable[[], Tensors]
    fused: Callable[[], Tensors]
    moved: int  # bytes
    bound: float


SHAPES = (
    Shape("Qwen2.5-7B", 16384, 3584, 18944, 28, 4, 128),
    Shape("Qwen2.5-0.5B", 16384, 896, 4864, 14, 2, 64),
)
TINY = (Shape("tiny", 24, 96, 160, 4, 2, 32),)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    tiny = parser.parse_args(arguments).tiny
    reason = _tiny_reason() if tiny else kernels.available()
    if reason is not None:
        print(f"nothing to measure: {reason}")
        return 2
    device = torch.device("cpu" if tiny else "cuda")
    print("small shapes on the CPU: not a measurement" if tiny else torch.cuda.get_device_name())
    worst = 0
    with torch.inference_mode():
        for shape in TINY if tiny else SHAPES:
            print(f"{shape.name}, {shape.tokens:,} tokens")
            for case in cases(shape, device):
                agrees, line = told(case, tiny)
                print(f"  {case.name:<26}{line}", flush=True)
                worst = max(worst, 0 if agrees else 1)
    return worst


def _tiny_reason() -> str | None:
    os.environ["TRITON_INTERPRET"] = "1"
    return None if importlib.util.find_spec("triton") else "triton is not installed"


def told(case: Case, tiny: bool) -> tuple[bool, str]:
    """Whether the results agree, and the line about it."""
    found = max(difference(got, want) for got, want in zip(case.fused(), case.eager(), strict=True))
    if not found <= case.bound:
        return False, f"results disagree (difference {found:.1e}, bound {case.bound:.1e}): no ratio"
    if tiny:
        return True, f"agrees (difference {found:.1e})"
    from triton.testing import do_bench

    eager, fused = (do_bench(way, return_mode="median") for way in (case.eager, case.fused))
    rate = case.moved / fused / 1e6
    return True, (
        f"eager {eager * 1e3:8.1f} us   fused {fused * 1e3:8.1f} us   {eager / fused:5.2f}x   {rate:6.0f} GB/s   "
        f"(difference {found:.1e})"
    )


def difference(got: torch.Tensor, want: torch.Tensor) -> float:
    if want.shape[-1] < 64:
        got, want = got.flatten(), want.flatten()
    error = torch.linalg.vector_norm(got.float() - want.float(), dim=-1)
    relative = error / torch.linalg.vector_norm(want.float(), dim=-1)
    return float("nan") if bool(relative.isnan().any()) else float(relative.max())


def cases(shape: Shape, device: torch.device) -> Iterator[Case]:
    torch.manual_seed(0)
    yield from norms(shape, device)
    yield from gates(shape, device)
    yield rotation(shape, device)
    yield from projections(shape, device)
    yield deepest(shape, device)


def norms(shape: Shape, device: torch.device) -> Iterator[Case]:
    x, residual = normal(shape.tokens, shape.d, device=device), normal(shape.tokens, shape.d, device=device)
    weight = normal(shape.d, device=device)

    def add(fused: bool) -> Tensors:
        return kernels.add_rms_norm(x, residual, weight, 1e-6, fused=fused)

    yield Case("K1 add_rms_norm", lambda: add(False), lambda: add(True), 4 * size(x) + size(weight), ROUNDED)
    heads = normal(shape.tokens, shape.heads, shape.head_dim, device=device)
    narrow = normal(shape.head_dim, device=device)

    def alone(fused: bool) -> Tensors:
        return (kernels.rms_norm(heads, narrow, 1e-6, fused=fused),)

    yield Case("K1 rms_norm, head_dim", lambda: alone(False), lambda: alone(True), 2 * size(heads), ROUNDED)


def gates(shape: Shape, device: torch.device) -> Iterator[Case]:
    gate, up = normal(shape.tokens, 2 * shape.ffn, device=device).chunk(2, dim=-1)

    def silu(fused: bool) -> Tensors:
        return (kernels.swiglu(gate, up, fused=fused),)

    def gelu(fused: bool) -> Tensors:
        return (kernels.swiglu(gate, up, activation="gelu_tanh", fused=fused),)

    yield Case("K2 swiglu", lambda: silu(False), lambda: silu(True), 3 * size(gate), ROUNDED)
    yield Case("K2 swiglu, gelu_tanh", lambda: gelu(False), lambda: gelu(True), 3 * size(gate), ROUNDED)


def rotation(shape: Shape, device: torch.device) -> Case:
    """The fused one turns its own copies on and on, which keeps their size; only its first turn is compared."""
    width = shape.heads + 2 * shape.kv_heads
    qkv = normal(shape.tokens, width, shape.head_dim, device=device)
    turned = qkv.clone()
    parts = (shape.heads, shape.kv_heads, shape.kv_heads)
    (q, k, _), (turned_q, turned_k, _) = torch.split(qkv, parts, dim=1), torch.split(turned, parts, dim=1)
    angle = torch.rand(shape.tokens, shape.head_dim // 2, device=device).repeat(1, 2) * 6
    cos, sin = angle.cos().bfloat16(), angle.sin().bfloat16()

    def fused() -> Tensors:
        kernels.rope_(turned_q, turned_k, cos, sin, fused=True)
        return turned_q, turned_k

    moved = 2 * (size(q) + size(k)) + size(cos) + size(sin)
    return Case("K3 rope_", lambda: rope_reference(q, k, cos, sin), fused, moved, ROUNDED)


def projections(shape: Shape, device: torch.device) -> Iterator[Case]:
    hidden = normal(shape.tokens, shape.d, device=device)
    index, offsets = segments(shape.tokens, device)
    for k in (1, 64):
        vectors = functional.normalize(torch.randn(k, shape.d, device=device), dim=1)

        def project(fused: bool, vectors: torch.Tensor = vectors) -> Tensors:
            return kernels.segment_project(hidden, index, offsets, vectors, fused=fused)

        moved = size(hidden) * len(index) // shape.tokens + 8 * len(index) + 4 * k * (len(index) + shape.d)
        eager, fused = (lambda p=project: p(False)), (lambda p=project: p(True))
        yield Case(f"K4 segment_project, k={k}", eager, fused, moved, EXACT)


def deepest(shape: Shape, device: torch.device) -> Case:
    """Eager is what a model does: every token through the matrix in bfloat16, then the projection of its state."""
    mid, act = normal(shape.tokens, shape.d, device=device), normal(shape.tokens, shape.ffn, device=device)
    weight = normal(shape.d, shape.ffn, device=device) * shape.ffn**-0.5
    index, offsets = segments(shape.tokens, device)
    vectors = functional.normalize(torch.randn(3, shape.d, device=device), dim=1)
    inner = kernels.inner_of(vectors, weight, None)

    def eager() -> Tensors:
        return segment_project_reference(mid + functional.linear(act, weight), index, offsets, vectors)

    def ours() -> Tensors:
        return kernels.deepest_project(mid, act, inner, index, offsets, fused=True)

    moved = (size(mid) + size(act)) * len(index) // shape.tokens + size(inner.inner)
    return Case("K5 deepest_project, k=3", eager, ours, moved, ROUNDED)


def segments(tokens: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Two thirds of the tokens, in segments of about 200."""
    index = torch.arange(tokens, device=device)
    index = index[index % 3 != 0]
    ends = [*range(0, len(index) - 1, 200), len(index)]
    return index, torch.tensor(ends, device=device)


def normal(*shape: int, device: torch.device) -> torch.Tensor:
    return torch.randn(*shape, device=device, dtype=torch.bfloat16)


def size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


if __name__ == "__main__":
    raise SystemExit(main())
