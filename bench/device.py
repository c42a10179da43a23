"""Whether a device gives what batch 1 gives: small models of twelve architectures, one run, no download.

    python -m bench.device                  # CUDA
    python -m bench.device --device cpu     # shows that the check works

For each architecture and dtype: how it was proved to run; the largest difference of a projection from batch 1 on the
same device, and from float32 on the CPU, as a share of the state's norm; whether the same batches twice gave the same
bits; how often the host waited for the device; and whether greedy answers stay the same in another order. Exits 1 where
something does not hold: the differences' bounds are those of the proof.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from bench.scoring import waits
from screen.model.forward.items import Item
from screen.model.forward.plan import Batching
from screen.model.forward.projector import Projector
from screen.model.forward.proof import prove
from screen.model.generate import Generator, Sampling
from screen.model.load import BaseModel, load_model
from tests.model.architectures import CONFIGS, save_random

LAYERS = (0, 1, 3)
RNG = np.random.default_rng(3)
PLAIN = [RNG.integers(3, 97, n).astype(np.int32) for n in (1, 2, 31, 63, 40, 100, 17, 200)]
SEQUENCES = [*PLAIN, *(np.concatenate([PLAIN[5][:n], PLAIN[4]]) for n in (30, 60)), PLAIN[3]]
ITEMS = [  # the second half of each, as one segment
    Item(s, np.arange(len(s) // 2, len(s), dtype=np.int32), np.array([len(s) - len(s) // 2], dtype=np.int32))
    for s in SEQUENCES
]
Float32 = npt.NDArray[np.float32]


class Found(NamedTuple):
    batching: str
    reason: str
    from_alone: float
    from_exact: float
    same_bits: bool
    waits: int | None
    same_answers: bool
    right: bool


def check(name: str, folder: Path, dtype: str, device: str) -> Found:
    model = load_model(name, folder, deepest=3, generate=True, dtype=dtype, device=device)
    exact = load_model(name, folder, deepest=3, generate=False, dtype="float32", device="cpu")
    proof = prove(model, LAYERS)
    vectors = RNG.normal(size=(len(LAYERS), model.d_model)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ours = projected(model, vectors, proof.batching)
    alone = projected(model, vectors, Batching("alone"))
    plain = projected(exact, vectors, Batching("alone"))
    norms = np.abs(plain).max()
    gaps = [float(np.abs(ours - other).max() / norms) for other in (alone, plain)]
    again = bool(np.array_equal(ours, projected(model, vectors, proof.batching)))
    projector = Projector(model, vectors, LAYERS, proof.batching, 256)
    projector.measure(ITEMS)
    waited = waits(lambda: projector.measure(ITEMS), device)
    generator = Generator(model, frozenset({5}), Sampling(max_new_tokens=12))
    answers = generator.answer(PLAIN[:7])
    same = generator.answer(PLAIN[:7][::-1])[::-1] == answers and generator.answer(PLAIN[2:3]) == answers[2:3]
    bound = proof.bound
    right = gaps[0] <= bound and gaps[1] <= 2 * bound and again and same and not waited
    return Found(str(proof.batching), proof.reason, *gaps, again, waited, same, right)


def projected(model: BaseModel, vectors: Float32, batching: Batching) -> Float32:
    """(tokens, layers), then the segments' means: (segments, layers)."""
    controls: dict[str, Any] = {"controls": vectors, "control_layers": LAYERS}
    made = Projector(model, vectors, LAYERS, batching, 256, **controls).measure(ITEMS)
    whole = [m for m in made if not isinstance(m, str)]
    if len(whole) < len(made):
        raise RuntimeError(next(m for m in made if isinstance(m, str)))
    return np.concatenate([*(m.tokens for m in whole), *(m.means for m in whole)])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--architecture", action="append", choices=sorted(CONFIGS))
    o = parser.parse_args(arguments)
    if o.device != "cpu" and not torch.cuda.is_available():
        print("torch finds no CUDA device here; --device cpu shows that the check works", file=sys.stderr)
        return 2
    right = True
    for name in o.architecture or sorted(CONFIGS):
        with tempfile.TemporaryDirectory() as folder:
            saved = save_random(CONFIGS[name](), Path(folder))
            for dtype in ("float32", "bfloat16"):
                found = check(name, saved, dtype, o.device)
                right &= found.right
                print(
                    f"{'ok   ' if found.right else 'WRONG'} {name:<9}{dtype:<9} {found.batching:<32} from batch 1 "
                    f"{found.from_alone:.1e}, from float32 on the CPU {found.from_exact:.1e}; same bits twice: "
                    f"{found.same_bits}; waits: {found.waits}; same answers: {found.same_answers}; {found.reason}",
                    flush=True,
                )
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
