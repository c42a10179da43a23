"""Scoring against the plain way: one run, one process, the same weights, no download.

    python -m bench.scoring [--dtype bfloat16]                  # this CPU: a random Llama of 135M, the embedded model
    python -m bench.scoring --device cuda [--shape Qwen2.5-7B]  # the shapes of real models
    python -m bench.scoring --device cuda --tiny                # small shapes on the CPU: shows that the bench works

Weights are random, but for the embedded model's. For each shape and mean length (300 tokens; on CUDA 128, 300 and
2,000), and for one vector at the screened layer and 64 vectors at every layer, it prints

  plain       what is commonly run, as tokens a second: one row a batch, all hidden states, all logits, a KV cache
  ours        the same scores by screen's Projector, and how many times as fast; no ratio where the scores disagree
  share       ours / the needed-work limit: the measured matmul rate at the layer's shapes / FLOP a token, with
              FLOP = layers x (2 x parameters + 2 x S x heads x head_dim), S the mean context weighted by token
  memory      the most that was held beside what was there before, plain and ours
  kernels     ours without the fused kernels / ours
  waits       of the host for the device, over all batches
  then        shares of ours' time: in which nothing ran but Python (host), in matrix products, packing, elementwise
              work, and projection
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers as hf

from screen.model.forward import blocks, fused, packing
from screen.model.forward.items import Item
from screen.model.forward.plan import default_budget, plan
from screen.model.forward.projector import Projector
from screen.model.forward.proof import prove
from screen.model.load import BaseModel
from screen.pocket import MODEL_DIR

Rows = list[npt.NDArray[np.int32]]
MANY = 64  # vectors at every layer
AGREE = {torch.bfloat16: 0.1, torch.float32: 1e-3}  # RMS of the scores' difference, of the scores' own
CPU = ("Llama-135M", "pocket")
SHAPES: dict[str, tuple[Callable[..., Any], dict[str, int], int]] = {  # name -> config, its numbers, screened layer
    "Qwen2.5-7B": (hf.Qwen2Config, {"vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944,
        "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4}, 20),
    "Llama-3.1-8B": (hf.LlamaConfig, {"vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}, 16),
    "Qwen2.5-0.5B": (hf.Qwen2Config, {"vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2}, 16),
    "Llama-135M": (hf.LlamaConfig, {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
        "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3}, 15),
    "pocket": (hf.LlamaConfig, {}, 3),
}  # fmt: skip
_TINY = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4,
         "num_attention_heads": 4, "num_key_value_heads": 2}  # fmt: skip
_MATMUL = ("aten::mm", "aten::addmm", "aten::bmm", "aten::_scaled_mm")
_ATTENTION = ("screen::attention", "attention", "flash", "varlen")
_SEGMENTS = ("project_kernel", "mean_kernel")  # the projection's Triton kernels


def load(name: str, o: argparse.Namespace) -> tuple[Any, BaseModel, int]:
    """The whole model, the same weights as screen's model, and the screened layer."""
    kind, numbers, layer = SHAPES[name]
    layer = 2 if o.tiny else layer
    torch.manual_seed(0)
    if name == "pocket":
        whole = hf.AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=o.dtype)
    else:
        config = kind(**(_TINY if o.tiny else numbers), max_position_embeddings=4096, pad_token_id=0)
        with torch.device(o.device):
            whole = hf.AutoModelForCausalLM.from_config(config, dtype=o.dtype)
    whole = whole.to(o.device).eval().requires_grad_(False)
    config = whole.config
    n = config.num_hidden_layers
    model = BaseModel(
        decoder=whole.model, blocks=tuple(whole.model.layers), causal=None, name=name, folder=Path("."), n_layers=n,
        loaded_layers=n, d_model=config.hidden_size, vocab_size=config.vocab_size,
        context=config.max_position_embeddings, device=torch.device(o.device), dtype=o.dtype,
    )  # fmt: skip
    return whole, model, layer


def timed(work: Callable[[], Any], device: str) -> tuple[Any, float, float | None]:
    """(what it gives, seconds, bytes held at most beside what was there; None where this machine does not tell)"""
    before = _held(device, start=True)
    began = time.perf_counter()
    made = work()
    if device != "cpu":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    most = _held(device, start=False)
    return made, seconds, None if before is None or most is None else most - before


