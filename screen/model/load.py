"""Load a base model to the deepest layer needed. Knows nothing of datasets, templates or scores."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from screen.errors import ModelError
from screen.model.fingerprint import config_sha256, weights_sha256
from screen.model.folder import check_folder, weights_of
from screen.model.place import local_folder
from screen.model.processor import limit_threads, slow_bfloat16

if TYPE_CHECKING:
    from transformers import AutoModel, PretrainedConfig, PreTrainedModel

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class BaseModel:
    """A causal language model ready to be scored, and, where it was loaded whole, to answer."""

    decoder: nn.Module  # gives hidden states; truncated to `loaded_layers` blocks
    blocks: tuple[nn.Module, ...]
    causal: nn.Module | None  # the whole model with its head, for generation
    name: str
    folder: Path
    n_layers: int  # blocks of the whole model
    loaded_layers: int
    d_model: int
    vocab_size: int
    context: int  # longest sequence the model takes
    device: torch.device
    dtype: torch.dtype
    notes: tuple[str, ...] = field(default=())  # fallbacks taken, for the record

    @property
    def config(self) -> PretrainedConfig:
        """The configuration that the blocks share."""
        return self.decoder.config

    @property
    def apart(self) -> int | None:
        """Where rotary positions change with a batch's longest sequence (longrope: Phi-3 with a long context), the
        length beyond which they do: longer sequences and others must not meet in a batch. None for other models."""
        rope = getattr(self.config.get_text_config(), "rope_parameters", None) or {}
        kinds = [rope, *(v for v in rope.values() if isinstance(v, dict))]
        lengths = [k.get("original_max_position_embeddings") for k in kinds if k.get("rope_type") == "longrope"]
        return min((int(n) for n in lengths if n), default=None)


def resolve(name: str, pocket: Path) -> Path:
    """The local folder of a model: `pocket`, a path, or a hub id (fetched, or found in the hub's own cache)."""
    if name == "pocket":
        return pocket
    if (here := local_folder(name)) is not None:
        check_folder(here)
        return here
    from huggingface_hub import snapshot_download

    try:
        ignore = ["*.pt", "*.pth", "*.gguf", "*.onnx", "*.h5", "*.msgpack", "original/*"]
        fetched = Path(snapshot_download(name, ignore_patterns=ignore))
    except Exception as error:
        reason = str(error).splitlines()[0].split(". ")[0][:200].rstrip(".") if str(error) else type(error).__name__
        raise ModelError(
            f"the model {name!r} is neither a folder here nor to be had from the hub ({reason})",
            "check the id and the connection, or give --model a local folder; without it the embedded model is used",
        ) from None
    check_folder(fetched)
    return fetched


def load_model(name: str, folder: Path, *, deepest: int | None, generate: bool, dtype: str, device: str) -> BaseModel:
    """Load `folder`. `deepest` is the deepest hidden_states row needed, None for all of them.

    With `generate` the whole model and its head are kept; otherwise only the first `deepest` blocks are read.
    """
    if device == "cpu":
        limit_threads()
    check_folder(folder)
    config = _config(folder)
    text = config.get_text_config()
    n_layers = int(text.num_hidden_layers)
    keep = n_layers if deepest is None or generate else max(1, min(deepest, n_layers))
    model, notes = _load(folder, config, keep, generate, dtype)
    root = model.eval().requires_grad_(False).to(device)
    decoder = root.base_model if generate else root
    blocks = block_stack(decoder, keep if not notes else n_layers)
    if device == "cpu" and dtype == "bfloat16" and (slow := slow_bfloat16()) is not None:
        notes = (*notes, slow)
    return BaseModel(
        decoder=decoder,
        blocks=blocks,
        causal=root if generate else None,
        name=name,
        folder=folder,
        n_layers=n_layers,
        loaded_layers=len(blocks),
        d_model=int(text.hidden_size),
        vocab_size=int(decoder.get_input_embeddings().num_embeddings),
        context=_context(text),
        device=torch.device(device),
        dtype=_DTYPES[dtype],
        notes=notes,
    )


def layer_count(folder: Path) -> tuple[int, int]:
    """(blocks, d_model) from the config alone."""
    text = _config(folder).get_text_config()
    return int(text.num_hidden_layers), int(text.hidden_size)


def context_length(folder: Path) -> int:
    """The longest sequence the model takes, in tokens, from the config alone."""
    return _context(_config(folder).get_text_config())


def model_hashes(folder: Path) -> dict[str, str]:
    return {"config": config_sha256(folder), "weights": weights_sha256(folder)}


def _config(folder: Path) -> PretrainedConfig:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        json.dumps(int(config.get_text_config().num_hidden_layers))
    except Exception as error:
        reason = str(error).splitlines()[0][:200]
        raise ModelError(f"{folder}: its config cannot be read ({reason})", "check --model") from None
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{folder} is an encoder-decoder model; projection differences are defined for causal ones",
            "give --model a causal language model",
        )
    return config


