"""A decoder block in fewer and larger steps, for packed batches: the kernels of `screen_kernels` in place of a module
each.

Taken only for the blocks named in FAMILIES, whose parts are checked one by one, and only where the proof
(`proof.py`) finds its states equal to the block's own. The block's modules and their hooks stay: inside
`Stack.running` a block's `forward` is another one, after it the block is what it was, and generation never meets it.

One product gives queries, keys and values, one the gate and the up projection: their weights are laid side by side
once, and the modules' own parameters become views of that, so that nothing is held twice. A block ends with the sum
and the next block's norm in one step. Of the deepest block, output projection and MLP are run for the tokens whose
states are wanted alone, and where only their projections are wanted, its last product is left out (PERFORMANCE.md, K5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import torch
from screen_kernels import add_rms_norm, rms_norm, rope_, swiglu
from screen_kernels.gate import Activation
from torch import nn
from torch.nn.functional import linear

from screen.model.forward.packing import attend
from screen.model.load import BaseModel

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class Family(NamedTuple):
    """What a kind of block does differently from Llama's.

    window    where its attention's window stands: in the attention module, in the config, or nowhere
    one_plus  its norms multiply by 1 + weight in float32 (Gemma)
    sandwich  attention and MLP have a norm behind them too
    """

    window: str = ""
    one_plus: bool = False
    sandwich: bool = False


FAMILIES = {
    "LlamaDecoderLayer": Family(),
    "Qwen2DecoderLayer": Family("module"),
    "Qwen3DecoderLayer": Family("module"),
    "MistralDecoderLayer": Family("config"),
    "Phi3DecoderLayer": Family("config"),
    "GemmaDecoderLayer": Family(one_plus=True),
    "Gemma2DecoderLayer": Family("module", one_plus=True, sandwich=True),
    "Gemma3DecoderLayer": Family("module", one_plus=True, sandwich=True),
}
_ACTIVATIONS: dict[str, Activation] = {"silu": "silu", "swish": "silu", "gelu_pytorch_tanh": "gelu_tanh"}


class NotRecognised(Exception):
    """Why a model's blocks stay as they are."""


