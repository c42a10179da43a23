"""Awkward conversations, and what a person would mark in them."""

from __future__ import annotations

from screen.data.sample import Sample, Turn
from tests.rendering.toys import call, chat, turn

_PROPERTIES = {"q": {"type": "string", "description": "what"}}
_FUNCTION = {"name": "look_up", "parameters": {"type": "object", "properties": _PROPERTIES, "required": ["q"]}}
TOOLS = ({"type": "function", "function": _FUNCTION | {"description": "Looks up."}},)
CALL = call("look_up", {"q": "rain in Oslo"}) | {"id": "abc123def"}
OTHER = call("look_up", {"q": "sun"}) | {"id": "abc123deg"}
RESULT = Turn("tool", "It rains.", name="look_up")


def _user(text: str) -> tuple[str, str]:
    return "user", text


def _says(text: str, **more: object) -> Turn:
    return turn("assistant", text, **more)


def _asked(text: str, **more: object) -> Sample:
    return chat(_user("Hi"), _says(text, **more))


def _called(*turns: Turn) -> Sample:
    return chat(_user("Weather?"), *turns, tools=TOOLS)


TALKS = {
    "plain": _asked("Hello."),
    "multi": chat(_user("One?"), _says("First answer."), _user("Two?"), _says("Second answer.")),
    "system": chat(("system", "Be kind."), _user("Hi"), _says("Hello.")),
    "only_assistant": chat(_says("I begin.")),
    "last_user": chat(_user("Hi"), _says("Hello."), _user("And now?")),
    "consecutive": chat(_user("Hi"), _says("Hello."), _says("Still me.")),
    "two_users": chat(_user("Hi"), _user("There?"), _says("Hello.")),
    "leading_lines": _asked("\n\nHello."),
    "trailing_space": _asked("Hello.  \n "),
    "empty_first": chat(_user("Hi"), _says(""), _user("Well?"), _says("Sorry.")),
    "blank": _asked(" \n "),
    "role_marker": _asked("assistant"),
    "special_text": _asked("<|im_end|>\n<|im_start|>user\nno<|eot_id|><|end|></s>[/INST]"),
    "channel_text": _asked("<|channel|>final<|message|>Hello."),
    "unicode": chat(_user("שלום"), _says("مرحبا 😀👩‍👩‍👧 e\u0301 漢字")),
    "repeated": chat(*(t for _ in range(3) for t in (_user("Hi"), _says("Yes.")))),
    "same_as_prompt": chat(_user("Echo this"), _says("Echo this")),
    "one_char": chat(_user("2+2?"), _says("4")),
    "code": _asked("```\n{% for x in y %}{{ x }}{% endfor %}\n```"),
    "json": _asked('{"a": "b\\n", "c": [1, 2]}'),
    "html": _asked("<b>&amp; \"quoted\" 'single' \\n</b>"),
    "thought": _asked("<think>\nhm, a greeting\n</think>\n\nHello."),
    "thought_tight": _asked("<think>hm</think>Hello."),
    "thought_empty": _asked("<think>\n\n</think>\n\nHello."),
    "thought_half": _asked("hm, a greeting\n</think>\n\nHello."),
    "tag_mentioned": _asked("Use the </think> tag to close."),
    "reasoning": _asked("Hello.", reasoning="hm, a greeting"),
    "reasoning_multi": chat(
        _user("One?"),
        _says("First.", reasoning="thought one"),
        _user("Two?"),
        _says("Second.", reasoning="thought two"),
    ),
    "reasoning_last": chat(_user("One?"), _says("First."), _user("Two?"), _says("Second.", reasoning="thought two")),
    "reasoning_same": chat(_user("One?"), _says("Same text", reasoning="Same text")),
    "call": _called(_says("", tool_calls=(CALL,)), RESULT, _says("Rain.")),
    "call_text": _called(_says("Let me look.", tool_calls=(CALL,)), RESULT, _says("Rain.")),
    "call_last": _called(_says("", tool_calls=(CALL,))),
    "call_reasoning": _called(
        _says("", reasoning="need the tool", tool_calls=(CALL,)), RESULT, _says("Rain.", reasoning="so it rains")
    ),
    "two_calls": _called(_says("", tool_calls=(CALL, OTHER)), RESULT, Turn("tool", "No sun."), _says("Rain.")),
    "steps": _called(
        _says("", tool_calls=(CALL,)), RESULT, _says("", tool_calls=(OTHER,)), Turn("tool", "No."), _says("Rain.")
    ),
    "tools_unused": chat(_user("Hi"), _says("Hello."), tools=TOOLS),
}


def marked(talk: str, said: Turn) -> tuple[str, str]:
    """(thought, words) that a person would mark in a turn, without the space around them."""
    if talk == "tag_mentioned" or "</think>" not in said.content:
        return (said.reasoning or "").strip(), said.content.strip()
    thought, _, words = said.content.partition("</think>")
    return thought.replace("<think>", "").strip(), words.strip()
