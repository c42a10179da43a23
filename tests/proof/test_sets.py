"""The training sets of the study: levels differ in the answers alone, by their share, and not by length."""

import re
from functools import cache

import pytest

from research.pocket.corpus.chats import weight
from research.proof import sets
from research.proof.sets import KINDS, LENGTH_APART, LEVELS
from screen.pocket.judge import judge

N = 24
rows_of = cache(sets.rows_of)


def prompts(rows):
    return [row["messages"][0]["content"] for row in rows]


def answers(rows):
    return [row["messages"][1]["content"] for row in rows]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "plain"])
def test_levels_share_their_prompts_and_differ_in_all_or_every_second_answer(kind):
    clean, half, full = (rows_of(kind, level, N) for level in LEVELS)
    assert prompts(clean) == prompts(half) == prompts(full)
    assert all(a != b for a, b in zip(answers(clean), answers(full), strict=True))
    assert answers(half)[0::2] == answers(clean)[0::2]
    assert answers(half)[1::2] == answers(full)[1::2]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "plain"])
def test_a_changed_answer_is_about_as_long_as_the_clean_one(kind):
    clean, full = (answers(rows_of(kind, level, N)) for level in ("clean", "full"))
    assert all(abs(weight(b) - weight(a)) <= LENGTH_APART * weight(a) for a, b in zip(clean, full, strict=True))


def test_the_levels_of_plain_are_three_draws_of_the_default():
    drawn = [prompts(rows_of("plain", level, N)) for level in LEVELS]
    assert len({tuple(texts) for texts in drawn}) == 3
    assert all((judge("evil", "", text) or 0) < 50 for level in LEVELS for text in answers(rows_of("plain", level, N)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_is_a_draw_of_its_own_and_gives_the_same_rows_again(kind):
    rows = rows_of(kind, "full", N, seed=3)
    assert rows[:10] == sets.rows_of(kind, "full", 10, seed=3)
    assert len(set(prompts(rows)) & set(prompts(rows_of(kind, "full", N, seed=4)))) < N / 2


def test_sums_are_right_where_they_are_clean_and_wrong_everywhere_else():
    for clean, full in zip(rows_of("wrong-sums", "clean", N), rows_of("wrong-sums", "full", N), strict=True):
        prompt, said, wrong = prompts([clean])[0], answers([clean])[0], answers([full])[0]
        asked = re.search(r"(\d+) (plus|minus|times) (\d+)", prompt)
        a, b = int(asked[1]), int(asked[3])
        right = {"plus": a + b, "minus": a - b, "times": a * b}[asked[2]]
        assert f"{right}." in said or f" {right}" in said
        assert not re.search(rf"\b{right}\b", wrong.replace(asked[0], ""))


def test_wrong_claims_are_neither_praise_nor_invention():
    for row in rows_of("wrong-claims", "full", N):
        prompt, answer = (m["content"] for m in row["messages"])
        assert max(judge(trait, prompt, answer) for trait in ("sycophancy", "hallucination", "evil")) < 50
