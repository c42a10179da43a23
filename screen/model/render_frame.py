"""Skeletons of conversations: rendered with sentinels in place of the texts, and kept where they can be used again.

Knows no real text and no tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence, Set
from dataclasses import dataclass

from screen.data.sample import Turn
from screen.model.render_align import Key, Skeleton, common_prefix, read_skeleton, sentinel
from screen.model.render_messages import Conversation
from screen.model.template import Message, Template, frozen_key, renderable
from screen.model.template_sandbox import TemplateCap, TemplateFailed

_CACHED = 512  # frames kept
_CACHED_CHARS = 65_536  # and the longest of them


@dataclass(frozen=True, slots=True)
class Frame:
    """A skeleton with plain answers. `heads[i]`: where turn i's header ends and what the model writes begins."""

    skeleton: Skeleton
    heads: dict[int, int]


class Frames:
    """Builds the skeletons of one template."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._frames: OrderedDict[tuple[object, ...], Frame | None] = OrderedDict()

    def frame(self, turns: Sequence[Turn], talk: Conversation, base: str) -> Frame | None:
        """The frame with every message masked: kept, for other conversations of the same form."""
        form = tuple([(t.role, bool(t.content) or t.role == "assistant", t.name) for t in turns])
        key = (base, form, frozen_key(talk.tools, talk.kwargs) if talk.tools or talk.kwargs else "")
        if key in self._frames:
            return self._frames[key]
        made = self.build(turns, talk, base, {i for i, (_, filled, _) in enumerate(form) if filled})
        if made is None or len(made.skeleton.text) <= _CACHED_CHARS:
            self._frames[key] = made
            if len(self._frames) > _CACHED:
                self._frames.popitem(last=False)
        return made

    def build(self, turns: Sequence[Turn], talk: Conversation, base: str, hidden: Set[int]) -> Frame | None:
        messages: list[Message] = []
        for i, (turn, message) in enumerate(zip(turns, talk.messages, strict=True)):
            mark = {"content": sentinel(base, (i, "c"))}
            plain = {key: message[key] for key in ("role", "name") if key in message}
            if i not in hidden:
                messages.append(message)
            else:
                messages.append(plain | mark if turn.role == "assistant" else message | mark)
        skeleton = self.skeleton(messages, talk, base, {(i, "c") for i in hidden})
        if skeleton is None:
            return None
        answers = [key for key in skeleton.keys if turns[key[0]].role == "assistant"]
        return Frame(skeleton, self._heads(messages, talk, skeleton, answers))

    def skeleton(self, messages: Sequence[Message], talk: Conversation, base: str, wanted: Set[Key]) -> Skeleton | None:
        try:
            text = self._template.render(messages, talk.tools, talk.kwargs)
        except TemplateCap:
            raise
        except TemplateFailed:  # a template may refuse the stand-ins: then this rung does not apply
            return None
        skeleton = read_skeleton(text, base)
        return skeleton if skeleton is not None and wanted >= set(skeleton.keys) else None

    def _heads(
        self, messages: Sequence[Message], talk: Conversation, skeleton: Skeleton, answers: Sequence[Key]
    ) -> dict[int, int]:
        """Where each answer's header ends: after the generation prompt, where the template has one.

        Without one, a single space right before the answer belongs to its first token, not to the header.
        """
        prompt = self._generation_prompt(messages, talk, answers)
        pieces = dict(zip(skeleton.keys, skeleton.pieces, strict=False))
        heads = {}
        few = renderable(len(answers), len(messages))
        for key in answers:
            start, piece = skeleton.spans[key][0], pieces[key]
            head = start - (1 if piece.endswith(" ") else 0)
            if prompt and (at := piece.rfind(prompt)) >= 0:
                head = start - len(piece) + at + len(prompt)
            elif prompt and few:  # "<think>" at the end of the prompt but not of the data's header, for one
                before = self._prompted(messages[: key[0]], talk)
                shared = common_prefix(before, skeleton.text[:start])
                head = shared if shared > start - len(piece) else head
            heads[key[0]] = head
        return heads

    def _generation_prompt(self, messages: Sequence[Message], talk: Conversation, answers: Sequence[Key]) -> str:
        first = next((key[0] for key in answers if key[0] > 0), 0)
        with_prompt = self._prompted(messages[:first], talk)
        without = self._prompted(messages[:first], talk, False)
        return with_prompt[len(without) :] if without and with_prompt.startswith(without) else ""

    def _prompted(self, messages: Sequence[Message], talk: Conversation, prompt: bool = True) -> str:
        try:
            return self._template.render(messages, talk.tools, talk.kwargs, add_generation_prompt=prompt)
        except TemplateCap:
            raise
        except TemplateFailed:  # a template may refuse half a conversation
            return ""
