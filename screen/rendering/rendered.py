"""Token sequences ready for the model, and which of their tokens count (METHOD.md section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict

import numpy as np
import numpy.typing as npt

Rung = Literal["generation", "sentinel", "prefix", "document", "tokens"]


class RenderingFacts(TypedDict):
    """How a run's rows are rendered; `context`, `document_window`, `document_prompt` in tokens."""

    template: str
    template_sha256: str
    rung: str | None
    date_in_template: str
    end_of_turn: bool
    context: int
    document_window: int
    document_prompt: int
    prefix_ids: list[int]


def _none() -> npt.NDArray[np.int32]:
    return np.zeros(0, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class ScoredTurn:
    """One scored turn inside a `Sequence`.

    `tokens` are the positions, in the sequence, of the tokens that count: (n,) int32, ascending, n >= 1. They are the
    answer's; a thought's are apart in `thought_tokens`, (m,) int32, and may lie before, after or between them.
    """

    turn: int  # index into Sample.turns; the window's or run's number for documents and given tokens
    tokens: npt.NDArray[np.int32]
    prompt: str  # for people: the text of the nearest turn before it that is not scored ("" if none)
    text: str  # thought and answer exactly as rendered; character spans index into it
    thought: tuple[int, int] | None = None  # character range of the thought within `text`, without its tags
    thought_tokens: npt.NDArray[np.int32] = field(default_factory=_none)
    begin: int | None = None  # see prompt_end

    @property
    def prompt_end(self) -> int:
        """The turn's prompt is `ids[:prompt_end]`, at least one token: what the template wrote before the turn's own
        words, and before its thought."""
        return int(self.tokens[0]) if self.begin is None else self.begin


@dataclass(frozen=True, slots=True)
class Sequence:
    """One forward pass worth of tokens. `ids`: (seq,) int32.

    `chars(i, t)` gives the character range of token `ids[i]` within `turns[t].text`, clipped to it
    ((0, 0) where unknown). Cheap, called for a handful of tokens only.
    """

    ids: npt.NDArray[np.int32]
    turns: tuple[ScoredTurn, ...]
    chars: Callable[[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A sample as the model sees it: one sequence, or one a window for documents.

    Kinds of `dropped`: "reasoning", "answers" and "tool_calls" count assistant turns, "messages" other messages,
    "tools" the tools on offer.
    """

    sequences: tuple[Sequence, ...]
    rung: Rung
    tokens_lost: int  # tokens truncated because the sample is longer than the model's context
    special_text: int  # times special-token text such as <|im_end|> stood inside a message
    dropped: Mapping[str, int] = field(default_factory=dict)  # what of the messages the template did not write, by kind
