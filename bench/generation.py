"""The baseline responses against plain `generate`, in tokens a second: one run, on this machine's CPU.

    python bench/generation.py [--prompts 64] [--new 64] [--rows 16] [--threads N] [--shape embedded|llama]

Plain `generate` of transformers, greedy, one prompt a batch, and 16 a batch, padded on the left and in the order of
the prompts. Ours: `Generator`, whose answers do not depend on their batch (docs/decisions/0002). The embedded model on
its example chats, and a Llama of 10M parameters with random weights. No rate is printed unless all answers are equal.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers as hf

from screen.model.generate import Generator, Sampling, eos_ids
from screen.model.load import BaseModel, load_model
from screen.pocket import MODEL_DIR
from screen.rendering.tokenizer import load_tokenizer

Prompts = list[npt.NDArray[np.int32]]
EXAMPLES = Path(__file__).parents[1] / "examples" / "support-chats.jsonl"


def embedded(n: int) -> tuple[BaseModel, frozenset[int], Prompts]:
    """The embedded model and the first prompts of its example chats."""
    model = load_model("pocket", MODEL_DIR, deepest=None, generate=True, dtype="float32", device="cpu")
    tokenizer = load_tokenizer(str(MODEL_DIR)).hf
    with EXAMPLES.open(encoding="utf-8") as lines:
        chats = [json.loads(line)["messages"][:-1] for line, _ in zip(lines, range(n), strict=False)]
    asked = [tokenizer.apply_chat_template(c, add_generation_prompt=True, tokenize=False) for c in chats]
    prompts = [np.array(tokenizer(t, add_special_tokens=False)["input_ids"], dtype=np.int32) for t in asked]
    return model, eos_ids(model, tokenizer.eos_token_id), prompts


def llama(n: int) -> tuple[BaseModel, frozenset[int], Prompts]:
    """Random weights; about one answer in two ends before the limit of 64 tokens."""
    config = hf.LlamaConfig(
        vocab_size=4096, hidden_size=256, intermediate_size=688, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=4, max_position_embeddings=1024, bos_token_id=0, eos_token_id=1, pad_token_id=0,
        initializer_range=0.1,
    )  # fmt: skip
    torch.manual_seed(0)
    causal = hf.LlamaForCausalLM(config).eval().requires_grad_(False)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(2, 4096, k).astype(np.int32) for k in rng.integers(20, 120, n)]
    model = BaseModel(
        decoder=causal.model, blocks=tuple(causal.model.layers), causal=causal, name="llama", folder=Path("."),
        n_layers=8, loaded_layers=8, d_model=256, vocab_size=4096, context=1024, device=torch.device("cpu"),
        dtype=torch.float32,
    )  # fmt: skip
    return model, frozenset(range(1, 48)), prompts


SHAPES: dict[str, Callable[[int], tuple[BaseModel, frozenset[int], Prompts]]] = {"embedded": embedded, "llama": llama}


@torch.no_grad()
def plain(model: BaseModel, eos: frozenset[int], prompts: Prompts, new: int, rows: int) -> list[tuple[int, ...]]:
    causal: Any = model.causal
    out = []
    for at in range(0, len(prompts), rows):
        batch = prompts[at : at + rows]
        width = max(map(len, batch))
        ids, mask = torch.zeros(len(batch), width, dtype=torch.long), torch.zeros(len(batch), width, dtype=torch.long)
        for i, p in enumerate(batch):
            ids[i, width - len(p) :] = torch.from_numpy(p.astype(np.int64))
            mask[i, width - len(p) :] = 1
        settings = hf.GenerationConfig(
            max_new_tokens=new, do_sample=False, eos_token_id=sorted(eos), pad_token_id=0, use_cache=True
        )
        made = causal.generate(ids, attention_mask=mask, generation_config=settings)
        for answer in made[:, width:].tolist():
            end = next((i for i, t in enumerate(answer) if t in eos), len(answer))
            out.append(tuple(answer[:end]))
    return out


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    made = work()
    return made, time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--rows", type=int, default=16, help="rows of our batches")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--shape", action="append", choices=list(SHAPES))
    o = parser.parse_args(arguments)
    torch.set_num_threads(o.threads)
    right = True
    for name in o.shape or SHAPES:
        model, eos, prompts = SHAPES[name](o.prompts)
        ours = Generator(model, eos, Sampling(max_new_tokens=o.new, rows=o.rows))
        ours.answer(prompts[:2])
        answers, fast = timed(lambda g=ours, p=prompts: [a.ids for a in g.answer(p)])
        one, slow = timed(lambda m=model, e=eos, p=prompts: plain(m, e, p, o.new, 1))
        many, middle = timed(lambda m=model, e=eos, p=prompts: plain(m, e, p, o.new, 16))
        tokens = sum(map(len, answers))
        equal = [sum(a == b for a, b in zip(answers, other, strict=True)) for other in (one, many)]
        print(f"{name}: {len(prompts)} prompts, {tokens} tokens of answers, {o.threads} threads, {o.rows} rows a batch")
        if min(equal) < len(prompts):
            print(f"equal answers: {equal[0]} with batch 1, {equal[1]} with batch 16: no rate")
            right = False
            continue
        print(
            f"  plain, batch 1 {tokens / slow:,.0f} tokens/s, batch 16 {tokens / middle:,.0f}; "
            f"ours {tokens / fast:,.0f}: {slow / fast:.2f} and {middle / fast:.2f} times as fast; equal answers"
        )
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
