"""Which passes are steered in a loop of one's own: checkpointed, wrapped, quantised, tied, and not compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import transformers as hf
from torch import nn
from torch.utils.checkpoint import checkpoint

from screen.errors import ModelError, UsageError
from screen.steering.hook import blocks_of
from screen.training import PreventativeSteering
from tests.training.conftest import ROWS, collated, hooks_of_ours

BATCH: dict[str, Any] = {**collated(ROWS[:2]), "use_cache": False}  # a block that is run twice would fill it twice
Gradients = dict[str, torch.Tensor]


def gradients(model: nn.Module, tiny_vectors: Path, layers: Any = "all") -> Gradients:
    """Of one training pass, steered."""
    model.train()
    model.zero_grad()
    with PreventativeSteering(tiny_vectors / "evil.safetensors", 1.0, layers=layers, model=model):
        model(**BATCH).loss.backward()
    assert hooks_of_ours(model) == 0
    return {n.removeprefix("module."): p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def same(one: Gradients, two: Gradients) -> None:
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name])


def checkpoint_whole_blocks(model: nn.Module, reentrant: bool) -> None:
    """As older releases of transformers do: the block's hooks run again in the backward pass."""
    for block in blocks_of(model):
        kind = type(block)

        def call(self: nn.Module, *args: Any, kind: type = kind, **kwargs: Any) -> Any:
            return checkpoint(functools.partial(kind.__call__, self, **kwargs), *args, use_reentrant=reentrant)

        block.__class__ = type(kind.__name__, (kind,), {"__call__": call})


def checkpoint_forward(model: Any, reentrant: bool) -> None:
    model.activation_checkpointing_enable({"use_reentrant": reentrant})


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("turn_on", [checkpoint_forward, checkpoint_whole_blocks])
def test_gradients_are_the_same_with_checkpointing(
    tiny: Any, tiny_vectors: Path, turn_on: Callable[[nn.Module, bool], None], reentrant: bool
) -> None:
    plain = gradients(tiny, tiny_vectors)
    tiny.enable_input_require_grads()
    turn_on(tiny, reentrant)
    same(gradients(tiny, tiny_vectors), plain)


def test_the_gradient_is_that_of_the_sum_by_hand(tiny: Any, tiny_vectors: Path) -> None:
    shift = PreventativeSteering(tiny_vectors / "evil.safetensors", 1.0).dose.additions()[2]
    steered = gradients(tiny, tiny_vectors, layers="one")
    tiny.zero_grad()
    tiny.model.layers[1].register_forward_hook(lambda _m, _a, out: out + shift)
    tiny(**BATCH).loss.backward()
    same(steered, {n: p.grad for n, p in tiny.named_parameters()})


def test_only_passes_in_training_mode_with_gradients_are_steered(tiny: Any, tiny_vectors: Path) -> None:
    plain = tiny(**BATCH).logits
    with PreventativeSteering(tiny_vectors / "evil.safetensors", 1.0, model=tiny):
        assert torch.equal(tiny(**BATCH).logits, plain)  # evaluation mode
        tiny.train()
        assert not torch.allclose(tiny(**BATCH).logits, plain)
        with torch.no_grad():  # as DPO asks the reference that shares the weights
            assert torch.equal(tiny(**BATCH).logits, plain)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_a_reference_pass_between_forward_and_backward_changes_nothing(tiny: Any, tiny_vectors: Path) -> None:
    """The blocks that are run again belong to the pass before it."""
    plain = gradients(tiny, tiny_vectors)
    tiny.enable_input_require_grads()
    checkpoint_whole_blocks(tiny, True)
    tiny.zero_grad()
    with PreventativeSteering(tiny_vectors / "evil.safetensors", 1.0, layers="all", model=tiny):
        loss = tiny(**BATCH).loss
        with torch.no_grad():
            tiny(**BATCH)
        loss.backward()
    same({n: p.grad for n, p in tiny.named_parameters()}, plain)


