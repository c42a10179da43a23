"""Scoring against the plain way, side by side in one run, on this machine's CPU.

    python bench/forward.py [--rows 24] [--dtype float32|bfloat16] [--threads N] [--probes 99]

The plain way is what is commonly run: one sample a batch, the whole model with its head, every hidden state and every
logit kept, a KV cache built. Ours: layers up to the screened one, no head, packed, projected inside the forward pass.
A Llama of 135M parameters with random weights (30 layers, width 576), layer 15, answers of 300 tokens on average after
prompts of 60. No ratio is printed when the two disagree.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers as hf

from screen.model.batches import default_budget
from screen.model.load import load_model
from screen.model.projector import Item, Projector
from screen.model.proof import prove

LAYER = 15
PROMPT = 60
BUDGET = default_budget("cpu")
AGREE = {"float32": 1e-4, "bfloat16": 5e-2}  # of the norm of h


def shape() -> Any:
    return hf.LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=2048, bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip


def matmul_rate(dtype: torch.dtype, d: int = 576, inner: int = 1536, tokens: int = 2048) -> float:
    """GFLOP/s of the MLP's product at this shape: the most that any of this can reach."""
    a, b = torch.randn(tokens, d, dtype=dtype), torch.randn(d, inner, dtype=dtype)
    torch.mm(a, b)
    began = time.perf_counter()
    for _ in range(20):
        torch.mm(a, b)
    return 20 * 2 * tokens * d * inner / (time.perf_counter() - began) / 1e9


def plain(model: Any, rows: list[npt.NDArray[np.int32]], v: torch.Tensor) -> npt.NDArray[np.float64]:
    """The mean projection of each row's answer, one row at a time."""
    out = []
    for ids in rows:
        with torch.no_grad():
            answer = model(torch.tensor(ids[None].astype(np.int64)), output_hidden_states=True, use_cache=True)
        h = answer.hidden_states[LAYER][0, PROMPT:].float()
        out.append(float((h @ v).mean()))
    return np.asarray(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--probes", type=int, default=99, help="control and feature directions, timed apart")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dtype = getattr(torch, options.dtype)
    rng = np.random.default_rng(0)
    lengths = rng.integers(PROMPT + 100, PROMPT + 501, options.rows)
    rows = [rng.integers(1, 49152, n).astype(np.int32) for n in lengths]
    v = rng.normal(size=(1, 576)).astype(np.float32)
    v /= np.linalg.norm(v)
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        whole = hf.AutoModelForCausalLM.from_config(shape()).eval().to(dtype)
        whole.save_pretrained(folder)
        model = load_model("135M", Path(folder), deepest=LAYER, generate=False, dtype=options.dtype, device="cpu")
    proof = prove(model, [LAYER])
    projector = Projector(model, v, [LAYER], proof.batching, BUDGET)
    items = [Item(ids, np.arange(PROMPT, len(ids), dtype=np.int32)) for ids in rows]
    answers = [item._replace(segments=np.array([len(item.positions)], dtype=np.int32)) for item in items]
    probes = rng.normal(size=(options.probes, 576)).astype(np.float32)
    probed = Projector(model, v, [LAYER], proof.batching, BUDGET, probes=probes, probe_layers=[LAYER] * options.probes)
    projector.project(items[:2])
    probed.measure(answers[:2])
    plain(whole, rows[:1], torch.from_numpy(v[0]))
    began = time.perf_counter()
    ours = np.asarray([np.asarray(p)[:, 0].mean(dtype=np.float64) for p in projector.project(items)])
    fast = time.perf_counter() - began
    began = time.perf_counter()
    probed.measure(answers)
    with_probes = time.perf_counter() - began
    began = time.perf_counter()
    reference = plain(whole, rows, torch.from_numpy(v[0]))
    slow = time.perf_counter() - began
    tokens = int(lengths.sum())
    with torch.no_grad():
        norm = float(whole.model.embed_tokens.weight.float().norm(dim=1).mean())
    gap = float(np.abs(ours - reference).max())
    print(
        f"{options.rows} rows, {tokens} tokens, {options.dtype}, {options.threads} threads; batching: {proof.batching}"
    )
    print(f"largest difference of a score {gap:.2e} (allowed {AGREE[options.dtype] * max(norm, 1):.2e})")
    if gap > AGREE[options.dtype] * max(norm, 1):
        raise SystemExit("the two disagree: no ratio")
    block = 2 * (576 * 576 * 2 + 576 * 192 * 2 + 3 * 576 * 1536)  # FLOP a token and block, attention scores aside
    rate = matmul_rate(dtype)
    print(f"plain {tokens / slow:,.0f} tokens/s, ours {tokens / fast:,.0f} tokens/s: {slow / fast:.2f} times as fast")
    print(f"with {options.probes} probes (controls, features): {with_probes / fast:.3f} times the time without")
    print(f"matmul rate {rate:,.0f} GFLOP/s; ours uses {tokens * block * LAYER / fast / 1e9 / rate:.0%} of it")


if __name__ == "__main__":
    main()
