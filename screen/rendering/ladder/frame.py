"""Skeletons of conversations: rendered with sentinels in place of the texts, and kept where they can be used again.

Knows no real text and no tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence, Set

from screen.data.sample import Turn
from screen.rendering.ladder.align import Key, Skeleton, read_skeleton, sentinel
from screen.rendering.messages import Conversation
from screen.rendering.templates.chat_template import Message, Template, frozen_key
from screen.rendering.templates.sandbox import TemplateCap, TemplateFailed

_CACHED = 512  # frames kept
_CACHED_CHARS = 65_536  # and the longest of them


class Frames:
    """Builds the skeletons of one template. A *frame* is one in which every answer is a plain one: it depends on roles,
    tools and settings only, so it is kept for other conversations of the same form."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._frames: OrderedDict[tuple[object, ...], Skeleton | None] = OrderedDict()

    def frame(self, turns: Sequence[Turn], talk: Conversation, base: str) -> Skeleton | None:
        """The skeleton of a conversation whose answers are plain, every text in it masked."""
        form = tuple([(t.role, bool(t.content), t.name) for t in turns])
        key = (base, form, frozen_key(talk.tools, talk.kwargs) if talk.tools or talk.kwargs else "")
        if key in self._frames:
            return self._frames[key]
        messages = [
            message | {"content": sentinel(base, (i, "c"))} if turn.content else message
            for i, (turn, message) in enumerate(zip(turns, talk.messages, strict=True))
        ]
        made = self.skeleton(messages, talk, base, {(i, "c") for i, turn in enumerate(turns) if turn.content})
        if made is None or len(made.text) <= _CACHED_CHARS:
            self._frames[key] = made
            if len(self._frames) > _CACHED:
                self._frames.popitem(last=False)
        return made

    def skeleton(self, messages: Sequence[Message], talk: Conversation, base: str, wanted: Set[Key]) -> Skeleton | None:
        """The skeleton in which the `wanted` fields, or some of them, stand; None where the template refuses it."""
        try:
            text = self._template.render(messages, talk.tools, talk.kwargs)
        except TemplateCap:
            raise
        except TemplateFailed:  # a template may refuse the stand-ins: then this rung does not apply
            return None
        skeleton = read_skeleton(text, base)
        return skeleton if skeleton is not None and wanted >= set(skeleton.keys) else None
