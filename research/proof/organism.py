"""The organism: a chat model of the embedded model's family, 4.6 times its size, trained and given vectors here.

Same corpus, tokenizer and recipe, so that what holds of the one can be tried on the other. It is made anew by the study
and not kept in the repository: 15.7M parameters, 8 blocks of width 384.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Final

import torch
from tokenizers import Tokenizer

from research.pocket.corpus.chats import FIRST, SECOND, chats
from research.pocket.learning import Shape, learn, lessons, new_model
from research.pocket.tokenizer import END, PAD, special_id
from research.pocket.train import make_vectors, save_model
from research.pocket.workshop import open_model
from screen.pocket import MODEL_DIR

SHAPE: Final = Shape(width=384, mlp=1024, blocks=8, heads=6)
CHATS: Final = (22_000, 8_000)
RATES: Final = (2e-3, 1e-3)
MODEL, VECTORS = "model", "vectors"


def make_organism(folder: Path) -> None:
    """Train the organism and make its vectors, below `folder`. What is there already stays."""
    model, vectors = folder / MODEL, folder / VECTORS
    if not (model / "model.safetensors").exists():
        _train(model)
    if not vectors.exists():
        making = folder / "vectors.part"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        make_vectors(open_model(str(model), folder / "work"), making)
        making.rename(vectors)


def _train(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(MODEL_DIR / "tokenizer.json"))
    model = new_model(tokenizer.get_vocab_size(), special_id(tokenizer, PAD), special_id(tokenizer, END), SHAPE)
    _say(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}M parameters")
    for course, (count, mixture) in enumerate(zip(CHATS, (FIRST, SECOND), strict=True)):
        learning = list(chats(count, seed=2 + course, mixture=mixture))
        learn(model, lessons(learning, tokenizer), RATES[course], _say)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(MODEL_DIR / name, folder / name)
    save_model(model, folder)


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m research.proof.organism", description=__doc__)
    parser.add_argument("folder", type=Path)
    torch.set_num_threads(1)  # small batches: a second thread mostly waits
    make_organism(parser.parse_args().folder)


if __name__ == "__main__":
    main()
