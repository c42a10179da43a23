"""Extraction for all layers in one pass, against a plain reference on ten architectures; errors and memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers as hf

from screen.building.extraction import AnswerTokens, QuestionMeans, finish
from screen.building.means import BatchedMeans
from screen.model.forward.fused import FAMILIES
from screen.model.forward.plan import Batching
from screen.model.forward.proof import prove
from screen.model.load import load_model

VOCAB = 61
SIZES = {
    "vocab_size": VOCAB, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 64, "pad_token_id": 0,
}  # fmt: skip
CONFIGS: dict[str, Callable[[], Any]] = {
    "llama": lambda: hf.LlamaConfig(**SIZES),
    "qwen2": lambda: hf.Qwen2Config(**SIZES),
    "qwen3": lambda: hf.Qwen3Config(**SIZES),
    "mistral": lambda: hf.MistralConfig(**SIZES, sliding_window=8),
    "gemma2": lambda: hf.Gemma2Config(**SIZES, sliding_window=8),
    "gemma3": lambda: hf.Gemma3TextConfig(**SIZES, sliding_window=8),
    "gpt2": lambda: hf.GPT2Config(vocab_size=VOCAB, n_embd=16, n_layer=2, n_head=2, n_positions=64),
    "gpt_neox": lambda: hf.GPTNeoXConfig(
        vocab_size=VOCAB, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64,
    ),
    "phi3": lambda: hf.Phi3Config(**{**SIZES, "num_key_value_heads": 2}),
    "opt": lambda: hf.OPTConfig(
        vocab_size=VOCAB, hidden_size=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2,
        word_embed_proj_dim=16, max_position_embeddings=64, pad_token_id=0,
    ),
}  # fmt: skip
Grouped = list[tuple[int, AnswerTokens]]


def answers(count: int, seed: int) -> Grouped:
    """Answers of odd lengths to five questions."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        length = int(rng.integers(4, 40))
        start = int(rng.integers(1, length - 1))
        made.append((number % 5, AnswerTokens(rng.integers(1, VOCAB, length).astype(np.int32), start, length)))
    return made


WAYS = {
    "padded": Batching("padded"),
    "alone": Batching("alone"),
    "fused": Batching("packed", "blocks", prefix_sharing=True, fused=True),
}


@pytest.mark.parametrize("mode", ["proved", *WAYS])
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_directions_equal_the_plain_reference(name: str, mode: str, tmp_path: Path) -> None:
    hf.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    plain = hf.AutoModelForCausalLM.from_config(CONFIGS[name]()).eval()
    for weights in plain.parameters():
        if weights.ndim > 1:
            torch.nn.init.normal_(weights, std=0.2)
    plain.save_pretrained(tmp_path)
    model = load_model(name, tmp_path, deepest=None, generate=True, dtype="float32", device="cpu")
    sides = answers(11, 1), answers(14, 2)
    if mode == "fused" and type(model.blocks[0]).__name__ not in FAMILIES:
        pytest.skip("a model without fused blocks")
    batching = WAYS[mode] if mode in WAYS else prove(model, range(3)).batching
    means = [QuestionMeans(BatchedMeans(model, batching, tokens=150)) for _ in sides]
    for mean, side in zip(means, sides, strict=True):
        mean.add(side[:3])
        mean.add(side[3:])  # as chunks come
    got = finish(means[0], means[1]).direction
    want = reference(plain, sides[0]) - reference(plain, sides[1])
    assert got.shape == (3, 16)
    np.testing.assert_allclose(got, want, atol=1e-5)


@torch.no_grad()
def reference(plain: Any, side: Grouped) -> npt.NDArray[np.float64]:
    """Batch 1, every hidden state."""
    each = []
    for _, (ids, start, end) in side:
        states = plain(torch.tensor(ids[None].astype(np.int64)), output_hidden_states=True).hidden_states
        each.append(np.stack([h[0, start:end].double().mean(0).numpy() for h in states]))
    return np.asarray(np.mean(each, axis=0))


