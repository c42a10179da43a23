"""TRL: the YAML of its scripts, or the JSON of its arguments. Conversations go through the chat template and are
trained on whole unless `assistant_only_loss`; texts are laid end to end, and of a prompt and its completion the
completion is trained on."""

from __future__ import annotations

from screen.data.trainers.stated import StatedConfig
from screen.foreign import JsonObject

_KEYS = frozenset((
    "dataset_name", "dataset_path", "dataset_text_field", "assistant_only_loss", "completion_only_loss",
    "dataset_num_proc", "max_length", "max_prompt_length", "max_completion_length", "truncation_mode",
    "dataset_train_split", "dataset_kwargs", "packing_strategy", "eos_token",
))  # fmt: skip


def is_trl(found: JsonObject) -> bool:
    return not _KEYS.isdisjoint(found)


def given(found: JsonObject) -> StatedConfig:
    text = found.get("dataset_text_field")
    fields = {"text": str(text)} if text and text != "text" else {}
    chat = "assistant" if found.get("assistant_only_loss") else "all"  # TRL's own default
    train_on = "all" if found.get("completion_only_loss") is False else None
    length = found.get("max_length", found.get("max_seq_length"))
    notes = (
        (f"max_length {length}: TRL truncates rows there; here they go on to the model's context",) if length else ()
    )
    return StatedConfig("document" if fields else None, fields, train_on, chat, render="plain", notes=notes)
