"""Twelve architectures with random weights, four blocks each. Needs no pytest: `bench/device.py` takes them too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf

VOCAB = 97
_LLAMA = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_GPT = {"vocab_size": VOCAB, "bos_token_id": 1, "eos_token_id": 2}
CONFIGS: dict[str, Callable[[], Any]] = {
    "llama": lambda: hf.LlamaConfig(**_LLAMA),
    "qwen2": lambda: hf.Qwen2Config(**_LLAMA),
    "qwen3": lambda: hf.Qwen3Config(**_LLAMA),
    "mistral": lambda: hf.MistralConfig(**_LLAMA, sliding_window=8),
    "gemma": lambda: hf.GemmaConfig(**_LLAMA),
    "gemma2": lambda: hf.Gemma2Config(**_LLAMA, sliding_window=8),
    "gemma3": lambda: hf.Gemma3TextConfig(**_LLAMA, sliding_window=8),
    "gpt2": lambda: hf.GPT2Config(**_GPT, n_embd=32, n_layer=4, n_head=4, n_positions=256),
    "gpt_neox": lambda: hf.GPTNeoXConfig(
        **_GPT, hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        max_position_embeddings=256,
    ),
    "gpt_neo": lambda: hf.GPTNeoConfig(
        **_GPT, hidden_size=32, num_layers=4, num_heads=4, attention_types=[[["global", "local"], 2]],
        window_size=8, max_position_embeddings=256,
    ),
    "phi3": lambda: hf.Phi3Config(**_LLAMA),
    "opt": lambda: hf.OPTConfig(
        **_GPT, hidden_size=32, ffn_dim=64, num_hidden_layers=4, num_attention_heads=4, word_embed_proj_dim=32,
        max_position_embeddings=256, pad_token_id=0,
    ),
}  # fmt: skip


def longrope() -> Any:
    """A Phi-3 whose rotary positions are others for sequences of more than 64 tokens."""
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "partial_rotary_factor": 1.0,
            "long_factor": [1.5, 8.0, 20.0, 40.0], "original_max_position_embeddings": 64}  # fmt: skip
    return hf.Phi3Config(**_LLAMA, original_max_position_embeddings=64, rope_parameters=rope)


def save_random(config: Any, folder: Path) -> Path:
    """Weights large enough that attention is far from uniform, so that a leak or a wrong window shows."""
    hf.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    model = hf.AutoModelForCausalLM.from_config(config).eval()
    for p in model.parameters():
        if p.ndim > 1:
            torch.nn.init.normal_(p, std=0.15)
    model.save_pretrained(folder)
    return folder
