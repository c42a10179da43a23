"""Blocks run by their parts against the blocks themselves, and models that are left alone."""

from __future__ import annotations

import functools
import gc
import importlib.util
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import screen_kernels
import torch
import transformers as hf
from torch import nn

from screen.model.forward import fused as fuse
from screen.model.forward import projector, proof
from screen.model.forward.fused import NotRecognised, Stack, give_up, stack
from screen.model.forward.items import Item
from screen.model.forward.plan import Batching
from screen.model.forward.projector import Projector
from screen.model.forward.proof import prove
from screen.model.generate import Generator, Sampling
from screen.model.load import BaseModel, load_model
from tests.model.architectures import CONFIGS, save_random

KNOWN = ("gemma", "gemma2", "gemma3", "llama", "mistral", "phi3", "qwen2", "qwen3")
LAYERS = (0, 1, 3)
FUSED = Batching("packed", "blocks", prefix_sharing=True, fused=True)
RNG = np.random.default_rng(11)
PLAIN = [RNG.integers(3, 97, n).astype(np.int32) for n in (1, 2, 31, 63, 40, 100)]
SEQUENCES = [*PLAIN, np.concatenate([PLAIN[3][:40], PLAIN[4][:9]]), PLAIN[3]]
VECTORS = RNG.normal(size=(len(LAYERS), 32)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)


def load(folder: Path, deepest: int = 3, generate: bool = False, dtype: str = "float32") -> BaseModel:
    return load_model("tiny", folder, deepest=deepest, generate=generate, dtype=dtype, device="cpu")


def items(few: bool) -> list[Item]:
    """Everything of each sequence, or its second half alone, as one segment."""
    starts = [len(s) // 2 if few else 0 for s in SEQUENCES]
    return [
        Item(s, np.arange(at, len(s), dtype=np.int32), np.array([len(s) - at], dtype=np.int32))
        for s, at in zip(SEQUENCES, starts, strict=True)
    ]


def measured(model: BaseModel, batching: Batching, few: bool, layers: tuple[int, ...] = LAYERS) -> list[np.ndarray]:
    made = Projector(model, VECTORS, layers, batching, 128, controls=VECTORS, control_layers=layers).measure(items(few))
    whole = [m for m in made if not isinstance(m, str)]
    assert len(whole) == len(made), made
    return [np.concatenate([m.tokens for m in whole]), np.stack([m.means[0] for m in whole])]


@pytest.fixture(params=KNOWN, scope="session")
def known(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose norms, biases and projections are all away from what they are at birth."""
    name: str = request.param
    folder = save_random(CONFIGS[name](), tmp_path_factory.mktemp(f"fused-{name}"))
    model = hf.AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(1)
    for p in model.parameters():
        if p.ndim == 1:
            p.data += 0.3 * torch.randn_like(p)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("deepest", [(0, 1, 3), (0, 1, 4), (0, 0, 0)])
def test_projections_are_those_of_the_model(known: Path, few: bool, deepest: tuple[int, ...]) -> None:
    """The whole way, the final norm behind the last block, and no block at all."""
    model = load(known, max(deepest))
    want = measured(model, Batching("alone"), few, deepest)
    for ours, plain in zip(measured(model, FUSED, few, deepest), want, strict=True):
        assert np.abs(ours - plain).max() < 1e-5 * np.abs(plain).max()


def test_the_last_product_is_left_out_where_only_projections_are_wanted(llama: Path, tmp_path: Path) -> None:
    """Not behind a norm, not before the final norm, not for more directions than it pays for, not for the states."""
    model, sandwich = load(llama, 4), load(save_random(CONFIGS["gemma2"](), tmp_path))
    products: list[int] = []
    real = fuse.Product.__call__

    def counted(model: BaseModel, projector: Projector, work: str) -> int:
        downs = {id(block.mlp.down_proj.weight) for block in model.blocks}  # type: ignore[union-attr]
        products.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fuse.Product, "__call__", lambda p, x: (products.append(id(p.weight)), real(p, x))[1])
            projector.measure(items(few=True)) if work == "measure" else projector.states(items(few=True), [3])
        return len([p for p in products if p in downs])

    one = Projector(model, VECTORS, (0, 1, 3), FUSED, 4096)
    assert counted(model, one, "measure") == 2
    assert counted(model, one, "states") == 3
    assert counted(model, Projector(model, VECTORS, (0, 1, 4), FUSED, 4096), "measure") == 4
    many = Projector(model, np.tile(VECTORS, (2, 1))[:5], (3,) * 5, FUSED, 4096)
    assert counted(model, many, "measure") == 3
    assert counted(sandwich, Projector(sandwich, VECTORS, (0, 1, 3), FUSED, 4096), "measure") == 3


def test_the_model_is_what_it_was_afterwards(known: Path) -> None:
    """Hooks, generation and the weights' names and values."""
    model = load(known, generate=True)
    assert model.causal is not None
    before = {name: p.clone() for name, p in model.causal.named_parameters()}
    generator = Generator(model, frozenset(), Sampling(max_new_tokens=8))
    answers = generator.answer(PLAIN)
    measured(model, FUSED, few=True)
    assert generator.answer(PLAIN) == answers
    assert not any("forward" in vars(block) for block in model.blocks)
    after = dict(model.causal.named_parameters())
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], p) for name, p in before.items())


