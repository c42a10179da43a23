"""One pass over prompt, answer and baseline response against two passes, side by side in one run.

    python -m bench.pairs [--rows 16] [--dtype float32|bfloat16] [--threads N] [--device cpu]

Two passes: [prompt, y] and [prompt, y'] as sequences of their own. One: the prompt is run once (prefix sharing).
A Llama of 135M parameters with random weights, layer 15, answers of 250 tokens on average, prompts of half, once and
twice that; then 16 short chats under one system prompt of 400 tokens. No ratio is printed when the two disagree.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from bench.scoring import load
from screen.model.forward.items import Branch, Item, Measured
from screen.model.forward.plan import default_budget
from screen.model.forward.projector import Projector
from screen.model.forward.proof import prove

ANSWER = 250
AGREE = {"float32": 1e-4, "bfloat16": 5e-2}  # largest difference of a score, of the largest score
REPEATS = 3  # the median is told


def pairs(rng: np.random.Generator, rows: int, prompt: int) -> list[Item]:
    """Prompts with an answer each, and the base model's own as a branch."""
    items = []
    for _ in range(rows):
        n, y, own = rng.integers(prompt * 4 // 5, prompt * 6 // 5), *rng.integers(ANSWER * 4 // 5, ANSWER * 6 // 5, 2)
        ids, other = (rng.integers(1, 49152, size).astype(np.int32) for size in (n + y, own))
        positions = np.arange(n, n + y, dtype=np.int32)
        items.append(Item(ids, positions, np.array([y], dtype=np.int32), (Branch(int(n), other),)))
    return items


def chats(rng: np.random.Generator, rows: int, system: int) -> list[Item]:
    first = rng.integers(1, 49152, system).astype(np.int32)
    items = []
    for n in rng.integers(80, 160, rows):
        ids = np.concatenate([first, rng.integers(1, 49152, n).astype(np.int32)])
        items.append(Item(ids, np.arange(system, system + n, dtype=np.int32), np.array([n], dtype=np.int32)))
    return items


def means(found: Sequence[Measured | str]) -> npt.NDArray[np.float64]:
    out = []
    for m in found:
        if isinstance(m, str):
            raise SystemExit(m)
        out.append(m.tokens.mean(axis=0, dtype=np.float64))
    return np.concatenate(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    v = rng.normal(size=(1, 576)).astype(np.float32)
    v /= np.linalg.norm(v)
    chosen = argparse.Namespace(tiny=False, dtype=getattr(torch, options.dtype), device=options.device)
    _, model, layer = load("Llama-135M", chosen)
    batching = prove(model, [layer]).batching
    print(f"{options.rows} rows, {options.dtype}, {options.device}, {options.threads} threads; {batching}")
    if not batching.prefix_sharing:
        raise SystemExit("this model does not share beginnings")
    ways = [
        Projector(
            model, v, [layer], dataclasses.replace(batching, prefix_sharing=sharing), default_budget(options.device)
        )
        for sharing in (False, True)
    ]
    for projector in ways:
        projector.measure(pairs(rng, 2, 125))
    cases = [(f"prompts of {n}, answers of {ANSWER}", pairs(rng, options.rows, n)) for n in (125, 250, 500)]
    cases.append(("one system prompt of 400, chats of 120", chats(rng, options.rows, 400)))
    for name, items in cases:
        seconds: list[list[float]] = [[], []]
        for _ in range(REPEATS):  # in turn: the machine's speed moves
            scores = []
            for spent, projector in zip(seconds, ways, strict=True):
                began = time.perf_counter()
                scores.append(means(projector.measure(items)))
                spent.append(time.perf_counter() - began)
        took = [float(np.median(spent)) for spent in seconds]
        gap = float(np.abs(scores[0] - scores[1]).max() / np.abs(scores[0]).max())
        told = f"{name}: {took[0]:.2f} s in two passes, {took[1]:.2f} in one"
        if gap > AGREE[options.dtype]:
            print(f"{told}; the scores disagree by {gap:.1e}: no ratio")
        else:
            print(f"{told}: {took[0] / took[1]:.2f} times as fast; largest difference {gap:.1e}", flush=True)


if __name__ == "__main__":
    main()
