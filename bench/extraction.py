"""Answers a second of extraction, beside the plain way: batch 1, every hidden state and all logits kept.

    python bench/extraction.py [--model FOLDER] [--answers N] [--layers N] [--width N] [--device cpu|cuda]

Without --model: a random Llama of --layers blocks. The two results are compared first; then both are timed in turns
in the same process, and the ratio of their best times is printed (on a CPU: of processor time). Last, the peak
memory of four times the answers.
"""

from __future__ import annotations

import argparse
import gc
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers as hf

from screen.building.extraction import AnswerTokens, QuestionMeans, finish
from screen.building.means import BatchedMeans
from screen.model.forward.proof import prove
from screen.model.load import load_model

Grouped = list[tuple[int, AnswerTokens]]
Directions = npt.NDArray[np.float32]
CHUNK = 256  # as a build has it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--answers", type=int, default=96, help="a side")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model or random_model(Path(scratch), options.layers, options.width)
        compare(folder, options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    ours = load_model("bench", folder, deepest=None, generate=True, dtype=options.dtype, device=options.device)
    proof = prove(ours, range(ours.n_layers + 1))
    print(f"batching: {proof.batching} ({proof.reason})")
    means = BatchedMeans(ours, proof.batching)
    plain = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, options.dtype)).to(options.device)
    sides = answers(options.answers, ours.vocab_size, 1), answers(options.answers, ours.vocab_size, 2)
    ways: dict[str, Callable[[], Directions]] = {
        "plain": lambda: plain_directions(plain.eval(), sides),
        "screen": lambda: directions(means, sides),
    }
    found = {name: way() for name, way in ways.items()}
    gap = np.abs(found["plain"] - found["screen"]).max() / np.abs(found["plain"]).max()
    print(f"largest difference of the directions: {gap:.1e} of the largest entry")
    if gap > (1e-5 if options.dtype == "float32" else 5e-2):
        raise SystemExit("the results differ: no timing")
    clock = time.process_time if options.device == "cpu" else time.perf_counter  # a CPU may be shared
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(options.repeat):
        for name, way in ways.items():
            began = clock()
            way()
            best[name] = min(best[name], clock() - began)
    for name, seconds in best.items():
        print(f"{name:<7} {2 * options.answers / seconds:8.1f} answers/s")
    print(f"ratio   {best['plain'] / best['screen']:8.2f}")
    memory(means, sides)


def memory(means: BatchedMeans, sides: tuple[Grouped, Grouped]) -> None:
    """Peak resident memory, before and after four times the answers."""
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    directions(means, (sides[0] * 4, sides[1] * 4))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {before / 1024:.0f} MB, after four times the answers {after / 1024:.0f} MB")


def directions(model: BatchedMeans, sides: tuple[Grouped, Grouped]) -> Directions:
    """As a build does it: chunk by chunk, each sorted by length."""
    means = []
    for side in sides:
        mean = QuestionMeans(model)
        for start in range(0, len(side), CHUNK):
            mean.add(sorted(side[start : start + CHUNK], key=lambda pair: len(pair[1].ids)))
        means.append(mean)
    return finish(means[0], means[1]).direction


@torch.no_grad()
def plain_directions(model: Any, sides: tuple[Grouped, Grouped]) -> Directions:
    """As the published script does it."""
    means = []
    for side in sides:
        each = []
        for _, (ids, start, end) in side:
            given = torch.tensor(ids[None].astype(np.int64), device=model.device)
            states = model(given, output_hidden_states=True).hidden_states
            each.append(torch.stack([h[0, start:end].double().mean(0).cpu() for h in states]))
        means.append(torch.stack(each).mean(0).numpy())
    return np.asarray(means[0] - means[1], dtype=np.float32)


def answers(count: int, vocab: int, seed: int) -> Grouped:
    """Prompts of 40 to 120 tokens with answers of 20 to 250, to twenty questions."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        start = int(rng.integers(40, 120))
        ids = rng.integers(0, vocab, start + int(rng.integers(20, 250))).astype(np.int32)
        made.append((number % 20, AnswerTokens(ids, start, len(ids))))
    return made


def random_model(folder: Path, layers: int, width: int) -> Path:
    hf.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    config = hf.LlamaConfig(
        vocab_size=8192, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=width // 64, num_key_value_heads=width // 64, max_position_embeddings=1024,
    )  # fmt: skip
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
