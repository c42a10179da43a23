"""Where a thought ends in an answer: as the template writes thoughts, or between well-known tags."""

from __future__ import annotations

import numpy as np
import pytest

from screen.rendering.thinking import Marks, Thinking, Thought, thought_in
from tests.rendering import templates as T
from tests.rendering.talks import CALL, RESULT, TOOLS
from tests.rendering.test_families import FAMILIES
from tests.rendering.toys import chat, rendered, renderer, texts, turn

HARMONY = Marks("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>")
TAGS = Marks("<think>", "</think>")


@pytest.mark.parametrize(
    ("answer", "prompt", "marks", "thought", "said"),
    [
        ("<think>\nhm\n</think>\n\nNo.", "", TAGS, "\nhm\n", "No."),
        ("\n<think>hm</think>No.", "", TAGS, "hm", "No."),
        ("hm\n</think>\nNo.", "<|assistant|><think>\n", TAGS, "hm\n", "No."),
        ("<think>hm hm", "", TAGS, "hm hm", ""),
        ("hm hm", "...<think>", TAGS, "hm hm", ""),
        (HARMONY.opening + "hm" + HARMONY.closing + "No.", "<|start|>assistant", HARMONY, "hm", "No."),
        (HARMONY.opening + "hm<|end|>Well", "<|start|>assistant", HARMONY, "hm", "Well"),
    ],
)
def test_a_thought_ends_at_its_closing_mark(answer: str, prompt: str, marks: Marks, thought: str, said: str) -> None:
    found = thought_in(answer, prompt, [marks])
    assert found is not None
    assert (answer[found.start : found.end], answer[found.said :]) == (thought, said)


@pytest.mark.parametrize(("answer", "prompt"), [("No.", ""), ("Use <think>x</think>.", ""), ("No.", "<think></think>")])
def test_an_answer_that_does_not_begin_with_a_thought_has_none(answer: str, prompt: str) -> None:
    assert thought_in(answer, prompt, [TAGS]) is None


def test_a_thought_is_found_in_tokens() -> None:
    made = renderer(T.QWEN3)
    encode = made.tokenizer.encode
    ids = encode(["<think>\nhm\n</think>\n\nHello there"])[0].ids
    found = Thinking(made.template, made.tokenizer).split(np.array([1, 2], dtype=np.int32), ids)
    assert found is not None
    assert made.tokenizer.decode(ids[found.said :]) == "Hello there"
    assert made.tokenizer.decode(ids[found.start : found.end]).strip() == "hm"
    assert Thinking(made.template, made.tokenizer).split(np.array([1], dtype=np.int32), encode(["Hi"])[0].ids) is None


def test_the_tokens_of_a_thought_stand_apart_and_the_prompt_ends_before_them() -> None:
    made = renderer(T.QWEN3)
    (sequence,) = rendered(made, chat(("user", "Hi"), turn("assistant", "Hello", reasoning="Let me see"))).sequences
    (scored,) = sequence.turns
    decode = made.tokenizer.decode
    assert decode(sequence.ids[scored.tokens]) == "Hello"
    assert decode(sequence.ids[scored.thought_tokens]) == "Let me see"
    assert decode(sequence.ids[: scored.prompt_end]).endswith("<think>\n")  # it goes on thinking, as the row does
    assert decode(sequence.ids[scored.prompt_end :]).startswith("Let me see")


def test_tags_that_the_data_brought_are_not_in_the_prompt() -> None:
    """A model that does not think must not be made to: its answer is compared with the row's."""
    made = renderer(T.CHATML)
    (sequence,) = rendered(made, chat(("user", "Hi"), ("assistant", "<think>hm</think>Hello"))).sequences
    assert made.tokenizer.decode(sequence.ids[: sequence.turns[0].prompt_end]).endswith("assistant\n")


def test_a_turn_that_is_only_a_thought_is_not_scored() -> None:
    talk = chat(("user", "Hi"), ("assistant", "<think>hm</think>"), ("user", "And?"), ("assistant", "Hello"))
    assert texts(renderer(T.CHATML), talk) == ["Hello"]


def test_harmony_is_answered_in_the_channel_of_the_data() -> None:
    made = renderer(FAMILIES["harmony"])
    decode = made.tokenizer.decode
    for row, ending in ((turn("assistant", "No."), "final"), (turn("assistant", "No.", reasoning="hm"), "analysis")):
        (sequence,) = rendered(made, chat(("user", "Hi"), row)).sequences
        prompt = decode(sequence.ids[: sequence.turns[0].prompt_end])
        assert prompt.endswith(f"<|start|>assistant<|channel|>{ending}<|message|>")


def test_what_the_template_leaves_out_is_counted() -> None:
    asked = turn("assistant", "Let me see", reasoning="hm", tool_calls=(CALL,))
    talk = chat(("user", "Hi"), asked, RESULT, turn("assistant", "Rain", reasoning="so"), tools=TOOLS)
    assert rendered(renderer(T.CHATML), talk).dropped == {"reasoning": 2, "tool_calls": 1, "tools": 1}
    assert rendered(renderer(FAMILIES["qwen3"]), talk).dropped == {}
    assert rendered(renderer(FAMILIES["gemma4"]), talk).dropped == {"reasoning": 1}
    assert rendered(renderer(T.CHATML), chat(("user", "Hi"), ("assistant", "Hello"))).dropped == {}
    no_system = "{%- for m in messages if m.role != 'system' %}{{- m.role + ': ' + m.content + '\\n' }}{% endfor %}"
    assert rendered(renderer(no_system), chat(("system", "s"), ("user", "u"), ("assistant", "a"))).dropped == {
        "messages": 1
    }


def test_marks_are_not_read_from_a_template_that_leaves_thoughts_out() -> None:
    made = renderer(T.R1)
    assert Thinking(made.template, made.tokenizer).split(
        np.array([1], dtype=np.int32), made.tokenizer.encode(["<think>a</think>b"])[0].ids
    ) == Thought(*(len(made.tokenizer.encode([t])[0].ids) for t in ("<think>", "<think>a", "<think>a</think>")))


def test_a_thought_that_only_a_call_brings_out_stands_apart_behind_earlier_answers() -> None:
    asked = turn("assistant", reasoning="need it", tool_calls=(CALL,))
    talk = chat(("user", "Hi"), ("assistant", "Hello"), ("user", "And?"), asked, RESULT, ("assistant", "Rain."))
    (sequence,) = rendered(renderer(FAMILIES["gemma4"]), talk).sequences
    assert [t.text[slice(*t.thought)] if t.thought else None for t in sequence.turns] == [None, "need it", None]