def _load(
    folder: Path, config: PretrainedConfig, keep: int, generate: bool, dtype: str
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """(the model, with its head where it is to generate; what to know of how it was loaded)."""
    from transformers import AutoModel, AutoModelForCausalLM

    if not weights_of(folder):
        raise ModelError(f"{folder} holds no weights (model.safetensors)", "check --model, or fetch the weights")
    options = {"dtype": _DTYPES[dtype], "trust_remote_code": False, "use_safetensors": True}
    if generate:
        return _from_pretrained(AutoModelForCausalLM, folder, config, options), ()
    short = truncated(config, keep)
    try:
        return _from_pretrained(AutoModel, folder, short, options), ()
    except ModelError as error:
        if keep == int(config.get_text_config().num_hidden_layers):
            raise
        whole = _from_pretrained(AutoModel, folder, config, options)
        return whole, (f"loaded whole, not cut to {keep} layers: {error.message}",)


def _from_pretrained(
    kind: type[AutoModel], folder: Path, config: PretrainedConfig, options: Mapping[str, object]
) -> PreTrainedModel:
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # cut-off layers are "unexpected keys" to transformers
    logging.disable_progress_bar()
    try:
        model, info = kind.from_pretrained(folder, config=config, output_loading_info=True, **options)
    except Exception as error:
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise ModelError(f"{folder}: the model does not load ({reason})", "check --model") from None
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
    absent = sorted(info["missing_keys"]) + sorted(map(str, info["mismatched_keys"]))
    if absent:
        raise ModelError(
            f"{folder}: {len(absent)} weights are missing and would be random (first: {absent[0]})",
            "the checkpoint is incomplete or of another architecture; get it again",
        )
    return model


def truncated(config: PretrainedConfig, layers: int) -> PretrainedConfig:
    """A copy of a config cut to its first `layers` blocks, per-layer lists included."""
    short = copy.deepcopy(config)
    text = short.get_text_config()
    total = int(text.num_hidden_layers)
    per_layer = {k: v for k, v in vars(text).items() if isinstance(v, list) and len(v) == total and total > 1}
    for name, value in per_layer.items():
        setattr(text, name, value[:layers])
    if hasattr(text, "attention_types"):  # GPT-Neo spells its layer list as [[pattern, repeats], ...]
        text.attention_types = [[[kind], 1] for kind in config.get_text_config().attention_layers[:layers]]
    text.num_hidden_layers = layers
    return short


def block_stack(decoder: nn.Module, n: int) -> tuple[nn.Module, ...]:
    """The decoder's blocks: the list of `n` modules that holds the most parameters."""
    lists = [m for m in decoder.modules() if isinstance(m, nn.ModuleList) and len(m) == n]
    if not lists:
        raise ModelError("the model has no plain stack of blocks to read hidden states from", "use another --model")
    stack = max(lists, key=lambda m: sum(p.numel() for p in m.parameters()))
    return tuple(stack)


def _context(text: PretrainedConfig) -> int:
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        value = getattr(text, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return 1 << 20
