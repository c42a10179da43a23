"""One training example as read, and a row that cannot be scored. Knows nothing of files, models or text rules.

A *row* is one record of the input, numbered from 0 over the whole dataset in file order. A row becomes one
`Sample` (two for a preference pair: one a side) or exactly one `Skip`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from screen.foreign import JsonObject

Role = Literal["system", "user", "assistant", "tool"]
Layout = Literal["chat", "plain", "pieces", "document", "tokens"]
Variant = Literal["chosen", "rejected"]
_NONE: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands: what `filter` copies and what an error names."""

    row: int  # 0-based over the whole dataset
    file: str  # path as the user can open it; "-" for standard input
    line: int | None  # 1-based line in the file; None where the format has no lines (parquet, json array)
    offset: int  # byte offset of the row in the decompressed file; -1 where the format has none
    length: int  # bytes of the row without its line ending; -1 where the format has none
    sha256: str  # hex of the row's raw bytes (of canonical JSON where there are none), first 16 digits

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line is not None else f"{self.file} row {self.row}"


@dataclass(frozen=True, slots=True)
class RawRow:
    """A parsed record, before its shape is read. `value` is JSON-like: dict, list, str, number, bool, None."""

    place: Place
    value: Any
    head: bytes = b""  # first 200 bytes of the row, for the Skip that it may become
    odd: Mapping[str, tuple[str, str]] | None = None  # fields that text stands for, with code and message of a Skip


@dataclass(frozen=True, slots=True)
class Skip:
    """A row that cannot be scored, and why. Codes are part of the contract: docs/codes.md."""

    place: Place
    stage: Literal["read", "shape", "render", "score"]
    code: str  # e.g. bad_json, not_an_object, no_response, no_response_mask, too_long
    message: str  # one sentence, says what to do where something can be done
    head: bytes = b""  # first 200 bytes of the row


class Turn(NamedTuple):
    """One message. Text is what the trainer sees as content; nothing is trimmed.

    A named tuple, as a frozen dataclass takes three times as long to make, and there are several to a row.
    """

    role: Role
    content: str
    scored: bool = False  # the trainer puts loss on it
    reasoning: str | None = None  # reasoning_content, apart from content
    tool_calls: tuple[JsonObject, ...] = ()  # OpenAI form, arguments as given
    name: str | None = None
    spans: tuple[tuple[int, int], ...] | None = None  # character ranges of content with loss; None: all of it
    other_parts: Mapping[str, int] = _NONE  # parts without text, counted: {"image_url": 2}
    unused: tuple[str, ...] = ()  # keys of the message that were not read
    away: bool = False  # scored with a negative weight: the trainer pushes away from it

    def with_loss(self, away: bool = False) -> Turn:
        """The same turn, scored. Written out, as `_replace` takes twice as long, for every answer."""
        return Turn(
            self.role, self.content, True, self.reasoning, self.tool_calls, self.name, self.spans, self.other_parts,
            self.unused, away,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """One training example.

    layout  chat      rendered with the model's chat template
            plain     turns are raw text laid end to end, no template; `role` is not rendered
            pieces    the same, each turn tokenised by itself, as axolotl does
            document  one turn of running text, scored in windows
            tokens    `token_ids` and `token_mask` are given by the dataset; `turns` is empty

    unused  what stands in the row and is not read: fields, keys of messages ("messages.rating"), parts without text
            ("image_url parts")
    sign    +1 where a trainer pushes toward the scored text, -1 where it pushes away from it: the rejected side of a
            pair, a KTO row labelled false, a negative weight (of two of these, the one undoes the other)
    """

    place: Place
    shape: str  # the detected shape's name
    layout: Layout
    turns: tuple[Turn, ...] = ()
    id: str | None = None
    variant: Variant | None = None
    weight: float = 1.0  # row weight where the dataset gives one; never 0
    sign: int = 1
    tools: tuple[JsonObject, ...] = ()
    template_kwargs: Mapping[str, object] = field(default_factory=dict)
    token_ids: tuple[int, ...] = ()
    token_mask: tuple[bool, ...] = ()
    bos: bool = True  # plain and pieces: the tokenizer's own first token goes before them
    as_texts: bool = False  # question and answer are given as texts, which trainers render in more than one way
    split_at: str | None = None  # the role marks at which a text was split into turns
    marks: str | None = None  # role marks that stand in a text which was not split
    unused: tuple[str, ...] = ()

    def text_bytes(self) -> int:
        """What a chat template is given, in bytes of UTF-8: texts, tools and their calls."""
        texts = [text for turn in self.turns for text in (turn.content, turn.reasoning or "")]
        texts += [str(held) for turn in self.turns for held in turn.tool_calls] + [str(tool) for tool in self.tools]
        return sum(len(text) if text.isascii() else len(text.encode(errors="replace")) for text in texts)

    @property
    def row(self) -> int:
        return self.place.row
