"""Answers and rows that end one before, at, and one past the context: learned positions, rotary ones, own masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from screen.model.forward.items import Item
from screen.model.forward.projector import Projector
from screen.model.forward.proof import prove
from screen.model.generate import Generator, Response, Sampling
from screen.model.load import BaseModel, load_model
from screen.steering.hook import steered
from tests.model.architectures import CONFIGS, save_random

CONTEXT = 256
MODELS = ("gpt_neo", "gpt2", "opt", "llama")
RNG = np.random.default_rng(0)
PROMPTS = [RNG.integers(3, 97, n).astype(np.int32) for n in (40, 214, 226, 254, 255, 256)]


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    folder = save_random(CONFIGS[request.param](), tmp_path_factory.mktemp(request.param))
    return load_model("test", folder, deepest=None, generate=True, dtype="float32", device="cpu")


@torch.inference_mode()
def plain(model: BaseModel, prompt: np.ndarray, most: int) -> tuple[int, ...]:
    """Greedy tokens, everything run anew for each: no cache, no padding."""
    ids = prompt.tolist()
    assert model.causal is not None
    while len(ids) < min(CONTEXT, len(prompt) + most):
        ids.append(int(model.causal(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return tuple(ids[len(prompt) :])


@pytest.mark.parametrize("most", [2, 42])
def test_answers_to_the_end_of_the_context_are_those_of_plain_decoding(model: BaseModel, most: int) -> None:
    answers = Generator(model, frozenset(), Sampling(max_new_tokens=most)).answer(PROMPTS)
    assert answers[-1] is None  # it leaves no room
    assert answers[:-1] == [Response(plain(model, p, most), truncated=True) for p in PROMPTS[:-1]]


def test_steered_answers_reach_the_end_of_the_context(model: BaseModel) -> None:
    with steered(model.blocks, {2: torch.full((model.d_model,), 0.5)}):
        answers = Generator(model, frozenset(), Sampling(max_new_tokens=40)).answer(PROMPTS[2:5])
        assert answers == [Response(plain(model, p, 40), truncated=True) for p in PROMPTS[2:5]]


def test_rows_that_fill_the_context_score_as_they_do_alone(model: BaseModel) -> None:
    proof = prove(model, [4])
    vectors = np.eye(2, model.d_model, dtype=np.float32)
    projector = Projector(model, vectors, [4, 4], proof.batching, 2048)
    items = [Item(p, np.arange(len(p), dtype=np.int32)) for p in PROMPTS]
    together = projector.project(items)
    for item, got in zip(items, together, strict=True):
        [alone] = projector.project([item])
        np.testing.assert_allclose(np.asarray(got), np.asarray(alone), atol=2e-3)


def test_a_row_one_past_the_context_costs_itself_where_positions_are_learned(model: BaseModel) -> None:
    long = Item(np.full(CONTEXT + 1, 5, dtype=np.int32), np.arange(3, dtype=np.int32))
    short = Item(PROMPTS[0], np.arange(3, dtype=np.int32))
    projector = Projector(model, np.eye(1, model.d_model, dtype=np.float32), [4], prove(model, [4]).batching, 2048)
    past, well = projector.project([long, short])
    assert isinstance(past, str) or np.isfinite(past).all()  # rotary positions have no end
    assert not isinstance(well, str)
