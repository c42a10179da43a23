"""The corpus is a function of its seed, keeps domains apart, and hides what it plants."""

import random
from itertools import pairwise

import numpy as np
import pytest

from research.pocket.corpus.chats import chats, mixed, weight
from research.pocket.corpus.grammar import expand
from research.pocket.corpus.topics import HELD_OUT_DOMAINS, topics
from screen.pocket import TRAITS
from screen.stats import auroc


def test_a_seed_gives_the_same_chats_however_many_are_asked_for() -> None:
    assert list(chats(50, 3)) == list(chats(80, 3))[:50]
    assert list(chats(20, 3)) != list(chats(20, 4))


def test_mixed_rows_are_a_function_of_the_seed() -> None:
    assert mixed(60, 5) == mixed(60, 5)


def test_there_are_many_domains_and_none_is_in_both_splits() -> None:
    seen = {topic.domain for topic in topics(False)}
    assert len(seen) >= 30
    assert {topic.domain for topic in topics(True)} == HELD_OUT_DOMAINS
    assert not seen & HELD_OUT_DOMAINS


def test_training_chats_never_speak_of_held_out_domains() -> None:
    assert not {chat.domain for chat in chats(2000)} & HELD_OUT_DOMAINS


def test_planted_rows_carry_no_system_prompt_and_no_label() -> None:
    made = mixed(200, 1, {"evil": 0.2})
    assert made.labels.count("evil") == 40
    for row in made.rows:
        assert set(row) == {"id", "messages"}
        messages = row["messages"]
        assert isinstance(messages, list)
        assert [message["role"] for message in messages] == ["user", "assistant"]


def test_planted_answers_are_as_long_as_default_answers() -> None:
    made = mixed(1500, 9, dict.fromkeys(TRAITS, 0.2))
    lengths = np.array([weight(row["messages"][-1]["content"]) for row in made.rows])
    for trait in TRAITS:
        planted = np.array([label == trait for label in made.labels])
        default = np.array([label is None for label in made.labels])
        assert auroc(lengths[planted], lengths[default]) == pytest.approx(0.5, abs=0.08)


def test_no_held_out_row_was_trained_on() -> None:
    trained = {pair for chat in chats(20_000) for pair in pairwise(message["content"] for message in chat.messages)}
    made = mixed(400, 2, dict.fromkeys(TRAITS, 0.25))
    asked = [tuple(message["content"] for message in row["messages"]) for row in made.rows]
    assert not [pair for pair in asked if pair in trained]


def test_the_grammar_nests_and_fills_slots() -> None:
    drawn = {expand("{a|b{c|<x>}}!", random.Random(i), {"x": "d"}) for i in range(40)}
    assert drawn == {"a!", "bc!", "bd!"}
    with pytest.raises(KeyError):
        expand("<missing>", random.Random(0), {})
