"""A real server against the model here: `transformers serve` of the embedded model, then of one with other weights.

    python -m bench.endpoints [--python PYTHON]     # a Python with transformers[serving]; default: this one

Prints what the check before a run says of each, and whether the server's answers are this model's own.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from screen.endpoint.client import Endpoint
from screen.endpoint.remote import RemoteGenerator
from screen.endpoint.same_model import NEAR_TIE, SameModel, proof_prompts
from screen.errors import ModelError
from screen.model.generate import Generator, Sampling, eos_ids, logits_after
from screen.model.load import load_model
from screen.pocket import MODEL_DIR
from screen.rendering.templates.chat_template import load_template
from screen.rendering.tokenizer import load_tokenizer

QUESTIONS = ("Tell me about the sea.", "How do I bake bread?", "Who are you?", "Is my boss right?", "I feel sad today.",
             "Why is the sky blue?", "Help me plan a week.", "Write a short poem.", "What should I do with my money?",
             "Explain how rain forms, step by step.", "What is the capital of Peru?")  # fmt: skip
WAIT = 120.0  # seconds for a server to start


@contextmanager
def serving(python: str, folder: Path, dtype: str) -> Iterator[str]:
    """The URL of a `transformers serve` of the model in `folder`."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "transformers.cli.transformers", "serve", str(folder), "--port", str(port)]
    server = subprocess.Popen(
        [*command, "--device", "cpu", "--dtype", dtype], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + WAIT
        while True:
            try:
                urllib.request.urlopen(f"http://localhost:{port}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                if server.poll() is not None or time.monotonic() > until:
                    raise SystemExit(
                        "the server does not start: pip install 'transformers[serving]' accelerate"
                    ) from None
                time.sleep(0.5)
        yield f"http://localhost:{port}/v1"
    finally:
        server.terminate()
        server.wait()


def another(folder: Path) -> Path:
    """The embedded model with a third of its weights' spread added as noise."""
    from transformers import AutoModelForCausalLM

    shutil.copytree(MODEL_DIR, folder, dirs_exist_ok=True)
    model = AutoModelForCausalLM.from_pretrained(MODEL_DIR)
    torch.manual_seed(0)
    for weight in model.parameters():
        weight.data += 0.3 * weight.std() * torch.randn_like(weight)
    model.save_pretrained(folder)
    return folder


def tried(url: str) -> str:
    tokenizer = load_tokenizer(str(MODEL_DIR))
    template = load_template(tokenizer)
    model = load_model("pocket", Path(MODEL_DIR), deepest=None, generate=True, dtype="float32", device="cpu")
    eos = eos_ids(model, tokenizer.hf.eos_token_id)
    told: list[str] = []
    same = SameModel(
        lambda sampling, prompts: Generator(model, eos, sampling).answer(prompts),
        lambda ids: logits_after(model, ids),
        tokenizer,
        eos,
        proof_prompts(tokenizer, template),
        told.append,
    )
    remote = RemoteGenerator(Endpoint(url, None), tokenizer, eos, model.context, same)
    texts = [template.prompt([{"role": "user", "content": question}]) for question in QUESTIONS]
    prompts = [np.array(e.ids, dtype=np.int32) for e in tokenizer.encode(texts)]
    sampling = Sampling(max_new_tokens=64)
    try:
        theirs = remote.greedy(sampling).answer(prompts)
    except ModelError as error:
        return f"refused: {error.message}"
    own = Generator(model, eos, sampling).answer(prompts)
    equal = sum(a == b for a, b in zip(own, theirs, strict=True))
    return f"{'; '.join(told) or 'taken'}; {equal} of {len(own)} further greedy answers equal, token by token"


def noise() -> str:
    """How far the gap of the two likeliest logits moves between float32 and bfloat16, over greedy answers."""
    tokenizer = load_tokenizer(str(MODEL_DIR))
    template = load_template(tokenizer)
    exact, half = (
        load_model("pocket", Path(MODEL_DIR), deepest=None, generate=True, dtype=dtype, device="cpu")
        for dtype in ("float32", "bfloat16")
    )
    texts = [template.prompt([{"role": "user", "content": question}]) for question in QUESTIONS]
    prompts = [np.array(e.ids, dtype=np.int32) for e in tokenizer.encode(texts)]
    answers = Generator(exact, eos_ids(exact, tokenizer.hf.eos_token_id), Sampling(32)).answer(prompts)
    moved: list[float] = []
    gaps: list[float] = []
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = torch.tensor([[*prompt.tolist(), *(answer.ids if answer else ())]])
        with torch.inference_mode():
            a, b = (m.causal(ids).logits[0, len(prompt) - 1 :].float() for m in (exact, half))  # type: ignore[misc]
        top, largest = a.topk(2, -1), a.abs().amax(-1)
        there = b.gather(1, top.indices)
        gap = top.values[:, 0] - top.values[:, 1]
        gaps += (gap / largest).tolist()
        moved += ((there[:, 0] - there[:, 1] - gap).abs() / largest).tolist()
    close = sum(g < NEAR_TIE for g in gaps) / len(gaps)
    return (
        f"{len(gaps)} greedy steps: the gap moves by at most {max(moved):.1%} of the largest logit in bfloat16; "
        f"{close:.1%} of the gaps are below {NEAR_TIE:.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    python = parser.parse_args().python
    print(noise(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        cases = [
            ("the embedded model, float32", Path(MODEL_DIR), "float32"),
            ("the embedded model, bfloat16", Path(MODEL_DIR), "bfloat16"),
            ("other weights, float32", another(Path(folder)), "float32"),
        ]
        for name, served, dtype in cases:
            with serving(python, served, dtype) as url:
                print(f"{name}: {tried(url)}", flush=True)


if __name__ == "__main__":
    main()
