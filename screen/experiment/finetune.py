"""Fine-tunes a copy of a model on token sequences with transformers' Trainer, and saves it where a scan can load it."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import SequentialSampler
from transformers import (
    AutoModelForCausalLM,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils import logging

from screen.errors import ModelError
from screen.experiment.lesson import Lesson as Lesson
from screen.experiment.recipe import Recipe

_IGNORED = -100  # a label that the loss does not count
_KEPT = (".json", ".jinja", ".model", ".txt")  # beside the weights: tokenizer, template, settings of generation


class _InOrder(Trainer):  # type: ignore[misc]
    """Takes the lessons as they come: their order is the arm's, by its seed."""

    def _get_train_sampler(self, train_dataset: object = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


class _Tells(TrainerCallback):  # type: ignore[misc]
    def __init__(self, step: Callable[[int, int], None]) -> None:
        self._step = step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self._step(state.global_step, state.max_steps)


def fine_tune(
    folder: Path,
    lessons: Sequence[Lesson],
    recipe: Recipe,
    seed: int,
    out: Path,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    step: Callable[[int, int], None] = lambda _done, _of: None,
    callbacks: Sequence[TrainerCallback] = (),
) -> None:
    """Train a copy of the model in `folder` on `lessons`, in their order, and save it to `out`.

    `callbacks`: of the Trainer, `screen.training`'s for example. Adapters of `recipe.lora` are merged before saving.
    Raises ModelError where the loss is no number.
    """
    with _quiet():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), local_files_only=True)
        trained = model if recipe.lora is None else _with_adapters(model, recipe.lora)
        arguments = TrainingArguments(
            output_dir=str(out),
            per_device_train_batch_size=recipe.rows,
            num_train_epochs=1,
            learning_rate=recipe.peak,
            lr_scheduler_type="linear",
            warmup_steps=recipe.warmup,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_strategy="no",
            logging_nan_inf_filter=False,
            seed=seed,
            use_cpu=device == "cpu",
            dataloader_pin_memory=False,
        )
        pad = model.config.pad_token_id if model.config.pad_token_id is not None else 0
        trainer = _InOrder(
            model=trained,
            args=arguments,
            train_dataset=list(lessons),
            data_collator=lambda batch: _collated(batch, pad),
            callbacks=[_Tells(step), *callbacks],
        )
        trainer.remove_callback(PrinterCallback)
        loss = trainer.train().training_loss
        if not (np.isfinite(loss) and all(bool(p.isfinite().all()) for p in trained.parameters())):
            raise ModelError("training ended with weights or a loss that are no numbers", "lower --rate")
        plain: PreTrainedModel = model if recipe.lora is None else trained.merge_and_unload()
        plain.save_pretrained(out)
    for file in folder.iterdir():
        if file.suffix in _KEPT and not (out / file.name).exists() and "index" not in file.name:
            shutil.copyfile(file, out / file.name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own bars and lines: what is to be told is told by `step`."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _with_adapters(model: PreTrainedModel, rank: int) -> PreTrainedModel:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM", use_rslora=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an older name
        adapted: PreTrainedModel = get_peft_model(model, config)
    return adapted


def _collated(batch: Sequence[Lesson], pad: int) -> dict[str, torch.Tensor]:
    """Padded to the right: `input_ids`, `labels` (rows, width) int64, `attention_mask`."""
    width = max(len(lesson.ids) for lesson in batch)
    ids = np.full((len(batch), width), pad, dtype=np.int64)
    labels = np.full((len(batch), width), _IGNORED, dtype=np.int64)
    mask = np.zeros((len(batch), width), dtype=np.int64)
    for row, lesson in enumerate(batch):
        ids[row, : len(lesson.ids)] = lesson.ids
        mask[row, : len(lesson.ids)] = 1
        labels[row, lesson.learnt] = lesson.ids[lesson.learnt]
    tensors = {"input_ids": ids, "labels": labels, "attention_mask": mask}
    return {name: torch.from_numpy(array) for name, array in tensors.items()}
