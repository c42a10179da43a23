"""Role marks inside plain text, such as "### Human:" or ChatML -> turns.

A text that begins with a mark (or with one of the usual preambles) and in which a user's mark and an assistant's stand
is a conversation. In any other text marks are only noticed: a page about ChatML is no chat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

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


@dataclass(frozen=True)
class Style:
    """One way to write turns into a text. `head`: a turn's mark, its group the role; `end`: what closes a turn."""

    name: str
    head: str
    needs: tuple[str, ...]  # one of these stands in any text with an assistant's mark, or with any mark if `inside`
    end: str = ""
    inside: bool = True  # the mark is no ordinary writing: one of them alone is told

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(self.head)


_LINE = r"(?:\A|(?<=\n))[^\S\n]*"  # marks in plain words stand at the beginning of a line
STYLES = (
    Style("<|im_start|>", r"<\|im_start\|>[^\S\n]*(\w+)[^\S\n]*(?:\n|\Z)", ("<|im_start|>",), "<|im_end|>"),
    Style("<|start_header_id|>", r"<\|start_header_id\|>\s*(\w+)\s*<\|end_header_id\|>(?:\n\n|\n|\Z)?",
          ("<|start_header_id|>",), "<|eot_id|>"),
    Style("<start_of_turn>", r"<start_of_turn>[^\S\n]*(\w+)[^\S\n]*(?:\n|\Z)", ("<start_of_turn>",), "<end_of_turn>"),
    Style("<|START_OF_TURN_TOKEN|>", r"<\|START_OF_TURN_TOKEN\|><\|(\w+?)_TOKEN\|>",
          ("<|START_OF_TURN_TOKEN|>",), "<|END_OF_TURN_TOKEN|>"),
    Style("<|user|>", r"<[|｜](system|user|assistant|prompter|observation|User|Assistant)[|｜]>:?", ("|>", "｜>")),
    Style("[INST]", r"(\[INST\]|\[/INST\])", ("INST]",)),
    Style("<human>:", r"<(human|bot|user|assistant)>:", (">:",)),
    Style("### Human:", r"### ?(Human|User|Prompter|System|Instruction|Input|Assistant|Response|AI|Bot)[^\S\n]*:",
          ("### A", "### R", "### B", "###A", "###R", "###B"), inside=False),
    Style("Human:", r"(?:\A|\n\n)(Human|Assistant):", ("\n\nAssistant:",), inside=False),
    Style("USER:", r"(?:\A|(?<=\s)|(?<=</s>))(USER|ASSISTANT|SYSTEM):", ("ASSISTANT:",), inside=False),
    Style("User:", _LINE + r"(User|Human|System|Assistant|AI|Bot|Instruction|Response):",
          ("Assistant:", "AI:", "Bot:", "Response:"), inside=False),
)  # fmt: skip


@lru_cache(maxsize=8)  # the same text is asked about where it is recognised, split and scored
def style_of(text: str) -> Style | None:
    """The style of a text that is a whole conversation; None for any other text."""
    body = _body(text)
    return next((style for style in _styles(body) if _is_whole(style, body)), None)


def held_marks(text: str) -> str | None:
    """The marks that a text holds, by name; None where it holds none."""
    for style in _styles(text):
        roles = {_role(head) for head in style.pattern.finditer(text)}
        if {"user", "assistant"} <= roles or (style.inside and roles - {None}):
            return style.name
    return None


def split(text: str, style: Style, first: Role | None = None) -> list[Turn]:
    """The turns of a conversation, none scored. `first`: whose words stand before the first mark."""
    body = _body(text) if first is None else text
    before, pieces = _pieces(body, style)
    turns = [Turn(first or "system", _closed(before, style)[0])] if first or before.strip() else []
    for head, words in pieces:
        said = _closed(words, style)[0]
        if head[1] == "Input" and turns and turns[-1].role == "user":  # the second part of an Alpaca question
            turns[-1] = Turn("user", f"{turns[-1].content}\n{said}")
        elif said.startswith("<<SYS>>") and "<</SYS>>" in said:
            system, _, asked = said[len("<<SYS>>") :].partition("<</SYS>>")
            turns += [Turn("system", system.strip()), Turn("user", asked.strip())]
        else:
            turns.append(Turn(_role(head) or "user", said))
    return turns


def raw(text: str, style: Style) -> list[Turn]:
    """The same text whole: what each says, and the marks and blanks around it, as turns to lay end to end."""
    at = 0
    turns: list[Turn] = []
    start = len(text) - len(_body(text))
    for head, words in _pieces(text[start:], style)[1]:
        said = _closed(words, style)[0]
        begin = start + head.end() + words.find(said)
        turns.append(Turn("user", text[at:begin]))
        at = begin + len(said)
        turns.append(Turn(_role(head) or "user", said))
    return [turn for turn in (*turns, Turn("user", text[at:])) if turn.content]


def begins_answer(text: str, style: Style) -> bool:
    """Whether a text opens with the assistant's mark."""
    head = style.pattern.match(_body(text))
    return head is not None and _role(head) == "assistant"


def opens_answer(text: str) -> bool:
    """The same in any style."""
    return any(begins_answer(text, style) for style in _styles(text))


def _body(text: str) -> str:
    """The text without blanks and a begin-of-text token before it."""
    return text[_BEGIN.match(text).end() :]  # type: ignore[union-attr]


@lru_cache(maxsize=8)
def _styles(text: str) -> list[Style]:
    if ">" not in text and ":" not in text and "]" not in text:  # one of them ends any mark
        return []
    return [s for s in STYLES if any(need in text for need in s.needs) and s.pattern.search(text)]


def _pieces(body: str, style: Style) -> tuple[str, list[tuple[re.Match[str], str]]]:
    """What stands before the first mark; and each mark with the words after it."""
    heads = list(style.pattern.finditer(body))
    starts = [head.start() for head in heads] + [len(body)]
    words = [body[head.end() : end] for head, end in zip(heads, starts[1:], strict=True)]
    return body[: starts[0]], list(zip(heads, words, strict=True))


def _is_whole(style: Style, body: str) -> bool:
    """User and assistant speak, the user first; nothing stands between turns, and before them a preamble at most."""
    before, pieces = _pieces(body, style)
    roles = [_role(head) for head, _ in pieces]
    if None in roles or "assistant" not in roles or next((r for r in roles if r != "system"), None) != "user":
        return False
    if any(_closed(words, style)[1].strip() for _, words in pieces):
        return False
    return not before.strip() or before.startswith(_PREAMBLES)


def _role(head: re.Match[str]) -> Role | None:
    return _ROLES.get(head[1].lower())


def _closed(words: str, style: Style) -> tuple[str, str]:
    """A turn's words without what closes them or only separates turns; and what stands behind their end."""
    words, end, rest = words.partition(style.end) if style.end else (words, "", "")
    if end:  # the words are as they stand between mark and end
        return words, _without_tail(rest)
    return _without_tail(words).strip(), ""


def _without_tail(words: str) -> str:
    words = words.rstrip()
    while words.endswith(_TAILS):
        tail = next(tail for tail in _TAILS if words.endswith(tail))
        words = words[: -len(tail)].rstrip()
    return words
