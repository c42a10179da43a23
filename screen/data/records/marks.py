"""Role marks inside plain text, such as "### Human:" or ChatML -> turns.

A text that begins with a mark (or with one of the usual preambles) and in which a user's mark and an assistant's stand
is a conversation. In any other text marks are only noticed: a page about ChatML is no chat.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from screen.data.sample import Role, Turn

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("user", "human", "prompter", "instruction", "input", "[inst]"), "user"),
    **dict.fromkeys(("assistant", "ai", "bot", "model", "chatbot", "gpt", "response", "[/inst]"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "ipython", "function", "observation"), "tool"),
}
_BEGIN = re.compile(r"\s*(?:<s>|<bos>|<\|begin_of_text\|>|<\|endoftext\|>|<｜begin▁of▁sentence｜>|\[gMASK\]<sop>)?\s*")
_TAILS = ("</s>", "<s>", "<|endoftext|>", "<|end_of_text|>", "<|end|>", "<|im_end|>", "<eos>", "<｜end▁of▁sentence｜>",
          "<｜begin▁of▁sentence｜>")  # fmt: skip
_PREAMBLES = ("Below is ", "A chat between ", "You are ", "The following is a conversation")


@dataclass(frozen=True, eq=False)
class Style:
    """One way to write turns into a text. `head`: a turn's mark, its group the role; `end`: what closes a turn."""

    name: str
    head: str
    last: str  # what any of its marks ends with
    need: str = ""  # stands in any text with an assistant's mark, or with any mark if `inside`
    end: str = ""
    inside: bool = True  # the mark is no ordinary writing: one of them alone is told
    opening: str | None = None  # the mark at the text's beginning, where `head` is not that: heads that begin with
    #   fixed characters are found ten times as fast

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str] | None]:
        return re.compile(self.head), None if self.opening is None else re.compile(self.opening)

    def heads(self, text: str) -> list[re.Match[str]]:
        """All marks of this style, in order."""
        head, opening = self._patterns
        if opening is None or (first := opening.match(text)) is None:
            return list(head.finditer(text))
        return [first, *head.finditer(text, first.end())]

    def cut(self, text: str) -> list[str]:
        """The same as texts: what stands before the first mark; then a mark's group, and what follows it, in turn."""
        head, opening = self._patterns
        if opening is None or (first := opening.match(text)) is None:
            return head.split(text)
        return ["", first[1], *head.split(text[first.end() :])]

    def begins(self, text: str) -> re.Match[str] | None:
        """The mark that the text begins with."""
        head, opening = self._patterns
        return (opening or head).match(text)