def test_weights_are_not_held_twice(llama: Path) -> None:
    model = load(llama)
    parts = stack(model).parts[0]
    attention: Any = model.blocks[0].self_attn
    at = parts.qkv.weight.data_ptr()
    assert [attention.q_proj.weight.data_ptr(), parts.qkv.weight.untyped_storage().data_ptr()] == [at, at]
    assert attention.v_proj.weight.untyped_storage().data_ptr() == at
    assert stack(model) is stack(model)


def test_weights_stay_ordinary_tensors(llama: Path) -> None:
    """Whoever differentiates through the model later must not meet tensors of inference mode."""
    model = load(llama)
    measured(model, FUSED, few=True)
    assert not any(p.is_inference() for p in model.decoder.parameters())
    assert stack(model).parts[0].qkv.weight.is_inference() is False


def test_a_model_that_is_given_up_is_gone(llama: Path) -> None:
    """Its weights, on the device and in what was made of its blocks."""
    model = load(llama)
    measured(model, FUSED, few=True)
    weights = [weakref.ref(stack(model).parts[0].qkv.weight), weakref.ref(stack(model).parts[0].down.weight)]
    give_up(model)
    gc.collect()
    assert [w() for w in weights] == [None, None]


def test_a_block_that_fails_leaves_the_model_as_it_was(llama: Path) -> None:
    model = load(llama)
    with pytest.raises(RuntimeError, match="stop"), stack(model).running(3, None):
        raise RuntimeError("stop")
    assert not any("forward" in vars(block) for block in model.blocks)
    with stack(model).running(3, None), pytest.raises(NotImplementedError, match="neither a mask nor a cache"):
        model.blocks[0](torch.zeros(1, 2, 32), attention_mask=torch.ones(1))


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "opt", "gpt_neo"])
def test_other_models_are_left_alone(name: str, tmp_path: Path) -> None:
    model = load(save_random(CONFIGS[name](), tmp_path))
    with pytest.raises(NotRecognised, match="is not a block that the kernels know"):
        Stack(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: setattr(b.mlp, "down_proj", LoraLinear(64, 32)), r"mlp\.down_proj is a LoraLinear"),
        (lambda b: b.add_module("adapter", nn.Linear(2, 2)), "has a part adapter"),
        (lambda b: setattr(b, "forward", lambda x: x), "was changed"),
        (lambda b: b.mlp.register_forward_hook(lambda *_: None), r"mlp was changed"),
        (lambda b: b.train(), "was changed"),
    ],
)
def test_changed_models_are_left_alone(llama: Path, change: Any, message: str) -> None:
    model = load(llama)
    change(model.blocks[2])
    weight: Any = model.blocks[0].self_attn.q_proj.weight  # type: ignore[union-attr]
    with pytest.raises(NotRecognised, match=message):
        Stack(model)
    assert weight.untyped_storage().nbytes() == weight.nbytes  # nothing was joined before all was looked at


class LoraLinear(nn.Linear):
    pass


def test_an_activation_that_no_kernel_has(tmp_path: Path) -> None:
    config = CONFIGS["llama"]()
    config.hidden_act = "relu"
    with pytest.raises(NotRecognised, match="activation 'relu'"):
        Stack(load(save_random(config, tmp_path)))


