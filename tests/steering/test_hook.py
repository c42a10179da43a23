"""The one hook: what it adds, where, and that it is gone afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as hf
from torch import nn

from screen.errors import ModelError, VectorError
from screen.steering.hook import blocks_of, steered
from tests.model.architectures import CONFIGS

IDS = torch.arange(12)[None] + 5
Make = Callable[[str], hf.PreTrainedModel]


@pytest.fixture(scope="module")
def make() -> Make:
    made: dict[str, hf.PreTrainedModel] = {}

    def model(kind: str) -> hf.PreTrainedModel:
        if kind not in made:
            torch.manual_seed(0)
            made[kind] = hf.AutoModelForCausalLM.from_config(CONFIGS[kind]()).eval().requires_grad_(False)
        return made[kind]

    return model


def states(model: nn.Module) -> tuple[torch.Tensor, ...]:
    """hidden_states[0], ..., [n], each (tokens, d_model)."""
    return tuple(h[0] for h in model(IDS, output_hidden_states=True).hidden_states)


def hooks(model: nn.Module) -> int:
    """Those of ours: transformers leaves hooks of its own where hidden states were once asked for."""
    found = [f for m in model.modules() for f in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]
    return sum(f.__module__.startswith("screen.") for f in found)


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_the_vector_is_added_at_its_hidden_states_row_and_nowhere_before(make: Make, kind: str) -> None:
    model, shift = make(kind), torch.linspace(-1, 1, 32)
    before = states(model)
    with steered(blocks_of(model), {2: shift}):
        during = states(model)
    torch.testing.assert_close(during[2], before[2] + shift)
    assert torch.equal(during[1], before[1])
    assert not torch.allclose(during[3], before[3])
    assert torch.equal(states(model)[4], before[4])


def test_two_nest_and_the_sums_are_added(make: Make) -> None:
    model, shift = make("llama"), torch.ones(32)
    blocks, before = blocks_of(model), states(model)[2]
    with steered(blocks, {2: shift}):
        with steered(blocks, {2: 2 * shift}):
            torch.testing.assert_close(states(model)[2], before + 3)
            assert hooks(model) == 2
        torch.testing.assert_close(states(model)[2], before + 1)
    assert hooks(model) == 0


def test_an_exception_leaves_the_model_unhooked(make: Make) -> None:
    model = make("llama")
    with pytest.raises(KeyError), steered(blocks_of(model), {1: torch.ones(32), 3: torch.ones(32)}):
        raise KeyError
    assert hooks(model) == 0


def test_it_asks_at_each_pass(make: Make) -> None:
    model, on = make("llama"), True
    before = states(model)[4]
    with steered(blocks_of(model), {2: torch.ones(32)}, when=lambda: on):
        assert not torch.equal(states(model)[4], before)
        on = False
        assert torch.equal(states(model)[4], before)


def test_it_adds_in_the_dtype_of_the_output(make: Make) -> None:
    model = hf.AutoModelForCausalLM.from_config(CONFIGS["llama"]()).to(torch.bfloat16)
    with steered(blocks_of(model), {2: torch.ones(32)}):
        assert states(model)[2].dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("additions", "error", "says"),
    [
        ({0: torch.ones(32)}, ModelError, "cannot steer layer 0: the model has blocks 1 to 4"),
        ({2: torch.ones(32), 5: torch.ones(32)}, ModelError, "cannot steer layer 5"),
        ({2: torch.full((32,), torch.nan)}, VectorError, "cannot add a tensor with NaN or infinity in it at layer 2"),
        ({2: torch.ones(1, 32)}, VectorError, r"cannot add a tensor of shape \[1, 32\] at layer 2"),
    ],
)
def test_what_cannot_be_added_is_refused(
    make: Make, additions: dict[int, torch.Tensor], error: type[ModelError], says: str
) -> None:
    model = make("llama")
    with pytest.raises(error, match=says), steered(blocks_of(model), additions):
        pass
    assert hooks(model) == 0


def test_a_vector_of_another_width_is_refused_not_broadcast(make: Make) -> None:
    model = make("llama")
    with pytest.raises(ModelError, match="1 numbers were to be added"), steered(blocks_of(model), {2: torch.ones(1)}):
        model(IDS)


@pytest.mark.filterwarnings("ignore")
def test_blocks_are_found_below_wrappers(make: Make, tiny_model: Path) -> None:
    from peft import LoraConfig, get_peft_model

    model = hf.AutoModelForCausalLM.from_pretrained(tiny_model)
    blocks = blocks_of(model)
    assert blocks == tuple(model.model.layers)
    assert blocks_of(torch.compile(model)) == blocks
    assert blocks_of(nn.DataParallel(model)) == blocks
    peft = get_peft_model(model, LoraConfig(target_modules=["q_proj"]))
    assert blocks_of(peft) == blocks
    assert blocks_of(torch.compile(nn.DataParallel(peft))) == blocks


def test_what_has_no_blocks_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="Linear is not a transformers model"):
        blocks_of(nn.Linear(2, 2))
    small = hf.T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=9)
    with pytest.raises(ModelError, match="T5ForConditionalGeneration is an encoder-decoder model"):
        blocks_of(hf.T5ForConditionalGeneration(small))
