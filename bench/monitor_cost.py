"""What PersonaMonitor costs at its default, on the embedded model: the same training with it and without it, in turns.

    python -m bench.monitor_cost [--steps N] [--rows ROWS] [--tokens TOKENS] [--vectors N] [--turns N]

Processor time of this process, so that other work on the machine counts little; one thread. Printed: seconds without
and with, their ratio, and the share that the readings took by themselves. All trainings must end with the same weights.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers as hf

from screen.pocket import MODEL_DIR, TRAITS, VECTORS_DIR
from screen.training import PersonaMonitor
from screen.training.reading import TraitReader


class Readings:
    """Counts readings, and their processor time."""

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0

    @contextmanager
    def counted(self) -> Iterator[None]:
        plain = TraitReader.read

        def read(reader: TraitReader) -> Any:
            began = time.process_time()
            found = plain(reader)
            self.seconds += time.process_time() - began
            self.count += 1
            return found

        TraitReader.read = read  # type: ignore[method-assign]
        try:
            yield
        finally:
            TraitReader.read = plain  # type: ignore[method-assign]


def train(asked: argparse.Namespace, *callbacks: hf.TrainerCallback) -> tuple[float, dict[str, torch.Tensor]]:
    """Processor time of the training alone, and the weights it ends with."""
    torch.manual_seed(0)
    rows = torch.randint(5, 4000, (asked.rows * asked.steps, asked.tokens))
    with tempfile.TemporaryDirectory() as out:
        arguments = hf.TrainingArguments(
            output_dir=out, max_steps=asked.steps, per_device_train_batch_size=asked.rows, learning_rate=1e-4,
            save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True, dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = hf.Trainer(
            model=hf.AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=torch.float32),
            args=arguments,
            train_dataset=[{"input_ids": row, "labels": row} for row in rows],
            processing_class=hf.AutoTokenizer.from_pretrained(MODEL_DIR),
            callbacks=list(callbacks),
        )
        trainer.remove_callback(hf.PrinterCallback)
        began = time.process_time()
        trainer.train()
        return time.process_time() - began, trainer.model.state_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("steps", 300), ("rows", 8), ("tokens", 128), ("vectors", 3), ("turns", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    vectors = [VECTORS_DIR / f"{trait}.safetensors" for trait in TRAITS[: asked.vectors]]
    without, with_it, readings, weights = 0.0, 0.0, Readings(), []
    for turn in range(asked.turns):
        for watched in (False, True) if turn % 2 == 0 else (True, False):
            with readings.counted():
                seconds, ended = train(asked, *([PersonaMonitor(vectors)] if watched else []))
            weights.append(ended)
            without, with_it = (without, with_it + seconds) if watched else (without + seconds, with_it)
    same = all(torch.equal(weights[0][name], other[name]) for other in weights for name in weights[0])
    print(f"{asked.turns} x {asked.steps} steps of {asked.rows} x {asked.tokens} tokens, {len(vectors)} vectors")
    print(f"without {without:.1f} s   with {with_it:.1f} s   ratio {with_it / without:.4f}")
    print(
        f"{readings.count / asked.turns:.1f} readings a training, {100 * readings.seconds / with_it:.2f} % of its time"
    )
    print(f"weights the same bit for bit: {same}")


if __name__ == "__main__":
    main()
