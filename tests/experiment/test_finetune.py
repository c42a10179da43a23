"""Fine-tuning the tiny model: what is learnt, what is saved, and that a seed decides it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from screen.errors import ModelError
from screen.experiment.finetune import Lesson, _collated, fine_tune
from screen.experiment.recipe import Recipe


def some_lessons(count: int = 12) -> list[Lesson]:
    """The same continuation after different beginnings; only its tokens are learnt."""
    said = np.array([7, 8, 9, 10], np.int32)
    return [
        Lesson(np.concatenate([np.array([3, 4 + i % 3], np.int32), said]), np.arange(2, 6, dtype=np.int32))
        for i in range(count)
    ]


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def test_a_seed_gives_the_same_weights_and_they_have_moved(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        fine_tune(tiny_model, some_lessons(), Recipe(rate=1e-2, rows=4), 1, tmp_path / name)
    one, two, before = weights(tmp_path / "one"), weights(tmp_path / "two"), weights(tiny_model)
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert any(not np.array_equal(one[name], before[name]) for name in before)
    assert (tmp_path / "one" / "tokenizer.json").read_bytes() == (tiny_model / "tokenizer.json").read_bytes()


def test_adapters_are_merged(tiny_model: Path, tmp_path: Path) -> None:
    fine_tune(tiny_model, some_lessons(), Recipe(rate=1e-2, rows=4, lora=2), 1, tmp_path / "out")
    after, before = weights(tmp_path / "out"), weights(tiny_model)
    assert set(after) == set(before)
    moved = {name for name in before if not np.allclose(after[name], before[name])}
    assert moved
    assert all("proj" in name for name in moved)  # linear layers alone


def test_padding_and_the_prompt_are_not_learnt() -> None:
    long, short = some_lessons(2)[0], Lesson(np.array([3, 7], np.int32), np.array([1], np.int32))
    batch = _collated([long, short], pad=0)
    assert batch["labels"].tolist() == [[-100, -100, 7, 8, 9, 10], [-100, 7, -100, -100, -100, -100]]
    assert batch["attention_mask"].tolist() == [[1] * 6, [1, 1, 0, 0, 0, 0]]


def test_a_rate_that_breaks_the_model_is_told(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no numbers"):
        fine_tune(tiny_model, some_lessons(20), Recipe(rate=1e38, rows=4, warmup=0.0), 1, tmp_path / "out")