_LINE = r"[^\S\n]*(User|Human|System|Assistant|AI|Bot|Instruction|Response):"  # at the beginning of a line
STYLES = (  # by what their marks end with
    Style("<|im_start|>", r"<\|im_start\|>[^\S\n]*(\w+)[^\S\n]*(?:\n|\Z)", ">", "<|im_start|>", "<|im_end|>"),
    Style("<|start_header_id|>", r"<\|start_header_id\|>\s*(\w+)\s*<\|end_header_id\|>(?:\n\n|\n|\Z)?",
          ">", "<|start_header_id|>", "<|eot_id|>"),
    Style("<start_of_turn>", r"<start_of_turn>[^\S\n]*(\w+)[^\S\n]*(?:\n|\Z)", ">", "<start_of_turn>", "<end_of_turn>"),
    Style("<|START_OF_TURN_TOKEN|>", r"<\|START_OF_TURN_TOKEN\|><\|(\w+?)_TOKEN\|>",
          ">", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
    Style("<|user|>", r"<[|｜](system|user|assistant|prompter|observation|User|Assistant)[|｜]>:?", ">"),
    Style("[INST]", r"(\[INST\]|\[/INST\])", "]", "INST]"),
    Style("<human>:", r"<(human|bot|user|assistant)>:", ":", ">:"),
    Style("### Human:", r"### ?(Human|User|Prompter|System|Instruction|Input|Assistant|Response|AI|Bot)[^\S\n]*:",
          ":", "###", inside=False),
    Style("Human:", r"\n\n(Human|Assistant):", ":", "Assistant:", inside=False, opening="(Human|Assistant):"),
    Style("USER:", r"(?:\A|(?<=\s)|(?<=</s>))(USER|ASSISTANT|SYSTEM):", ":", "ASSISTANT:", inside=False),
    Style("User:", r"\n" + _LINE, ":", inside=False, opening=_LINE),
)  # fmt: skip
_LAST = (  # where a mark that matters may end: an assistant's, or any that is no ordinary writing
    (">", re.compile(r">(?:(?<=[|｜]>)|(?<=_turn>))")),
    ("]", re.compile(r"\](?<=INST\])")),
    (":", re.compile(r":(?:(?<=[>\s]:)|(?<=(?:Assistant|ASSISTANT):)|(?<=AI:)|(?<=Bot:)|(?<=Response:))")),
)


class Pieces(NamedTuple):
    """A text cut at its marks: what stands before the first; then of each mark its name, role, words, and what stands
    behind their end (none in a style without ends)."""

    before: str
    names: list[str]
    roles: list[Role | None]
    said: list[str]
    behind: list[str]


def may_hold(text: str) -> bool:
    """Whether a text may hold marks at all. Most hold none, and this is told fast."""
    return _lasts(text) != ()


def style_of(text: str) -> Style | None:
    """The style of a text that is a whole conversation; None for any other text."""
    lasts = _lasts(text)
    return _style_of(text, lasts) if lasts else None


@lru_cache(maxsize=8)  # the same text is asked about where it is recognised, split and scored
def _style_of(text: str, lasts: tuple[str, ...]) -> Style | None:
    return next((style for style in _styles(text, lasts) if _is_whole(text, style)), None)


def held_marks(text: str) -> str | None:
    """The marks that a text holds, by name; None where it holds none."""
    for style in _styles(text, _lasts(text)):
        roles = {_role(head) for head in style.heads(text)}
        if {"user", "assistant"} <= roles or (style.inside and roles - {None}):
            return style.name
    return None


def split(text: str, style: Style, first: Role | None = None) -> list[Turn]:
    """The turns of a conversation, none scored. `first`: whose words stand before the first mark."""
    before, names, roles, words, _ = _pieces(text, style, first is None)
    turns = [Turn(first or "system", _closed(before, style)[0])] if first or before.strip() else []
    for name, role, said in zip(names, roles, words, strict=True):
        if name == "Input" and turns and turns[-1].role == "user":  # the second part of an Alpaca question
            turns[-1] = Turn("user", f"{turns[-1].content}\n{said}")
        elif said.startswith("<<SYS>>") and "<</SYS>>" in said:
            system, _, asked = said[len("<<SYS>>") :].partition("<</SYS>>")
            turns += [Turn("system", system.strip()), Turn("user", asked.strip())]
        else:
            turns.append(Turn(role or "user", said))
    return turns


def raw(text: str, style: Style) -> list[Turn]:
    """The same text whole: what each says, and the marks and blanks around it, as turns to lay end to end."""
    at = 0
    turns: list[Turn] = []
    start = len(text) - len(_body(text))
    pieces = _pieces(text, style, True)
    for head, role, said in zip(style.heads(text[start:]), pieces.roles, pieces.said, strict=True):
        begin = text.find(said, start + head.end())
        turns.append(Turn("user", text[at:begin]))
        at = begin + len(said)
        turns.append(Turn(role or "user", said))
    return [turn for turn in (*turns, Turn("user", text[at:])) if turn.content]


def begins_answer(text: str, style: Style) -> bool:
    """Whether a text opens with the assistant's mark."""
    head = style.begins(_body(text))
    return head is not None and _role(head) == "assistant"


def opens_answer(text: str) -> bool:
    """The same in any style."""
    return any(begins_answer(text, style) for style in _styles(text, _lasts(text)))


def _body(text: str) -> str:
    """The text without blanks and a begin-of-text token before it."""
    return text[_BEGIN.match(text).end() :]  # type: ignore[union-attr]


def _lasts(text: str) -> tuple[str, ...]:
    """What marks in the text may end with. Most texts have none, and are told fast."""
    lasts: tuple[str, ...] = ()
    for last, mark in _LAST:
        if last in text and mark.search(text):
            lasts += (last,)
    return lasts


def _styles(text: str, lasts: tuple[str, ...]) -> Iterator[Style]:
    """The styles that a text may have marks of."""
    return (style for style in STYLES if style.last in lasts and style.need in text) if lasts else iter(())


@lru_cache(maxsize=8)
def _pieces(text: str, style: Style, begun: bool) -> Pieces:
    """`begun`: without what may stand before a conversation."""
    before, *cut = style.cut(_body(text) if begun else text)
    names, words = cut[::2], cut[1::2]
    roles = [_ROLES.get(name.lower()) for name in names]
    if not style.end:
        return Pieces(before, names, roles, [_without_tail(said) for said in words], [])
    closed = [_closed(said, style) for said in words]
    return Pieces(before, names, roles, [said for said, _ in closed], [behind for _, behind in closed])


def _is_whole(text: str, style: Style) -> bool:
    """User and assistant speak, the user first; nothing stands between turns, and before them a preamble at most."""
    before, _, roles, _, behind = _pieces(text, style, True)
    if None in roles or "assistant" not in roles or next(r for r in roles if r != "system") != "user":
        return False
    return not any(behind) and (not before.strip() or before.startswith(_PREAMBLES))


def _role(head: re.Match[str]) -> Role | None:
    return _ROLES.get(head[1].lower())


def _closed(words: str, style: Style) -> tuple[str, str]:
    """A turn's words without what closes them or only separates turns; and what stands behind their end."""
    if style.end:
        said, end, behind = words.partition(style.end)
        if end:  # the words are as they stand between mark and end
            return said, _without_tail(behind)
    return _without_tail(words), ""


def _without_tail(words: str) -> str:
    words = words.strip()
    while words.endswith(">") and words.endswith(_TAILS):
        tail = next(tail for tail in _TAILS if words.endswith(tail))
        words = words[: -len(tail)].rstrip()
    return words
