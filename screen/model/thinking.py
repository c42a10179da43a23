"""How a template writes a thought, and where the thought ends in an answer. Strings only."""

from __future__ import annotations

import re
from typing import NamedTuple

from screen.model.render_align import common_prefix
from screen.model.template import Template
from screen.model.template_sandbox import TemplateFailed

_QUESTION, _THOUGHT, _ANSWER = "zqQuestion", "zqThought", "zqAnswer"
_HALF_TAG = re.compile(r"<[^<>\s]*\Z")
_LAST_TAG = re.compile(r"(?:<[^<>\s]+>|\[[A-Z_]+\])\s*\Z")


class Marks(NamedTuple):
    """What stands before a thought, and between it and the answer, without the whitespace around."""

    opening: str
    closing: str


def thought_marks(template: Template) -> Marks | None:
    """How the template writes the reasoning of a last turn; None where it leaves it out."""
    asked = {"role": "user", "content": _QUESTION}
    answered = {"role": "assistant", "content": _ANSWER, "reasoning_content": _THOUGHT, "thinking": _THOUGHT}
    try:
        text = template.render([asked, answered])
        prompt = template.render([asked], add_generation_prompt=True)
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