def _held(device: str, start: bool) -> float | None:
    """Bytes held now, from where the most is counted anew, or the most since then."""
    if device != "cpu":
        torch.cuda.synchronize()
        if start:
            torch.cuda.reset_peak_memory_stats()
        return float(torch.cuda.memory_allocated() if start else torch.cuda.max_memory_allocated())
    try:
        if start:
            ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back first
            Path("/proc/self/clear_refs").write_text("5")  # the process's high-water mark is what it holds now
        status = Path("/proc/self/status").read_text()
    except (OSError, AttributeError):
        return None
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:" if start else "VmHWM:"))
    return float(line.split()[1]) * 1024


def matmul_rate(config: Any, tokens: int, device: str, dtype: torch.dtype) -> float:
    """FLOP/s of all products of one block, one after the other, for a batch of `tokens`."""
    d, inner = config.hidden_size, config.intermediate_size
    kv = d * config.num_key_value_heads // config.num_attention_heads
    products = [(d, d), (d, kv), (d, kv), (d, d), (d, inner), (d, inner), (inner, d)]
    pairs = [(torch.randn(tokens, a, device=device, dtype=dtype), torch.randn(a, b, device=device, dtype=dtype))
             for a, b in products]  # fmt: skip

    def block() -> None:
        for a, b in pairs:
            torch.mm(a, b)

    timed(block, device)
    _, seconds, _ = timed(lambda: [block() for _ in range(10)], device)
    return 10 * sum(2 * tokens * a * b for a, b in products) / seconds


def flop(config: Any, layers: int, rows: Rows) -> float:
    """A token's needed work (PERFORMANCE: the limit)."""
    d, inner = config.hidden_size, config.intermediate_size
    kv = d * config.num_key_value_heads // config.num_attention_heads
    lengths = np.array([len(r) for r in rows], dtype=np.float64)
    context = float((lengths**2).sum() / lengths.sum())
    return layers * (2 * (2 * d * d + 2 * d * kv + 3 * d * inner) + 2 * context * d)


@torch.no_grad()
def plain(whole: Any, rows: Rows, prompt: int, layers: Sequence[int], v: torch.Tensor) -> npt.NDArray[np.float32]:
    """(rows, layers x vectors): each row's mean answer state at `layers`, projected on `v`; a row at a time."""
    out = []
    for ids in rows:
        inputs = torch.from_numpy(ids[None].astype(np.int64)).to(v.device)
        states = whole(inputs, output_hidden_states=True, use_cache=True).hidden_states
        means = torch.stack([states[n][0, prompt:].float().mean(0) for n in layers])
        out.append((means @ v.T).flatten().cpu().numpy())
    return np.stack(out)


def ours(projector: Projector, items: list[Item], many: bool) -> npt.NDArray[np.float32]:
    """The same from the Projector: means of token projections for one vector, projected means for many."""
    found = []
    for m in projector.measure(items):
        if isinstance(m, str):
            raise RuntimeError(m)
        found.append(m.means[0] if many else m.tokens.mean(0, dtype=np.float64))
    return np.stack(found).astype(np.float32)


@contextmanager
def marked() -> Iterator[None]:
    """Name what the Projector does at the layers it looks at, for the profiler."""
    real = blocks.run_to

    def run_to(model: BaseModel, layers: Any, see: Callable[..., None], inputs: Any) -> None:
        def seen(*args: Any) -> None:
            with torch.profiler.record_function("screen::projection"):
                see(*args)

        real(model, layers, seen, inputs)

    def attend(*args: Any) -> torch.Tensor:
        with torch.profiler.record_function("screen::attention"):
            return attending(*args)

    attending = packing.attend
    blocks.run_to, packing.attend, fused.attend = run_to, attend, attend
    try:
        yield
    finally:
        blocks.run_to, packing.attend, fused.attend = real, attending, attending