class Fake:
    """A model whose answer means are drawn from the answer's own tokens."""

    def __init__(self, shape: tuple[int, int] = (3, 8)) -> None:
        self.shape = shape

    def answer_means(self, given: Iterable[AnswerTokens]) -> Iterator[npt.NDArray[np.float64]]:
        for ids, start, end in given:
            rng = np.random.default_rng(int(ids[start:end].sum()))
            yield rng.normal(loc=float(ids[0] > 30), size=self.shape)


def both(model: Fake, count: int) -> tuple[QuestionMeans, QuestionMeans]:
    sides = QuestionMeans(model), QuestionMeans(model)
    for side, seed in zip(sides, (1, 2), strict=True):
        side.add(answers(count, seed))
    return sides


def test_each_answer_counts_once_however_long_and_whatever_its_question() -> None:
    model = Fake()
    got = finish(*both(model, 41))  # one question has an answer more than the others
    high, low = (np.mean(list(model.answer_means(a for _, a in answers(41, seed))), axis=0) for seed in (1, 2))
    np.testing.assert_allclose(got.direction, high - low, atol=1e-6)


def test_errors_shrink_with_questions_that_agree_and_halves_are_of_questions() -> None:
    model = Fake()
    few, many = finish(*both(model, 40)), finish(*both(model, 640))
    assert many.projection_error.mean() < few.projection_error.mean()
    positive, negative = both(model, 40)
    even, odd = (positive.mean(g) - negative.mean(g) for g in ([0, 2, 4], [1, 3]))
    cosine = (even * odd).sum(1) / np.linalg.norm(even, axis=1) / np.linalg.norm(odd, axis=1)
    np.testing.assert_allclose(few.split_half, cosine)


def test_the_error_is_that_of_independent_questions() -> None:
    """Means of questions drawn anew differ as the error says."""
    rng = np.random.default_rng(0)
    found, said = [], []
    for _ in range(200):
        values = {True: rng.normal(3.0, 1.0, (12, 1, 4)), False: rng.normal(0.0, 1.0, (12, 1, 4))}
        sides = []
        for which in (True, False):
            side = QuestionMeans(Given(values[which]))  # type: ignore[arg-type]
            side.add((q, AnswerTokens(np.array([q, q], dtype=np.int32), 0, 1)) for q in range(12))
            sides.append(side)
        made = finish(sides[0], sides[1])
        found.append(made.direction[0].mean() * 2)  # along the true direction, of length one
        said.append(made.projection_error[0])
    assert np.mean(said) == pytest.approx(np.std(found), rel=0.2)


class Given:
    def __init__(self, values: npt.NDArray[np.float64]) -> None:
        self.values = values

    def answer_means(self, given: Iterable[AnswerTokens]) -> Iterator[npt.NDArray[np.float64]]:
        for ids, _, _ in given:
            yield self.values[int(ids[0])]


def test_a_question_that_one_side_lacks_does_no_harm() -> None:
    model = Fake()
    positive, negative = QuestionMeans(model), QuestionMeans(model)
    positive.add([pair for pair in answers(30, 1) if pair[0] in (0, 2)])
    negative.add(answers(30, 2))
    made = finish(positive, negative)
    assert np.isfinite(made.projection_error).all()
    assert np.isnan(made.split_half).all()  # no odd question on the positive side


def test_permuted_directions_swap_the_sides_of_half_of_the_questions() -> None:
    positive, negative = both(Fake(), 40)
    made = finish(positive, negative, permutations=3)
    gaps = np.stack([positive.mean([g]) - negative.mean([g]) for g in range(5)])
    signs = [np.linalg.lstsq(gaps.reshape(5, -1).T, p.reshape(-1), rcond=None)[0] * 5 for p in made.permuted]
    np.testing.assert_allclose(np.sort(np.round(signs)), np.tile([-1, -1, -1, 1, 1], (3, 1)))


def test_memory_does_not_grow_with_the_answers() -> None:
    def peak(count: int) -> int:
        side = QuestionMeans(Fake((12, 256)))
        tracemalloc.start()
        side.add((n % 5, answer) for n, (_, answer) in zip(range(count), forever(), strict=False))
        _, high = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return high

    peak(20)
    assert peak(2000) < 1.05 * peak(200)


def forever() -> Iterator[tuple[int, AnswerTokens]]:
    some = answers(50, 3)
    while True:
        yield from some
