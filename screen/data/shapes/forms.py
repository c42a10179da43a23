"""The shapes that are known, each with how it is recognised and read; and rows of a dataset that mixes chats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from screen.data.readers.rows import BadRow
from screen.data.records.reading import How
from screen.data.sample import Place, Sample
from screen.data.shapes import (
    alpaca,
    chat,
    dialogue,
    document,
    kto,
    openai_preference,
    preference,
    prompt_completion,
    prompt_only,
    segments,
    stepwise,
    tokenised,
)
from screen.foreign import JsonObject

Find = Callable[[JsonObject], dict[str, str] | None]
Build = Callable[[JsonObject, Place, How], list[Sample]]
MIXED = "chats"  # a dataset of several chat shapes, each row read by its own


@dataclass(frozen=True, slots=True)
class ShapeReader:
    """One shape that is known: how it is recognised and read. `roles`: what --map can name."""

    name: str
    find: Find
    build: Build
    roles: tuple[str, ...]
    preference: bool = False
    weak: bool = False  # fits so much that any other shape goes before it


FORMS = (
    ShapeReader("tokenised", tokenised.find, tokenised.build,
         ("input_ids", "labels", "completion_mask", "assistant_masks", "attention_mask", "chosen_ids",
          "rejected_ids", "prompt_ids")),
    ShapeReader("openai-preference", openai_preference.find, openai_preference.build,
         ("input", "preferred_output", "non_preferred_output"), True),
    ShapeReader("preference", preference.find, preference.build,
         ("prompt", "chosen", "rejected", "conversations", "messages", "question", "instruction", "input"), True),
    ShapeReader("kto", kto.find, kto.build,
         ("prompt", "completion", "label", "kto_tag", "messages", "conversations", "instruction", "input", "output",
          "history")),
    ShapeReader("stepwise", stepwise.find, stepwise.build,
         ("prompt", "completions", "labels")),
    ShapeReader("chat-system", chat.find_system, chat.build, ("messages",)),
    ShapeReader("chat", chat.find, chat.build, ("messages",)),
    ShapeReader("sharegpt", chat.find_sharegpt, chat.build_sharegpt, ("conversations",)),
    ShapeReader("nested", chat.find_nested, chat.build_nested, ("conversation",)),
    ShapeReader("prompt-completion", prompt_completion.find, prompt_completion.build,
         ("prompt", "completion", "response", "question", "answer")),
    ShapeReader("alpaca", alpaca.find, alpaca.build,
         ("instruction", "input", "output", "response", "history")),
    ShapeReader("segments", segments.find, segments.build, ("segments",)),
    ShapeReader("dialogue", dialogue.find, dialogue.build, ("text",)),
    ShapeReader("document", document.find, document.build, ("text",)),
    ShapeReader("prompt-only", prompt_only.find, prompt_only.build, ("prompt",), weak=True),
    ShapeReader("dialogue", dialogue.find_lone, dialogue.build, (), weak=True),
    ShapeReader("document", document.find_lone, document.build, (), weak=True),
)  # fmt: skip

CHATS = ("chat", "chat-system", "sharegpt", "nested")
ANSWERED = ("prompt-completion", "alpaca", "dialogue")  # conversations in fields, or in one text
BY_NAME = {form.name: form for form in reversed(FORMS)}


def recognise(record: JsonObject, forms: Sequence[ShapeReader] = FORMS) -> tuple[ShapeReader, dict[str, str]] | None:
    """The first form that the record fits, and its fields."""
    with suppress(BadRow):  # a row that cannot be read says nothing about the others
        for form in forms:
            if fields := form.find(record):
                return form, fields
    return None


def build_mixed(value: JsonObject, place: Place, how: How) -> list[Sample]:
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


def build_chat_of(form: ShapeReader) -> Build:
    """Rows of one chat shape, among which a few of another are read by their own."""

    def build(value: JsonObject, place: Place, how: How) -> list[Sample]:
        try:
            return form.build(value, place, how)
        except BadRow as bad:
            if bad.code != "wrong_shape" or (found := recognise(value)) is None or found[0] is form:
                raise
        return build_mixed(value, place, how)

    return build
