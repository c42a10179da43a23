"""The last rung of the ladder: what the template adds to the render of the turns before. Strings and templates only."""

from __future__ import annotations

from collections.abc import Sequence

from screen.rendering.ladder.align import common_prefix
from screen.rendering.messages import Conversation
from screen.rendering.templates.chat_template import Template, renderable
from screen.rendering.templates.sandbox import TemplateCap, TemplateFailed


def prefix_bounds(
    template: Template, talk: Conversation, text: str, scored: Sequence[int]
) -> list[tuple[int, tuple[int, int]]] | None:
    """(turn, range) of each scored turn: from the end of what stands before it to the end of what it adds.

    None where a render of the turns before is no prefix of the one real render.
    """
    if not renderable(len(scored), len(talk.messages)):
        return None
    bounds = []
    for i in scored:
        try:
            before = template.render(talk.messages[:i], talk.tools, talk.kwargs)
            through = template.render(talk.messages[: i + 1], talk.tools, talk.kwargs)
        except TemplateCap:
            raise
        except TemplateFailed:  # a template may refuse half a conversation
            return None
        end = common_prefix(through, text)
        if not text.startswith(before) or end < len(before):
            return None
        bounds.append((i, (len(before), end)))
    return bounds