def lost(work: Callable[[], Any], device: str) -> dict[str, float]:
    """Shares of the time: host (no kernel runs), matmul, packing, projection, elementwise (all else)."""
    cuda = device != "cpu"
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if cuda else []
    with marked(), torch.profiler.profile(activities=activities) as profile:
        _, seconds, _ = timed(work, device)
    spent: Counter[str] = Counter()
    on_device = 0.0
    for event in profile.events():
        if event.device_type == torch.autograd.DeviceType.CPU:
            if not cuda or event.name.startswith("aten::"):
                spent[_kind(event)] += event.self_device_time_total if cuda else event.self_cpu_time_total
        elif not event.name.startswith("screen::"):  # a kernel; Triton's belong to no aten operation
            on_device += event.self_device_time_total
            spent["projection"] += event.self_device_time_total if event.name.startswith(_SEGMENTS) else 0
    total = seconds * 1e6
    if cuda:
        spent["elementwise"] = max(0.0, on_device - spent["matmul"] - spent["attention"] - spent["projection"])
        spent["host"] = max(0.0, total - on_device)
    else:
        spent["host"] = max(0.0, total - sum(spent.values())) + spent.pop("other", 0)
    return {k: round(spent[k] / total, 4) for k in ("host", "matmul", "attention", "elementwise", "projection")}


def _kind(event: Any) -> str:
    name, parent = event.name, event
    while parent is not None:
        if parent.name == "screen::projection":
            return "projection"
        if any(word in parent.name for word in _ATTENTION):
            name = "attention"
        parent = parent.cpu_parent
    return "matmul" if name in _MATMUL else "attention" if name == "attention" else "elementwise"


def waits(work: Callable[[], Any], device: str) -> int | None:
    """How often the host waits for the device, as torch counts it; the wait for results that were queued before is an
    event of its own and not among them. None on the CPU."""
    if device == "cpu":
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(w.message) for w in caught)


