"""Sizes that a model's config claims: whole numbers, within what models have, and not more than the weights hold.

A config is a few bytes that ask for memory: a layer count of a million is built before the first weight is missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from screen.errors import ModelError
from screen.foreign import JsonObject
from screen.tensor_header import TensorEntry

_NEXT = "correct the field, or get the model again from where it is published"
_WIDTH, _LAYERS = ("hidden_size", "n_embd", "d_model"), ("num_hidden_layers", "n_layer", "num_layers")
_VOCAB = "vocab_size"
_SPARE = 4  # weights may be packed, embeddings factorised: so many times the numbers that the files hold
# field -> the most; the largest published models stay well below
_MOST = {
    **dict.fromkeys(_WIDTH, 1 << 18),
    **dict.fromkeys(_LAYERS, 4096),
    _VOCAB: 1 << 24,
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "moe_intermediate_size", "d_ff"), 1 << 22),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "num_key_value_heads", "num_kv_heads"), 1 << 14),
    **dict.fromkeys(("head_dim", "kv_lora_rank", "q_lora_rank", "v_head_dim", "qk_rope_head_dim"), 1 << 16),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "n_shared_experts"), 1 << 14),
    **dict.fromkeys(("max_position_embeddings", "max_seq_len", "seq_length"), 1 << 27),
    **dict.fromkeys(("n_positions", "n_ctx"), 1 << 20),  # learned or tabulated: each takes memory
    **dict.fromkeys(("type_vocab_size", "num_codebooks", "state_size", "conv_kernel", "d_state"), 1 << 20),
}
_LEARNED = frozenset(
    {"gpt2", "gpt_neo", "gptj", "codegen", "opt", "xglm", "biogpt", "gpt_bigcode", "openai-gpt", "ctrl"}
)
_LEARNED_MOST = 1 << 16  # positions where each has a row of its own, or a square mask is kept
_REQUIRED = frozenset((*_WIDTH, *_LAYERS, _VOCAB))


def check_sizes(path: Path, config: JsonObject, tensors: Sequence[TensorEntry]) -> None:
    """`tensors`: all that the weight files hold, or nothing. Raises ModelError naming the field."""
    for place, name, value in _sizes(config):
        _check_value(path, place, name, value)
    kind = config.get("model_type")
    for name in ("max_position_embeddings", "n_positions", "n_ctx"):
        positions = config.get(name)
        if isinstance(kind, str) and kind in _LEARNED and type(positions) is int and positions > _LEARNED_MOST:
            raise _absurd(path, name, positions, f"at most {_LEARNED_MOST:,} for {kind!r}")
    if tensors:
        held = sum(tensor.numbers for tensor in tensors)
        for part in (config, config.get("text_config")):
            if isinstance(part, dict):
                _check_held(path, part, held, len(tensors))


def _check_value(path: Path, place: str, name: str, value: object) -> None:
    least = 1 if name in _REQUIRED else 0
    if value is None and (name not in _REQUIRED or "." in place):
        return
    for one in value if isinstance(value, list) and name not in _REQUIRED else [value]:
        if type(one) is not int or not least <= one <= _MOST[name]:
            raise _absurd(path, place, one, f"a whole number from {least} to {_MOST[name]:,}")


def _check_held(path: Path, config: JsonObject, held: int, tensors: int) -> None:
    """What the config makes of the model must be there: an embedding, and layers of a width."""
    width = next((config[name] for name in _WIDTH if name in config), 0)
    layers_name = next((name for name in _LAYERS if name in config), "")
    layers = config.get(layers_name, 0)
    if layers > tensors:
        raise _absurd(path, layers_name, layers, f"at most the {tensors:,} tensors of the weights")
    claims = {_VOCAB: config.get(_VOCAB, 0), layers_name: layers * width}
    claims |= {name: n for name in ("intermediate_size", "n_inner", "ffn_dim") if type(n := config.get(name)) is int}
    for name, rows in claims.items():
        if rows * width > _SPARE * held:
            said = f"with a width of {width:,} it stands for {rows * width:,}, and the files hold {held:,}"
            raise _absurd(path, name, config.get(name), f"what the weights are: {said}")


def _sizes(config: JsonObject, place: str = "") -> Iterator[tuple[str, str, object]]:
    """(place, name, value) of every size in a config and the configs inside it."""
    for name, value in config.items():
        here = f"{place}{name}"
        if name in _MOST:
            yield here, name, value
        elif isinstance(value, dict):
            yield from _sizes(value, f"{here}.")


def _absurd(path: Path, place: str, value: object, expected: str) -> ModelError:
    return ModelError(f"{path}: {place} is {str(value)[:60]!r}; it must be {expected}", _NEXT)