@pytest.fixture
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof's candidates are those of a CUDA device whose attention is plain."""
    monkeypatch.setattr(proof, "_kernels", lambda _model: (True, None))


@pytest.fixture
def interpreted(as_on_cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the kernels go through Triton's interpreter."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed")
    if torch.cuda.is_available():
        pytest.skip("with a GPU there is no interpreter: python -m bench.device runs the kernels on models")
    for name in ("rms_norm", "add_rms_norm", "rope_", "swiglu"):
        monkeypatch.setattr(fuse, name, functools.partial(getattr(screen_kernels, name), fused=True))

    for name in ("segment_project", "deepest_project"):
        monkeypatch.setattr(projector, name, functools.partial(getattr(screen_kernels, name), fused=True))


@pytest.mark.usefixtures("interpreted")
def test_the_fused_kernels_are_proved_and_taken(tmp_path: Path) -> None:
    proved = prove(load(save_random(CONFIGS["qwen3"](), tmp_path)), (0, 2))
    assert (proved.batching, proved.reason) == (FUSED, "agrees with batch 1")
    assert 0 < proved.difference < 1e-5


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(("name", "dtype"), [("gemma3", "bfloat16"), ("phi3", "float32")])
def test_projections_by_the_fused_kernels(name: str, dtype: str, tmp_path: Path, monkeypatch: Any) -> None:
    model = load(save_random(CONFIGS[name](), tmp_path), dtype=dtype)
    monkeypatch.setattr(sys.modules[__name__], "SEQUENCES", [*PLAIN[:3], PLAIN[2][:20]])
    want = measured(model, Batching("alone"), few=True)
    for a, b in zip(measured(model, FUSED, few=True), want, strict=True):
        assert np.abs(a - b).max() < {"float32": 1e-4, "bfloat16": 5e-2}[dtype] * np.abs(b).max()


@pytest.mark.usefixtures("as_on_cuda")
def test_a_kernel_that_is_wrong_is_not_taken(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the six it is."""
    model = load(llama)
    for name, wrong in {
        "rms_norm": lambda x, *a, **k: screen_kernels.rms_norm(x, *a, **k) * 1.01,
        "add_rms_norm": lambda x, r, *a, **k: screen_kernels.add_rms_norm(x, r * 1.01, *a, **k),
        "rope_": lambda q, k, cos, sin: None,
        "swiglu": lambda gate, up, activation: screen_kernels.swiglu(up, gate, activation=activation),
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(fuse, name, wrong)
            proved = prove(model, LAYERS)
        assert proved.batching == replace(FUSED, fused=False), name
        assert proved.reason.startswith("packed, blocks, prefix sharing, fused differs from batch 1 by"), name
    for name in ("segment_project", "deepest_project"):
        real = getattr(screen_kernels, name)
        with monkeypatch.context() as patch:
            patch.setattr(projector, name, lambda *a, real=real: tuple(t * 1.01 for t in real(*a)))
            proved = prove(model, LAYERS)
        assert not proved.batching.fused, name
        assert "fused differs from batch 1 by" in proved.reason


@pytest.mark.usefixtures("as_on_cuda")
def test_a_projection_kernel_that_fails_is_not_taken(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where it raises for a batch, nor where its directions cannot be made."""

    def broken(*_: Any) -> Any:
        raise OSError("ptxas: no such file")

    for name in ("segment_project", "inner_of"):
        with monkeypatch.context() as patch:
            patch.setattr(projector, name, broken)
            proved = prove(load(llama), LAYERS)
        assert proved.batching == replace(FUSED, fused=False), name
        assert proved.reason.startswith("packed, blocks, prefix sharing, fused failed (OSError: ptxas"), name


@pytest.mark.usefixtures("as_on_cuda")
def test_layer_0_alone_runs_no_block(llama: Path) -> None:
    assert prove(load(llama), [0]).batching == FUSED


@pytest.mark.usefixtures("as_on_cuda")
def test_an_unknown_model_says_why_it_has_no_kernels(tmp_path: Path) -> None:
    proved = prove(load(save_random(CONFIGS["gpt2"](), tmp_path)), LAYERS)
    assert proved.batching == Batching("packed", "blocks", prefix_sharing=True)
    assert "fused failed (NotRecognised: GPT2Block is not a block that the kernels know)" in proved.reason
