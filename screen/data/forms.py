"""The shapes that are known, each with how it is recognised and read; and rows of a dataset that mixes chats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from screen.data import shape_answers, shape_chat, shape_other, shape_pairs
from screen.data.reading import How
from screen.data.rows import BadRow
from screen.data.sample import Place, Sample

Find = Callable[[Mapping[str, Any]], dict[str, str] | None]
Build = Callable[[Mapping[str, Any], Place, How], list[Sample]]
MIXED = "chats"  # a dataset of several chat shapes, each row read by its own


@dataclass(frozen=True, slots=True)
class Form:
    """One shape that is known: how it is recognised and read. `roles`: what --map can name."""

    name: str
    find: Find
    build: Build
    roles: tuple[str, ...]
    preference: bool = False
    weak: bool = False  # fits so much that any other shape goes before it


FORMS = (
    Form("tokenised", shape_other.find_tokenised, shape_other.build_tokenised,
         ("input_ids", "labels", "completion_mask", "assistant_masks", "attention_mask", "chosen_ids",
          "rejected_ids", "prompt_ids")),
    Form("openai-preference", shape_pairs.find_openai, shape_pairs.build_openai,
         ("input", "preferred_output", "non_preferred_output"), True),
    Form("preference", shape_pairs.find_preference, shape_pairs.build_preference,
         ("prompt", "chosen", "rejected", "conversations", "messages", "question", "instruction", "input"), True),
    Form("kto", shape_answers.find_kto, shape_answers.build_kto,
         ("prompt", "completion", "label", "kto_tag", "messages", "conversations", "instruction", "input", "output",
          "history")),
    Form("stepwise", shape_answers.find_stepwise, shape_answers.build_stepwise,
         ("prompt", "completions", "labels")),
    Form("chat-system", shape_chat.find_chat_system, shape_chat.build_chat, ("messages",)),
    Form("chat", shape_chat.find_chat, shape_chat.build_chat, ("messages",)),
    Form("sharegpt", shape_chat.find_sharegpt, shape_chat.build_sharegpt, ("conversations",)),
    Form("nested", shape_chat.find_nested, shape_chat.build_nested, ("conversation",)),
    Form("prompt-completion", shape_answers.find_prompt_completion, shape_answers.build_prompt_completion,
         ("prompt", "completion", "response", "question", "answer")),
    Form("alpaca", shape_answers.find_alpaca, shape_answers.build_alpaca,
         ("instruction", "input", "output", "response", "history")),
    Form("segments", shape_other.find_segments, shape_other.build_segments, ("segments",)),
    Form("dialogue", shape_other.find_dialogue, shape_answers.build_dialogue, ("text",)),
    Form("document", shape_other.find_document, shape_other.build_document, ("text",)),
    Form("prompt-only", shape_other.find_prompt_only, shape_other.build_prompt_only, ("prompt",), weak=True),
    Form("dialogue", shape_other.find_lone_dialogue, shape_answers.build_dialogue, (), weak=True),
    Form("document", shape_other.find_lone_text, shape_other.build_document, (), weak=True),
)  # fmt: skip

CHATS = ("chat", "chat-system", "sharegpt", "nested")
ANSWERED = ("prompt-completion", "alpaca", "dialogue")  # conversations in fields, or in one text
BY_NAME = {form.name: form for form in reversed(FORMS)}


def recognise(record: Mapping[str, Any], forms: Sequence[Form] = FORMS) -> tuple[Form, dict[str, str]] | None:
    """The first form that the record fits, and its fields."""
    with suppress(BadRow):  # a row that cannot be read says nothing about the others
        for form in forms:
            if fields := form.find(record):
                return form, fields
    return None


def build_mixed(value: Mapping[str, Any], place: Place, how: How) -> list[Sample]:
    """A row of any chat shape, read by its own."""
    found = recognise(value)
    if found is None:
        raise BadRow("wrong_shape", "the row has none of the shapes that conversations have")
    form, _ = found
    if form.weak and form.name == "prompt-only":
        return form.build(value, place, how)
    if form.name not in CHATS + ANSWERED:
        raise BadRow("wrong_shape", f"the row is {form.name} among conversations")
    return form.build(value, place, replace(how, shape=form.name))


def build_chat_of(form: Form) -> Build:
    """Rows of one chat shape, among which a few of another are read by their own."""

    def build(value: Mapping[str, Any], place: Place, how: How) -> list[Sample]:
        try:
            return form.build(value, place, how)
        except BadRow as bad:
            if bad.code != "wrong_shape" or (found := recognise(value)) is None or found[0] is form:
                raise
        return build_mixed(value, place, how)

    return build
