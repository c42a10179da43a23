"""Answers that a user gives in a file, and what counts as a refusal."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from screen.baselines.answers_file import GivenAnswers
from screen.baselines.refusal import asks_back, refuses
from screen.data.sample import Place, Sample, Turn
from screen.errors import InputError


def given(tmp_path: Path, text: str) -> GivenAnswers:
    (tmp_path / "a.jsonl").write_text(text)
    return GivenAnswers(tmp_path / "a.jsonl")


def sample(row: int, id: str | None, *scored: bool) -> Sample:
    turns = tuple(Turn("assistant" if s else "user", "x", scored=s) for s in scored)
    return Sample(Place(row, "f", None, 0, 1, ""), "messages", "chat", turns, id)


def test_answers_are_found_by_row_or_id_and_turn(tmp_path: Path) -> None:
    lines = '{"row": 0, "text": "a"}\n\n{"id": 7, "answer": "b"}\n{"row": 0, "turn": 3, "response": "c"}\n'
    answers = given(tmp_path, lines + '{"row": 1, "turn": 1, "text": 5, "output": "d"}')
    assert answers.sha256 == hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest()
    two = sample(0, "7", False, True, False, True)
    assert (answers.find(two, 1), answers.find(two, 3)) == (["a", "b"], ["a", "c", "b"])
    assert answers.find(sample(1, None, False, True), None) == ["d"]  # its only scored turn need not be named
    assert answers.find(sample(2, None, False, True), None) == []


@pytest.mark.parametrize(("line", "message"), [
    ('{"row": 0, "text": 1}', ":2: no text, or neither row nor id"),
    ('{"row": true, "text": "a"}', ":2: no text, or neither row nor id"),
    ('{"row": 0, "turn": "1", "text": "a"}', ":2: no text, or neither row nor id"),
    ("[1]", ":2: not an object"),
    ("{", ":2: not JSON"),
])  # fmt: skip
def test_a_line_that_is_no_answer_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        given(tmp_path, '{"row": 0, "text": "a"}\n' + line)


def test_a_file_without_answers_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no answers"):
        given(tmp_path, "\n \n")
    with pytest.raises(InputError, match="No such file"):
        GivenAnswers(tmp_path / "none")


CANNOT = "I can\u2019t help with that."


def test_a_refusal_stands_in_the_first_200_characters_outside_a_thought() -> None:
    assert refuses("." * (200 - len(CANNOT)) + CANNOT)
    assert not refuses("." * 201 + CANNOT)
    assert refuses("<think>" + "x" * 300 + "</think>\n" + CANNOT)
    assert not refuses(f"<think>\n{CANNOT}\n</think> Sure.")
    assert not refuses("I can help with that.")


def test_what_asks_back_is_short_and_ends_in_a_question() -> None:
    ask = "Could you clarify?"
    assert asks_back("x" * (400 - len(ask) - 1) + " " + ask)
    assert not asks_back("x" * (400 - len(ask)) + " " + ask)
    assert asks_back(f"<think>{'x' * 500}</think> {ask} ")
    assert not asks_back("Could you clarify.")
    assert not asks_back("Nice, isn't it?")


def rendered(prompt_end: int, thought: list[int], tokens: list[int]) -> Any:
    places = {"tokens": np.array(tokens), "thought_tokens": np.array(thought, dtype=np.int64)}
    turn = SimpleNamespace(turn=1, prompt_end=prompt_end, **places)
    return SimpleNamespace(sequences=[SimpleNamespace(ids=np.arange(100, 110, dtype=np.int32), turns=[turn])])


@pytest.mark.parametrize(("thought", "tokens", "said", "inside"), [
    ([3, 4], [6, 7], 4, (1, 3)), ([], [2, 7], 0, (0, 0)), ([], [7], 5, (0, 0)),
])  # fmt: skip
def test_a_given_answer_is_what_the_template_makes_of_it(
    tmp_path: Path, thought: list[int], tokens: list[int], said: int, inside: tuple[int, int]
) -> None:
    answers = given(tmp_path, '{"row": 4, "text": "I cannot help with that."}')
    asked: list[Sample] = []
    renderer = SimpleNamespace(render=lambda wanted: asked.extend(wanted) or [rendered(2, thought, tokens)])
    found = answers.of([(sample(4, None, False, True), rendered(2, [], [5]))], renderer)  # type: ignore[arg-type]
    assert [[(t.content, t.scored) for t in s.turns] for s in asked] == [
        [("x", False), ("I cannot help with that.", True)]
    ]
    [[made]] = [found[4, 0]]
    assert (made.prompt.tolist(), made.answer.ids) == ([100, 101], (102, 103, 104, 105, 106, 107))
    assert (made.answer.said, made.answer.thought, made.answer.refused) == (said, inside, True)
