"""A small model trained on a few rows, with transformers' own Trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn

ROWS = [{"input_ids": (torch.arange(12) * (i + 3) % 200 + 5).tolist()} for i in range(12)]
Train = Callable[..., hf.Trainer]


def collated(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    ids = torch.tensor([row["input_ids"] for row in rows])
    return {"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}


def hooks_of_ours(model: nn.Module) -> int:
    found = [f for m in model.modules() for f in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]
    return sum(f.__module__.startswith("screen.") for f in found)


@pytest.fixture
def tiny(tiny_model: Path) -> hf.PreTrainedModel:
    return hf.AutoModelForCausalLM.from_pretrained(tiny_model)


@pytest.fixture
def trainer_for(tiny: hf.PreTrainedModel, tiny_model: Path, tmp_path: Path) -> Train:
    """Makes a trainer of six steps at most, two rows a step; `model` and settings as given."""

    def make(*callbacks: Any, model: Any = tiny, kind: type[hf.Trainer] = hf.Trainer, **settings: Any) -> hf.Trainer:
        usual: dict[str, Any] = {"max_steps": 6, "learning_rate": 1e-2, "save_strategy": "no", "output_dir": tmp_path}
        arguments = hf.TrainingArguments(
            **{**usual, **settings},
            per_device_train_batch_size=2,
            logging_steps=1,
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
        )
        tokenizer = hf.AutoTokenizer.from_pretrained(tiny_model)
        made = kind(
            model=model, args=arguments, train_dataset=ROWS, eval_dataset=ROWS, data_collator=collated,
            processing_class=tokenizer, callbacks=list(callbacks),
        )  # fmt: skip
        made.remove_callback(hf.PrinterCallback)
        return made

    return make
