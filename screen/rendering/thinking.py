"""How a template writes a thought, and where the thought in an answer ends. Knows nothing of samples and scores."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from screen.rendering.ladder.align import common_prefix
from screen.rendering.templates.chat_template import Template
from screen.rendering.templates.sandbox import TemplateCap, TemplateFailed
from screen.rendering.tokenizer import Tokenizer

Ids = npt.NDArray[np.int32]

_QUESTION, _THOUGHT, _ANSWER = "zqQuestion", "zqThought", "zqAnswer"
_HALF_TAG = re.compile(r"<[^<>\s]*\Z")
_LAST_TAG = re.compile(r"(?:<[^<>\s]+>|\[[A-Z_]+\])\s*\Z")


_FIRST_TAG = re.compile(r"<[^<>\s]+>")
_REACH = 32  # tokens of a prompt's end in which a thought may have been opened


class Marks(NamedTuple):
    """What stands before a thought, and between it and the answer, without the whitespace around."""

    opening: str
    closing: str


_KNOWN = (
    *(Marks(f"<{name}>", f"</{name}>") for name in ("think", "thinking", "reasoning", "seed:think")),
    Marks("[THINK]", "[/THINK]"),
    Marks("<|START_THINKING|>", "<|END_THINKING|>"),
)


def thought_marks(template: Template) -> Marks | None:
    """How the template writes the reasoning of a last turn; None where it leaves it out. Raises TemplateCap."""
    asked = {"role": "user", "content": _QUESTION}
    answered = {"role": "assistant", "content": _ANSWER, "reasoning_content": _THOUGHT, "thinking": _THOUGHT}
    try:
        text = template.render([asked, answered])
        prompt = template.render([asked], add_generation_prompt=True)
    except TemplateCap:
        raise
    except TemplateFailed:  # a template may refuse anything
        return None
    places = [text.find(word) for word in (_QUESTION, _THOUGHT, _ANSWER)]
    if min(places) < 0 or places != sorted(places) or text.count(_THOUGHT) > 1:
        return None
    before = text[: places[1]]
    shared = common_prefix(before, prompt)
    if half := _HALF_TAG.search(before, 0, shared):
        shared = half.start()
    opening = before[shared:].strip()
    if not opening and (tag := _LAST_TAG.search(before)):  # the generation prompt opens the thought
        opening = tag[0].strip()
    closing = text[places[1] + len(_THOUGHT) : places[2]].strip()
    return Marks(opening, closing) if opening and closing else None


class Thought(NamedTuple):
    """In characters or in tokens of an answer: the thought is `[start, end)`, the answer begins at `said`."""

    start: int
    end: int
    said: int


def thought_in(answer: str, prompt: str, marks: Sequence[Marks]) -> Thought | None:
    """The thought that an answer begins with, in characters; one that never ends reaches to the answer's end.

    `prompt` is what stands before the answer: it may have opened the thought.
    """
    lead = len(answer) - len(answer.lstrip())
    for opening, closing in marks:
        if prompt.rstrip().endswith(opening):
            start = 0
        elif answer.startswith(opening, lead):
            start = lead + len(opening)
        else:
            continue
        end = answer.find(closing, start)
        if end < 0 and (tag := _FIRST_TAG.match(closing)):  # the answer may go on in another channel than most
            closing, end = tag[0], answer.find(tag[0], start)
        if end < 0:
            return Thought(start, len(answer), len(answer))
        rest = answer[end + len(closing) :]
        return Thought(start, end, len(answer) - len(rest.lstrip()))
    return None


class Thinking:
    """Finds thoughts in the baseline responses: as its template writes them, or between well-known tags."""

    def __init__(self, template: Template, tokenizer: Tokenizer) -> None:
        own = thought_marks(template)
        self._marks = ((own,) if own else ()) + _KNOWN
        self._decode = tokenizer.decode

    def split(self, prompt: Ids, answer: Sequence[int]) -> Thought | None:
        """The thought in tokens of the answer; None where it has none."""
        text = self._decode(answer)
        before = self._decode(prompt[-_REACH:].tolist())
        found = thought_in(text, before, self._marks)
        if found is None:
            return None
        start, end, said = (self._token(answer, char) for char in found)
        return Thought(start, max(start, end), said)

    def _token(self, answer: Sequence[int], char: int) -> int:
        """The first token of the answer that begins at `char` or later."""
        return bisect_left(range(len(answer)), char, key=lambda i: len(self._decode(answer[:i])))