class Norm(NamedTuple):
    weight: torch.Tensor
    eps: float
    one_plus: bool

    def __call__(self, x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        return rms_norm(x, self.weight, self.eps, one_plus=self.one_plus, cast_first=not self.one_plus, out=out)

    def of_sum(self, x: torch.Tensor, residual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(norm of x + residual, x + residual)"""
        return add_rms_norm(x, residual, self.weight, self.eps, one_plus=self.one_plus, cast_first=not self.one_plus)


class Product(NamedTuple):
    """x (tokens, in) -> (tokens, out)"""

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return linear(x, self.weight, self.bias)


class BlockParts(NamedTuple):
    """A block's steps, in their order."""

    before: Norm
    qkv: Product
    heads: int
    kv_heads: int
    head_dim: int
    q_norm: Norm | None
    k_norm: Norm | None
    scale: float
    window: int | None
    softcap: float | None
    o: Product
    after: Norm | None
    before_mlp: Norm
    gate_up: Product
    activation: Activation
    down: Product
    after_mlp: Norm | None


class Halves(NamedTuple):
    """A block's output in two: its state is mid + down(act). mid (tokens, d_model), act (tokens, inner)."""

    mid: torch.Tensor
    act: torch.Tensor


class Stack:
    """A model's blocks, taken to parts. Raises NotRecognised where that cannot be done."""

    def __init__(self, model: BaseModel) -> None:
        self.blocks = model.blocks
        config = model.config.get_text_config()
        for block in self.blocks:
            _check(block, config)
        self.parts = [_parts(block, config) for block in self.blocks]
        self._normed: tuple[torch.Tensor, torch.Tensor] | None = None  # a block's output, and the next one's norm of it
        self.halves: Halves | None = None  # of the deepest block, where they were asked for

    def last_product(self, layer: int) -> Product | None:
        """What hidden_states[layer] ends with, where it is a sum of that and what came before: not behind a norm."""
        inside = 0 < layer <= len(self.parts) and self.parts[layer - 1].after_mlp is None
        return self.parts[layer - 1].down if inside else None

    @contextmanager
    def running(self, deepest: int, rows: torch.Tensor | None, halved: bool = False) -> Iterator[None]:
        """Run the blocks by their parts inside the block. With `rows`, (n,) int64 places of tokens, block `deepest`
        (the first is 1) gives (1, n, d_model): these tokens' states alone. With `halved` it gives `halves` instead,
        and a state that is not whole."""
        for at, block in enumerate(self.blocks):
            here = at + 1 == deepest
            block.forward = self._forward(at, rows if here else None, last=at + 1 >= deepest, halved=halved and here)
        try:
            yield
        finally:
            self._normed = self.halves = None
            for block in self.blocks:
                del block.forward

    def _forward(self, at: int, rows: torch.Tensor | None, last: bool, halved: bool) -> Callable[..., torch.Tensor]:
        parts = self.parts[at]
        following = None if last or at + 1 == len(self.parts) else self.parts[at + 1].before

        def forward(
            hidden_states: torch.Tensor,
            attention_mask: object = None,
            position_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None,
            past_key_values: object = None,
            **_: object,
        ) -> torch.Tensor:
            if attention_mask is not None or past_key_values is not None or position_embeddings is None:
                raise NotImplementedError("a fused block takes rotary positions, and neither a mask nor a cache")
            known = self._normed
            ready = known[1] if known is not None and known[0] is hidden_states else None
            halves = _to_last_product(parts, hidden_states[0], ready, position_embeddings, rows)
            if halved:
                self.halves = halves
                return halves.mid[None]
            hidden, normed = _whole(parts, halves, following)
            out = hidden[None]
            self._normed = None if normed is None else (out, normed)
            return out

        return forward


def _to_last_product(
    parts: BlockParts,
    hidden: torch.Tensor,
    normed: torch.Tensor | None,
    positions: tuple[torch.Tensor, torch.Tensor],
    rows: torch.Tensor | None,
) -> Halves:
    """hidden (tokens, d_model), normed: the first norm of it, if known. Of `rows` alone, where they are given."""
    cos, sin = (t[0] for t in positions)
    qkv = parts.qkv(parts.before(hidden) if normed is None else normed)
    qkv = qkv.view(len(hidden), -1, parts.head_dim)
    q, k, v = torch.split(qkv, [parts.heads, parts.kv_heads, parts.kv_heads], dim=1)
    if parts.q_norm is not None and parts.k_norm is not None:
        parts.q_norm(q, out=q)
        parts.k_norm(k, out=k)
    rope_(q, k, cos, sin)
    mixed = attend(q, k, v, parts.scale, parts.window, parts.softcap).flatten(1)
    if rows is not None:
        mixed, hidden = mixed.index_select(0, rows), hidden.index_select(0, rows)
    mixed = parts.o(mixed)
    if parts.after is not None:
        mixed = parts.after(mixed, out=mixed)
    x, hidden = parts.before_mlp.of_sum(mixed, hidden)
    gate, up = parts.gate_up(x).chunk(2, dim=-1)
    return Halves(hidden, swiglu(gate, up, activation=parts.activation))


def _whole(parts: BlockParts, halves: Halves, following: Norm | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(the block's output, the following norm of it)"""
    made = parts.down(halves.act)
    if parts.after_mlp is not None:
        made = parts.after_mlp(made, out=made)
    if following is None:
        return halves.mid + made, None
    normed, hidden = following.of_sum(made, halves.mid)
    return hidden, normed


_STACKS: WeakKeyDictionary[nn.Module, Stack] = WeakKeyDictionary()


def stack(model: BaseModel) -> Stack:
    """The model's blocks taken to parts, once a model. Raises NotRecognised."""
    if model.decoder not in _STACKS:
        with torch.inference_mode(False):  # the weights' views outlive the pass that asks for them first
            _STACKS[model.decoder] = Stack(model)
    return _STACKS[model.decoder]


def give_up(model: BaseModel) -> None:
    """Let go of a model's weights, on its device and in what was made of its blocks."""
    _STACKS.pop(model.decoder, None)
    (model.causal or model.decoder).to("meta")
    if model.device.type == "cuda":
        torch.cuda.empty_cache()


def _check(block: nn.Module, config: PretrainedConfig) -> None:
    """Raises NotRecognised unless the block is one of FAMILIES, made of the parts that are expected, and changed by
    nobody."""
    name = type(block).__name__
    if name not in FAMILIES or not type(block).__module__.startswith("transformers.models."):
        raise NotRecognised(f"{name} is not a block that the kernels know")
    if "forward" in vars(block) or block.training:
        raise NotRecognised(f"{name} was changed after it was loaded")
    if _activation(config) is None:
        raise NotRecognised(f"the kernels do not know the activation {_activation_name(config)!r}")
    expected = {"qkv_proj", "q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "gate_proj", "up_proj", "down_proj"}
    expected |= {"q_norm", "k_norm", "act_fn", "activation_fn", "self_attn", "mlp", "input_layernorm"}
    expected |= {"post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"}
    expected |= {"resid_attn_dropout", "resid_mlp_dropout"}
    for path, part in block.named_modules():
        last = path.rpartition(".")[2]
        if path and last not in expected:
            raise NotRecognised(f"{name} has a part {path} that the kernels do not know")
        if last.endswith("_proj") and type(part) is not nn.Linear:
            raise NotRecognised(f"{name}.{path} is a {type(part).__name__}, not a plain Linear")
        if path and ("forward" in vars(part) or part._forward_hooks or part._forward_pre_hooks):
            raise NotRecognised(f"{name}.{path} was changed after it was loaded")


def _parts(block: Any, config: PretrainedConfig) -> BlockParts:
    family = FAMILIES[type(block).__name__]
    attention, mlp = block.self_attn, block.mlp

    def norm(module: Any) -> Norm:
        eps = module.variance_epsilon if hasattr(module, "variance_epsilon") else module.eps
        return Norm(module.weight, float(eps), family.one_plus)

    heads, kv_heads = int(config.num_attention_heads), int(config.num_key_value_heads)
    holder = {"module": attention, "config": config, "": None}[family.window]
    window = getattr(holder, "sliding_window", None)
    activation = _activation(config)
    assert activation is not None
    return BlockParts(
        before=norm(block.input_layernorm),
        qkv=_joined(attention, "qkv_proj", ("q_proj", "k_proj", "v_proj")),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=int(attention.head_dim),
        q_norm=norm(attention.q_norm) if hasattr(attention, "q_norm") else None,
        k_norm=norm(attention.k_norm) if hasattr(attention, "k_norm") else None,
        scale=float(attention.scaling),
        window=int(window) if window else None,
        softcap=getattr(attention, "attn_logit_softcapping", None),
        o=Product(attention.o_proj.weight, attention.o_proj.bias),
        after=norm(block.post_attention_layernorm) if family.sandwich else None,
        before_mlp=norm(block.pre_feedforward_layernorm if family.sandwich else block.post_attention_layernorm),
        gate_up=_joined(mlp, "gate_up_proj", ("gate_proj", "up_proj")),
        activation=activation,
        down=Product(mlp.down_proj.weight, mlp.down_proj.bias),
        after_mlp=norm(block.post_feedforward_layernorm) if family.sandwich else None,
    )


def _activation_name(config: PretrainedConfig) -> str:
    return str(getattr(config, "hidden_activation", None) or config.hidden_act)


def _activation(config: PretrainedConfig) -> Activation | None:
    return _ACTIVATIONS.get(_activation_name(config))


def _joined(module: nn.Module, whole: str, names: Sequence[str]) -> Product:
    """The product of a module's Linears side by side; their own parameters become views of its."""
    if hasattr(module, whole):
        one = cast(nn.Linear, getattr(module, whole))
        return Product(one.weight, one.bias)
    linears = [cast(nn.Linear, getattr(module, name)) for name in names]
    if any(one.bias is None for one in linears) and any(one.bias is not None for one in linears):
        raise NotRecognised(f"some of {', '.join(names)} have a bias and some have none")
    ends = [one.out_features for one in linears]
    joined = []
    for name in ("weight", "bias") if linears[0].bias is not None else ("weight",):
        with torch.no_grad():
            side_by_side = torch.cat([getattr(one, name) for one in linears])
        for one, view in zip(linears, torch.split(side_by_side, ends), strict=True):
            getattr(one, name).data = view
        joined.append(side_by_side)
    return Product(joined[0], joined[1] if len(joined) == 2 else None)
