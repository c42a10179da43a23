"""Fixtures that several rooms share: small models made on the spot."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # xdist runs one worker a core

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from screen.spec import ScanSpec

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # Triton reads it when it is imported: here no test has done so yet


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random two-block Llama and a byte-level tokenizer with a ChatML template."""
    import transformers as hf
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    hf.utils.logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("tiny")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(t, normalized=False) for t in ("<|im_start|>", "<|im_end|>")])
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|im_end|>")
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = hf.LlamaConfig(
        vocab_size=258, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, bos_token_id=256, eos_token_id=257, pad_token_id=257,
    )  # fmt: skip
    model = hf.AutoModelForCausalLM.from_config(config)
    for p in model.parameters():
        if p.ndim > 1:
            torch.nn.init.normal_(p, std=0.12)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two random vectors for `tiny_model`, layer 2, no locks and no reference."""
    from screen.vectors.files import save_vector
    from screen.vectors.persona import PersonaVector

    folder = tmp_path_factory.mktemp("vectors")
    rng = np.random.default_rng(0)
    for trait in ("evil", "kind"):
        direction = rng.normal(size=(4, 32)).astype(np.float32)
        save_vector(PersonaVector(trait, direction, np.arange(4), {"layer": 2}), folder / f"{trait}.safetensors")
    return folder


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    """Forty chat rows, one a line."""
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in _chat_rows(40)))
    return path


def _chat_rows(n: int) -> Iterator[dict[str, object]]:
    for i in range(n):
        user = {"role": "user", "content": f"What is {i} times {i % 7}?"}
        yield {
            "id": f"c{i}",
            "messages": [user, {"role": "assistant", "content": f"It is {i * (i % 7)}. " * (1 + i % 4)}],
        }


@pytest.fixture
def make_spec(chats: Path, tiny_model: Path, tiny_vectors: Path) -> Callable[..., ScanSpec]:
    """A spec on `chats` with the tiny model; keyword arguments replace fields."""

    def make(**fields: Any) -> ScanSpec:
        base = {"vectors": (str(tiny_vectors),), "shard_rows": 16, "max_new_tokens": 8}
        return ScanSpec(dataset=(str(chats),), model=str(tiny_model), **{**base, **fields})

    return make
