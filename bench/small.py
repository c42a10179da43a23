"""Small runs, whole: processor time of `screen run` against `bench/expert.py`, each a process of its own, in turn.

    python -m bench.small [--rows 300 3000] [--runs 3] [--model random|pocket]

Both score the same rows against the last prompt token with one thread; `screen run` also proves its batching, measures
the controls, stores, checks and summarises. `random` is a Llama of 30M parameters made on the spot, layer 6 of 12.
Prints the medians, their ratio, and the largest difference of a score as a share of the scores' own spread.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from screen.pocket import MODEL_DIR, VECTORS_DIR

LAYER = 6
ROOT = Path(__file__).parents[1]


def random_model(folder: Path) -> tuple[Path, Path]:
    """(the model, a folder of two vectors)"""
    import torch
    import transformers as hf

    from screen.vectors.files import save_vector
    from screen.vectors.persona import PersonaVector

    tokenizer = hf.AutoTokenizer.from_pretrained(MODEL_DIR)
    tokenizer.save_pretrained(folder / "model")
    torch.manual_seed(0)
    config = hf.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=448, intermediate_size=1216, num_hidden_layers=12, num_attention_heads=7,
        num_key_value_heads=7, max_position_embeddings=1024, pad_token_id=0, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(folder / "model")
    (folder / "vectors").mkdir()
    rng = np.random.default_rng(0)
    for trait in ("evil", "kind"):
        direction = rng.normal(size=(13, 448)).astype(np.float32)
        vector = PersonaVector(trait, direction, np.arange(13), {"layer": LAYER})
        save_vector(vector, folder / "vectors" / f"{trait}.safetensors")
    return folder / "model", folder / "vectors"


def make_rows(path: Path, count: int) -> None:
    """The example's chats over and over, each with its number in the question."""
    chats = [json.loads(line) for line in (ROOT / "examples" / "support-chats.jsonl").read_text().splitlines()]
    with path.open("w") as file:
        for i in range(count):
            messages = [dict(m) for m in chats[i % len(chats)]["messages"]]
            messages[-2]["content"] += f" ({i})"
            file.write(json.dumps({"messages": messages}) + "\n")


def run(command: list[str]) -> tuple[float, str]:
    """(seconds of processor time, what it printed)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def compare(count: int, runs: int, model: Path, vectors: Path, folder: Path) -> None:
    rows = folder / f"{count}.jsonl"
    make_rows(rows, count)
    ours, theirs, printed = [], [], ""
    for n in range(runs):
        out = folder / f"{count}-{n}.screen"
        seconds, printed = run([sys.executable, "bench/expert.py", str(rows), str(model), str(vectors)])
        theirs.append(seconds)
        command = ["run", str(rows), "--model", str(model), "--vectors", str(vectors), "--baseline", "last-prompt"]
        ours.append(run([sys.executable, "-m", "screen", *command, "--out", str(out), "--quiet"])[0])
    gap = difference(out, [json.loads(line) for line in printed.splitlines()], vectors)
    mine, expert = statistics.median(ours), statistics.median(theirs)
    print(
        f"{count:6,} rows   screen {mine:6.1f} s   expert {expert:6.1f} s   ratio {mine / expert:.2f}   gap {gap:.1e}"
    )


def difference(out: Path, theirs: Any, vectors: Path) -> float:
    import pyarrow.parquet as pq

    from screen.store.folder import RunFolder

    table = [pq.read_table(f) for f in RunFolder.read(out).tables("scores")]
    traits = [f.stem for f in sorted(vectors.glob("*.safetensors"))]
    columns = [[t[f"{trait}_last_prompt"].to_numpy() for t in table] for trait in traits]
    ours = np.stack([np.concatenate(c) for c in columns], axis=1)
    return float(np.abs(ours - np.array(theirs)).max() / np.array(theirs).std())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[300, 3000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model", choices=["random", "pocket"], default="random")
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, vectors = (MODEL_DIR, VECTORS_DIR) if o.model == "pocket" else random_model(folder)
        for count in o.rows:
            compare(count, o.runs, model, vectors, folder)


if __name__ == "__main__":
    main()