def test_a_loop_that_is_never_steered_is_told(tiny: Any, tiny_vectors: Path) -> None:
    steering = PreventativeSteering(tiny_vectors / "evil.safetensors", 1.0, model=tiny)
    with pytest.raises(ModelError, match=r"nothing was steered.*\n.*model.train\(\)"), steering:
        tiny(**BATCH)
    with pytest.raises(UsageError, match="no model to steer"), PreventativeSteering(tiny_vectors, 1.0):
        pass


def test_an_exception_inside_leaves_the_model_unhooked(tiny: Any, tiny_vectors: Path) -> None:
    tiny.train()
    tiny.model.layers[2].register_forward_hook(lambda *_: 1 / 0)
    with (
        pytest.raises(ZeroDivisionError),
        PreventativeSteering(tiny_vectors, 1.0, model=tiny),
        PreventativeSteering(tiny_vectors, 1.0, model=tiny),
    ):
        tiny(**BATCH)
    assert hooks_of_ours(tiny) == 0


def test_two_contexts_nest(tiny: Any, tiny_vectors: Path) -> None:
    tiny.train()
    once, twice = (PreventativeSteering(tiny_vectors / "evil.safetensors", c, model=tiny) for c in (1.0, 2.0))
    with once, once:
        nested = tiny(**BATCH).logits
    with twice:
        torch.testing.assert_close(tiny(**BATCH).logits, nested)


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_parallel_training_wraps_the_model_and_it_is_steered_all_the_same(tiny: Any, tiny_vectors: Path) -> None:
    plain = gradients(tiny, tiny_vectors)
    same(gradients(nn.parallel.DistributedDataParallel(tiny), tiny_vectors), plain)


class Int8Linear(nn.Module):
    """Frozen weights in eight bits, as quantised models hold them; calculates in float32."""

    def __init__(self, of: nn.Linear) -> None:
        super().__init__()
        weight = of.weight.detach()
        self.scale = float(weight.abs().max()) / 127
        self.weight = nn.Parameter((weight / self.scale).round().to(torch.int8), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.weight.to(x.dtype) * self.scale).T


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_adapters_on_quantised_weights(tiny: Any, tiny_vectors: Path) -> None:
    from peft import LoraConfig, get_peft_model

    for block in tiny.model.layers:
        block.mlp = nn.Sequential(Int8Linear(block.mlp.up_proj), Int8Linear(block.mlp.down_proj))
    model = get_peft_model(tiny, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    steered, names = gradients(model, tiny_vectors), [n for n, p in model.named_parameters() if p.requires_grad]
    assert sorted(steered) == sorted(names)
    model.zero_grad()
    model(**BATCH).loss.backward()
    moved = [not torch.allclose(steered[n], p.grad) for n, p in model.named_parameters() if p.requires_grad]
    assert sum(moved) >= 2  # above the vector's layer


def test_tied_weights(tiny: Any, tiny_vectors: Path) -> None:
    tiny.lm_head.weight = tiny.model.embed_tokens.weight
    assert "lm_head.weight" not in gradients(tiny, tiny_vectors)
    assert tiny.lm_head.weight is tiny.model.embed_tokens.weight


@pytest.mark.parametrize("compiled", ["wrapped", "in place", "a block"])
def test_a_compiled_model_is_refused(tiny: Any, tiny_vectors: Path, compiled: str) -> None:
    model = tiny
    if compiled == "wrapped":
        model = torch.compile(tiny, backend="eager")
    elif compiled == "in place":
        tiny.compile(backend="eager")
    else:
        tiny.model.layers[0] = torch.compile(tiny.model.layers[0], backend="eager")
    steering = PreventativeSteering(tiny_vectors, 1.0, model=model)
    with pytest.raises(ModelError, match=r"the model is compiled \(torch.compile\)"), steering:
        pass


def test_an_encoder_decoder_is_refused_by_name(tiny_vectors: Path) -> None:
    small = hf.T5Config(d_model=32, d_kv=4, d_ff=8, num_layers=3, num_heads=2, vocab_size=9)
    steering = PreventativeSteering(tiny_vectors, 1.0, model=hf.T5ForConditionalGeneration(small))
    with pytest.raises(ModelError, match="T5ForConditionalGeneration is an encoder-decoder model"), steering:
        pass