def one(name: str, length: int, many: bool, model: BaseModel, whole: Any, layer: int, o: Any) -> dict[str, Any]:
    """One line of the table."""
    config, rng, prompt = model.config, np.random.default_rng(length), length // 4
    lengths = rng.integers(length // 2 + 1, length * 3 // 2, max(2, o.tokens // length))
    rows = [rng.integers(1, config.vocab_size, n).astype(np.int32) for n in lengths]
    depth = model.n_layers if many else layer
    layers = list(range(1, depth + 1)) if many else [layer]
    v = rng.normal(size=(MANY if many else 1, model.d_model)).astype(np.float32)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    proof = prove(model, [layer])
    extra: dict[str, Any] = {}
    if many:
        extra = {"controls": np.tile(v, (depth, 1)), "control_layers": [n for n in layers for _ in range(MANY)]}
    projector = Projector(model, v[:1], [layer], proof.batching, o.budget, **extra)
    items = [Item(ids, np.arange(prompt, len(ids), dtype=np.int32), np.array([len(ids) - prompt], dtype=np.int32))
             for ids in rows]  # fmt: skip
    on_device = torch.from_numpy(v).to(o.device)
    ours(projector, items, many)  # warm: the allocator, and kernels chosen at these shapes
    plain(whole, rows[:2], prompt, layers, on_device)
    fast, seconds, memory = timed(lambda: ours(projector, items, many), o.device)
    unfused = None
    if proof.batching.fused:
        without = Projector(model, v[:1], [layer], replace(proof.batching, fused=False), o.budget, **extra)
        ours(without, items[:2], many)
        _, unfused, _ = timed(lambda: ours(without, items, many), o.device)
    slow, plain_seconds, plain_memory = timed(lambda: plain(whole, rows, prompt, layers, on_device), o.device)
    _, again, _ = timed(lambda: ours(projector, items, many), o.device)  # before and after: the machine's speed moves
    seconds = (seconds + again) / 2
    gap = float(np.sqrt(((fast - slow) ** 2).mean() / (slow**2).mean()))
    tokens, needed = int(lengths.sum()), flop(config, depth, rows)
    rate = matmul_rate(config, min(o.budget, tokens), o.device, model.dtype)
    agree = gap <= AGREE[model.dtype]
    return {
        "tiny": o.tiny, "shape": name, "length": length, "vectors": len(v), "layers": len(layers), "rows": len(rows),
        "tokens": tokens, "batching": str(proof.batching), "batching_reason": proof.reason,
        "dtype": str(model.dtype)[6:], "threads": torch.get_num_threads(),
        "matmul_tflops": rate / 1e12, "difference": gap, "agree": agree, "plain_tokens_s": tokens / plain_seconds,
        "ours_tokens_s": tokens / seconds, "ratio": plain_seconds / seconds if agree else None,
        "share_of_limit": tokens / seconds * needed / rate if agree else None,
        "peak_mb": {"plain": megabytes(plain_memory), "ours": megabytes(memory)},
        "lost": lost(lambda: ours(projector, items, many), o.device), "batches": counted(projector, items),
        "waits": waits(lambda: ours(projector, items, many), o.device),
        "kernels_ratio": None if unfused is None else unfused / seconds,
    }  # fmt: skip


def counted(projector: Projector, items: list[Item]) -> int:
    """Batches of a measurement."""
    return len(plan(projector.batching, [item.ids for item in items], projector.budget, projector.model.apart))


def megabytes(held: float | None) -> int | None:
    return None if held is None else round(held / 1e6)


def line(r: dict[str, Any]) -> str:
    shape = f"tiny {r['shape']}" if r["tiny"] else r["shape"]
    head = f"{shape:<13} {r['length']:>5} tokens, {r['vectors']:>2} vectors at {r['layers']:>2} layers:"
    told = f"{head} plain {r['plain_tokens_s']:>9,.0f} tokens/s, ours {r['ours_tokens_s']:>9,.0f}"
    if not r["agree"]:
        return f"{told}; the scores disagree by {r['difference']:.1e}: no ratio"
    spent = ", ".join(f"{k} {v:.1%}" for k, v in r["lost"].items())
    kernels = "none" if r["kernels_ratio"] is None else f"{r['kernels_ratio']:.2f} times"
    waited = "" if r["waits"] is None else f"{r['waits']} waits in {r['batches']} batches; "
    return (
        f"{told}: {r['ratio']:.2f} times, {r['share_of_limit']:.0%} of the limit at {r['matmul_tflops']:,.3g} TFLOP/s; "
        f"{r['batching']}, difference {r['difference']:.1e}; memory {r['peak_mb']['plain']} MB plain, "
        f"{r['peak_mb']['ours']} ours; kernels {kernels}; {waited}{spent}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="float32; on CUDA bfloat16")
    parser.add_argument("--shape", action="append", choices=list(SHAPES))
    parser.add_argument("--length", action="append", type=int, help="mean tokens a row; repeatable")
    parser.add_argument("--tokens", type=int, help="tokens a case: 8192; on CUDA 65536")
    parser.add_argument("--budget", type=int, help="tokens a batch: what a run takes on this device")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tiny", action="store_true")
    o = parser.parse_args(arguments)
    torch.set_num_threads(o.threads)
    cuda = o.device == "cuda"
    o.dtype = getattr(torch, o.dtype or ("bfloat16" if cuda and not o.tiny else "float32"))
    lengths = o.length or ([128, 300, 2000] if cuda else [300])
    shapes = o.shape or [name for name in SHAPES if (name in CPU) != cuda]
    o.tokens, o.budget = o.tokens or (65536 if cuda else 8192), o.budget or default_budget(o.device)
    if o.tiny:
        o.device, lengths, o.tokens, o.budget = "cpu", [16, 32, 64], min(o.tokens, 512), 256
        print("small shapes on the CPU: not a measurement")
    elif cuda and not torch.cuda.is_available():
        print("torch finds no CUDA device here; --tiny shows that the bench works", file=sys.stderr)
        return 2
    else:
        where = torch.cuda.get_device_name() if cuda else f"CPU, {o.threads} threads"
        print(f"{where}, {str(o.dtype)[6:]}, torch {torch.__version__}, transformers {hf.__version__}")
    results = []
    for name in shapes:
        whole, model, layer = load(name, o)
        for length in lengths:
            for many in (False, True):
                results.append(one(name, length, many, model, whole, layer, o))
                print(line(results[-1]), flush=True)
        del whole, model
    if o.json:
        o.json.write_text(json.dumps({"measurement": not o.tiny, "torch": torch.__version__, "cases": results}))
    return 0 if all(r["agree"] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
