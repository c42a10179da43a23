"""Difference of means against a plain reference: batch 1, all hidden states (METHOD 1.5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf

from screen.errors import VectorError
from screen.model.load import load_model
from screen.model.means import LayerMeans
from screen.vectors.extract import AnswerTokens, extract

RNG = np.random.default_rng(3)


def answers(n: int) -> list[AnswerTokens]:
    made = []
    for _ in range(n):
        length = int(RNG.integers(3, 40))
        start = int(RNG.integers(1, length - 1))
        made.append(AnswerTokens(RNG.integers(0, 256, length).astype(np.int32), start, length))
    return made


def test_vectors_equal_the_plain_reference(tiny_model: Path) -> None:
    positives, negatives = answers(12), answers(17)
    model = load_model("tiny", tiny_model, deepest=None, generate=False, dtype="float32", device="cpu")
    got = extract(LayerMeans(model, batch=5), positives, negatives)
    plain = hf.AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()

    def side(chosen: list[AnswerTokens]) -> np.ndarray:
        means = []
        for ids, start, end in chosen:
            with torch.no_grad():
                states = plain(torch.tensor(ids[None].astype(np.int64)), output_hidden_states=True).hidden_states
            means.append(np.stack([h[0, start:end].numpy().astype(np.float64).mean(0) for h in states]))
        return np.mean(means, axis=0)

    want = side(positives) - side(negatives)
    assert got.shape == (4, 32)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_each_answer_counts_once_however_long(tiny_model: Path) -> None:
    """A mean of per-answer means: one long answer weighs no more than a short one."""
    model = load_model("tiny", tiny_model, deepest=None, generate=False, dtype="float32", device="cpu")
    means = LayerMeans(model)
    short, long = AnswerTokens(np.array([1, 2], dtype=np.int32), 1, 2), answers(1)[0]
    each = list(means.answer_means([short, long]))
    got = extract(means, [short, long], [short], minimum=1)
    np.testing.assert_allclose(got, (each[0] + each[1]) / 2 - each[0], atol=1e-6)


def test_too_few_answers_end_with_the_counts(tiny_model: Path) -> None:
    model = load_model("tiny", tiny_model, deepest=None, generate=False, dtype="float32", device="cpu")
    with pytest.raises(VectorError, match="only 4 answers that show the trait were kept; 10 are needed"):
        extract(LayerMeans(model), answers(4), answers(20))
