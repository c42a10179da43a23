"""The last rung of the ladder, and where a turn's own text ends. Strings and templates only."""

from __future__ import annotations

from collections.abc import Sequence

from screen.model.render_align import common_prefix
from screen.model.render_messages import Conversation
from screen.model.render_skeleton import Span
from screen.model.template import Template, renderable
from screen.model.template_sandbox import TemplateCap, TemplateFailed


def prefix_spans(
    template: Template, talk: Conversation, text: str, scored: Sequence[int], ends: Sequence[str]
) -> list[Span] | None:
    """Each scored turn, from the end of what the model is given before it to the end of what it adds.

    None where a render of the turns before is no prefix of the one real render.
    """
    if not renderable(len(scored), len(talk.messages)):
        return None
    spans = []
    for i in scored:
        prompted = talk.messages[i]["role"] == "assistant"
        try:
            before = template.render(talk.messages[:i], talk.tools, talk.kwargs, add_generation_prompt=prompted)
            through = template.render(talk.messages[: i + 1], talk.tools, talk.kwargs)
        except TemplateCap:
            raise
        except TemplateFailed:  # a template may refuse half a conversation
            return None
        end = common_prefix(through, text)
        if not text.startswith(before) or end < len(before):
            return None
        end = without_end(text, len(before), end, ends, len(before))
        if end > len(before):
            spans.append(Span(i, len(before), end))
    return spans


def without_end(text: str, start: int, end: int, ends: Sequence[str], floor: int) -> int:
    """`end` moved before the end-of-turn token that `text[start:end]` ends with, but not below `floor`."""
    body = len(text[start:end].rstrip()) + start
    for mark in ends:
        if text.endswith(mark, start, body) and body - len(mark) >= floor:
            return body - len(mark)
    return end
