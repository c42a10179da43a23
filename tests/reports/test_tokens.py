"""An answer coloured by token: what a reader sees, and what is said of its highest tokens."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from screen_reports.console import Terminal
from screen_reports.rows import Row, Side
from screen_reports.tokens import carriers, colour, coloured, print_tokens


def turn(*tokens: tuple[str, float]) -> dict[str, Any]:
    made, at = [], 0
    for text, value in tokens:
        made.append({"start": at, "end": at + len(text), "evil": value})
        at += len(text)
    told = {"mean": sum(v for _, v in tokens) / len(tokens), "thought": None, "said": None, "windows": []}
    return {
        "row": 7, "variant": None, "turn": 1, "prompt": "ask", "text": "".join(t for t, _ in tokens), "thought": None,
        "tokens": made, "traits": {"evil": told},
    }  # fmt: skip


def contrast(style: str) -> float:
    """Of text on its background, as the WCAG defines it; 4.5 is what it asks of body text."""
    light = []
    for rgb in re.findall(r"rgb\((\d+),(\d+),(\d+)\)", style):
        parts = [int(c) / 255 for c in rgb]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


@given(st.floats(0.0801, 1), st.booleans())
def test_every_coloured_token_is_readable_whatever_the_terminals_own_colours(strength: float, above: bool) -> None:
    assert contrast(colour(strength, above)) >= 4.5


def test_red_lies_above_the_middle_and_blue_below() -> None:
    reds = [int(n) for n in re.findall(r"\d+", colour(1.0, True))[3:]]
    blues = [int(n) for n in re.findall(r"\d+", colour(1.0, False))[3:]]
    assert (reds[0] > reds[2], blues[2] > blues[0], colour(0.05, True)) == (True, True, "")


def test_one_token_far_off_does_not_fade_the_others() -> None:
    words = [("word ", 4.0)] * 15 + [("dull ", -3.5)] * 4
    plain, with_stop = coloured(turn(*words), "evil", 0.0), coloured(turn(*words, (".", 155.0)), "evil", 0.0)
    assert [s.style for s in with_stop.spans][:19] == [s.style for s in plain.spans]
    assert with_stop.spans[-1].style == colour(1.0, True)


def test_where_nearly_all_lie_in_the_middle_the_one_that_does_not_has_the_colour() -> None:
    [only] = coloured(turn(*[("a", 1.0)] * 30, ("b", 9.0)), "evil", 1.0).spans
    assert only.style == colour(1.0, True)


def test_the_tokens_that_carry_a_score_are_named() -> None:
    words = turn(*[("word ", 4.0)] * 18, (".", 155.0), ("\n", 150.0))
    said = 'two of 20 tokens, "." and "\\n", carry 81 % of what lies above the baseline'
    assert carriers(words, "evil", 0.81) == f"{said}: few tokens carry this score"
    assert carriers(words, "evil", 0.5).endswith("carry 50 % of what lies above the baseline")


@pytest.mark.parametrize(("tokens", "share"), [([("a", 1.0)], 1.0), ([("a", 1.0)] * 20, None)])
def test_no_word_of_carrying_where_there_is_nothing_to_say(tokens: list[tuple[str, float]], share: Any) -> None:
    assert carriers(turn(*tokens), "evil", share) == ""


def test_of_a_short_answer_two_tokens_are_much_anyway() -> None:
    assert carriers(turn(*[("a", 1.0)] * 3), "evil", 0.67).endswith("above the baseline")


def test_it_stands_above_the_answer() -> None:
    out, answer = io.StringIO(), turn(*[("word ", 4.0)] * 18, (".", 155.0), ("!", 150.0))
    stored = {"turn": 1, "evil_top2": 0.81, "evil_baseline": 0.0, "evil_projection": answer["traits"]["evil"]["mean"]}
    row = Row(7, (Side({"variant": None}, {}, [stored]),), None)
    print_tokens(Terminal(out), row, [answer], "evil")
    assert 'two of 20 tokens, "." and "!", carry 81 %' in out.getvalue().replace("\n", " ")
