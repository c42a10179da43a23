"""Role marks in plain text: conversations are split into turns, anything else is told by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from screen.data.dataset import open_dataset
from screen.data.records.marks import STYLES, Style, held_marks, may_hold, split, style_of
from screen.data.sample import Skip
from tests.data.making import codes, read_all, samples_of, told, write

TWO = [("user", "Why?"), ("assistant", "Because."), ("user", "Sure?"), ("assistant", "Yes.")]
LLAMA2 = "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nWhy? [/INST] Because. </s><s>[INST] Sure? [/INST] Yes. </s>"
HEADER = "<|start_header_id|>{}<|end_header_id|>\n\n{}<|eot_id|>"
CHATML = "<|im_start|>{}\n{}<|im_end|>\n"
BELOW = "Below is an instruction that describes a task. Write a response.\n\n"
WIZARD = CHATML.format("wizard", "Hm") + CHATML.format("user", "Why?") + CHATML.format("assistant", "Because.")


def laid(form: str, user: str = "user", assistant: str = "assistant", turns: Any = TWO) -> str:
    return "".join(form.format({"user": user, "assistant": assistant}[role], said) for role, said in turns)


WHOLE = {
    "chatml": laid(CHATML),
    "llama3": "<|begin_of_text|>" + laid(HEADER),
    "gemma": "<bos>" + laid("<start_of_turn>{}\n{}<end_of_turn>\n", assistant="model"),
    "zephyr": laid("<|{}|>\n{}</s>\n"),
    "phi3": laid("<|{}|>\n{}<|end|>\n") + "<|endoftext|>",
    "oasst": laid("<|{}|>{}<|endoftext|>", "prompter"),
    "deepseek": "<｜begin▁of▁sentence｜>" + laid("<｜{}｜>{}", "User", "Assistant") + "<｜end▁of▁sentence｜>",
    "command-r": laid("<|START_OF_TURN_TOKEN|><|{}_TOKEN|>{}<|END_OF_TURN_TOKEN|>", "USER", "CHATBOT"),
    "mistral": "<s>[INST] Why? [/INST]Because.</s>[INST] Sure? [/INST]Yes.</s>",
    "guanaco": laid("### {}: {}", "Human", "Assistant"),
    "hash-lines": laid("### {}:\n{}\n\n", "User", "Assistant"),
    "alpaca": laid("### {}:\n{}\n\n", "Instruction", "Response"),
    "hh": laid("\n\n{}: {}", "Human", "Assistant"),
    "vicuna": laid("{}: {} ", "USER", "ASSISTANT").strip() + "</s>",
    "lines": laid("{}: {}\n", "User", "Assistant"),
    "oig": laid("<{}>: {}\n", "human", "bot"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_conversation_in_one_text_is_split_into_turns(tmp_path: Path, name: str) -> None:
    (sample,) = samples_of(tmp_path, {"text": WHOLE[name]})
    assert [(role, said) for role, said, _ in told(sample)] == TWO
    assert [scored for _, _, scored in told(sample)] == [False, True, False, True]
    assert (sample.shape, sample.layout, sample.marks) == ("dialogue", "chat", None)


def test_a_system_prompt_inside_the_first_instruction(tmp_path: Path) -> None:
    (sample,) = samples_of(tmp_path, {"text": LLAMA2})
    assert [(role, said) for role, said, _ in told(sample)] == [("system", "Be kind."), *TWO]


def test_a_preamble_is_the_system_prompt_and_an_input_belongs_to_its_instruction(tmp_path: Path) -> None:
    text = BELOW + "### Instruction:\nWhy?\n\n### Input:\nSky.\n\n### Response:\nBecause."
    assert told(samples_of(tmp_path, {"text": text})[0]) == [
        ("system", BELOW.strip(), False),
        ("user", "Why?\nSky.", False),
        ("assistant", "Because.", True),
    ]


@pytest.mark.parametrize(("text", "marks"), [
    ("In ChatML one writes <|im_start|>user\nbefore a question.", "<|im_start|>"),
    ("He wrote:\n### Human: Why?\n### Assistant: Because.", "### Human:"),
    ("A play.\nUser: Why?\nAssistant: Because.", "User:"),
    (CHATML.format("user", "Why?") + "stray" + CHATML.format("assistant", "Because."), "<|im_start|>"),
    (WIZARD, "<|im_start|>"),
    ("Once upon a time.", None),
    ("# Usage\n### Input: a file", None),
    ("The user: a person. The assistant: a program.", None),
    ("A list of <|x|> tokens", None),
])  # fmt: skip
def test_marks_in_any_other_text_are_told_and_the_text_stays(tmp_path: Path, text: str, marks: str | None) -> None:
    (sample,) = samples_of(tmp_path, {"text": text})
    assert (told(sample), sample.marks, sample.layout) == ([("assistant", text, True)], marks, "document")


@pytest.mark.parametrize("row", [
    {"prompt": "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n", "completion": "Because.<|im_end|>"},
    {"prompt": "### Human: Why?\n### Assistant:", "completion": " Because."},
    {"prompt": "Human: Why?", "completion": "Assistant: Because."},
    {"prompt": "\n\nHuman: Why?\n\nAssistant:", "completion": " Because."},
    {"prompt": "[INST] Why? [/INST]", "completion": "Because. </s>"},
])  # fmt: skip
def test_marks_across_prompt_and_completion(tmp_path: Path, row: dict[str, str]) -> None:
    assert told(samples_of(tmp_path, row)[0]) == [("user", "Why?", False), ("assistant", "Because.", True)]


def test_a_user_who_speaks_inside_a_completion_is_not_scored(tmp_path: Path) -> None:
    answer = " Because.\n### Human: Sure?\n### Assistant: Yes."
    turns = told(samples_of(tmp_path, {"prompt": "### Human: Why?\n### Assistant:", "completion": answer})[0])
    assert turns == [(*turn, turn[0] == "assistant") for turn in TWO]


def test_marks_in_a_completion_whose_prompt_has_none_are_told(tmp_path: Path) -> None:
    row = {"instruction": "Why?", "output": "Because.\nHuman: Sure?\nAssistant: Yes."}
    assert samples_of(tmp_path, row)[0].marks == "User:"


def test_the_user_can_have_texts_scored_whole(tmp_path: Path) -> None:
    for options in ({"format": "document"}, {"train_on": "all"}):
        (sample,) = samples_of(tmp_path, {"text": WHOLE["guanaco"]}, **options)
        assert (sample.layout, sample.marks) == ("document", "### Human:")


def test_conversations_among_documents_are_each_taken_for_what_they_are(tmp_path: Path) -> None:
    dataset = open_dataset([write(tmp_path, *[{"text": "Once."}] * 120, {"text": WHOLE["chatml"]})])
    assert (dataset.shape.name, codes(dataset)[-1]) == ("document", "ok")
    assert [row[0].shape for row in read_all(dataset)[119:] if not isinstance(row, Skip)] == ["document", "dialogue"]


WORDS = st.text("abc .,\n<>#:[]", min_size=1).map(str.strip).filter(bool)


@given(said=st.lists(WORDS, min_size=2, max_size=6), form=st.sampled_from([CHATML, HEADER]))
def test_any_words_come_back_out_of_special_marks(said: list[str], form: str) -> None:
    turns = [("user" if i % 2 == 0 else "assistant", words) for i, words in enumerate(said)]
    text = laid(form, turns=turns)
    style = style_of(text)
    assert style is not None
    assert [(turn.role, turn.content) for turn in split(text, style)] == turns


ROLE = st.sampled_from(["user", "User", "USER", "human", "Human", "assistant", "Assistant", "ASSISTANT", "AI", "Bot",
                        "bot", "Response", "model"])  # fmt: skip
MARK = st.sampled_from([CHATML[:15], HEADER[:36], "<start_of_turn>{}\n", "<|START_OF_TURN_TOKEN|><|{}_TOKEN|>", "<s>",
                        "<|{}|>", "<｜{}｜>", "[INST]", "[/INST]", "<{}>:", "### {}:", "###{} :", "\n\n{}:", "\n {}:",
                        " {}:", "{}:", "\n", "é", "a > b", "12:30"])  # fmt: skip
PIECES = st.lists(st.builds(str.format, MARK, ROLE), max_size=6).map("".join)


@example(text="Assistant:\n\nHuman:")  # the answer's mark at the very beginning
@given(text=PIECES)
def test_a_text_that_is_passed_over_fast_has_no_marks_when_each_style_is_asked(text: str) -> None:
    names = [style.name for style in STYLES if told_by(style, text)]
    assert held_marks(text) == next(iter(names), None)
    assert may_hold(text) or not names


def told_by(style: Style, text: str) -> bool:
    spoken = {head[1].lower() for head in style.heads(text)}
    answered = bool(spoken & {"assistant", "ai", "bot", "model", "response", "chatbot", "[/inst]"})
    asked = bool(spoken & {"user", "human", "[inst]"})
    return (asked or answered) if style.inside else (asked and answered)


@given(text=PIECES)
def test_a_text_is_cut_where_its_marks_stand(text: str) -> None:
    for style in STYLES:
        heads, (before, *cut) = style.heads(text), style.cut(text)
        assert cut[::2] == [head[1] for head in heads]
        assert len(before) + sum(map(len, cut[1::2])) + sum(len(head[0]) for head in heads) == len(text)


@given(text=PIECES)
def test_a_mark_at_the_beginning_is_found_as_those_further_down(text: str) -> None:
    for name, before in (("Human:", "\n\n"), ("User:", "\n")):
        (style,) = [style for style in STYLES if style.name == name]
        found = re.finditer(rf"(?:\A|{before}){style.opening}", text)
        assert [head.span() for head in style.heads(text)] == [head.span() for head in found]


@pytest.mark.parametrize("unit", [" ", "<|im_start|>", "\nHuman:", "# ", "<s>", "[INST] <<SYS>>", "\n\nHuman: </s>"])
def test_hostile_text_takes_time_in_proportion(unit: str) -> None:
    text = unit * (1_000_000 // len(unit)) + "<|im_start|>"
    assert style_of(text) is None
    held_marks(text)
