"""Whether vectors belong to the model that is trained, and to its tokenizer: asked before the first step."""

from __future__ import annotations

from pathlib import Path

from torch import nn
from transformers import PreTrainedTokenizerBase

from screen.errors import ModelError
from screen.model.load import model_hashes
from screen.rendering.tokenizer import Tokenizer
from screen.steering.hook import unwrapped
from screen.vectors.fit import ModelFacts


def facts_of(model: nn.Module, processing_class: object) -> ModelFacts:
    """What cards are checked against, of a model in memory.

    Its hashes are of the files that it was loaded from, "" where it came from none; the tokenizer's is of the object
    that the trainer has. The chat template is not compared: trainers change it to mask what is not learnt. Raises
    ModelError for what is not a transformers model.
    """
    bare = unwrapped(model)
    config = getattr(bare, "config", None)
    if config is None or not hasattr(config, "get_text_config"):
        raise ModelError(f"{type(bare).__name__} is not a transformers model", "give one made by from_pretrained")
    text = config.get_text_config()
    name = str(getattr(bare, "name_or_path", "") or getattr(config, "_name_or_path", ""))
    folder = _folder(name)
    hashes = model_hashes(folder) if folder is not None else {}
    tokenizer = tokenizer_of(processing_class)
    return ModelFacts(
        name=name or type(bare).__name__,
        n_layers=int(text.num_hidden_layers),
        d_model=int(text.hidden_size),
        tokenizer=tokenizer.fingerprint() if tokenizer is not None else "",
        **hashes,
    )


def tokenizer_of(processing_class: object) -> Tokenizer | None:
    """The tokenizer of what a trainer calls its processing class; None where it has none. Raises ModelError for a slow
    one, which no card was made with."""
    inner = getattr(processing_class, "tokenizer", processing_class)
    return Tokenizer(inner) if isinstance(inner, PreTrainedTokenizerBase) else None


def _folder(name: str) -> Path | None:
    """Where a model's files lie: its folder, or that of the hub's cache."""
    if not name:
        return None
    here = Path(name).expanduser()
    if (here / "config.json").is_file():
        return here
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(name, "config.json")
    except HFValidationError:  # a folder that is gone
        return None
    return Path(cached).parent if isinstance(cached, str) else None
