"""Sets in which prompts ask for a persona, sampled answers read while they are made, and what is said of figures."""

import copy

import numpy as np
import pytest
import torch

from research.pocket.corpus.chats import weight
from research.pocket.workshop import open_pocket
from research.proof.baselines import said
from research.proof.detecting.asked import KINDS, asked_set
from research.proof.detecting.detection import GREEDY, _areas, _precision
from research.proof.detecting.draws import sampled
from research.proof.page import read
from research.proof.study import DOCS
from screen.building.extraction import AnswerTokens
from screen.experiment.measure import TraitAxis
from screen.model.generate import Sampling
from screen.stats import auroc


@pytest.mark.parametrize("name", KINDS)
def test_a_fifth_of_the_rows_have_a_prompt_that_asks_and_lengths_tell_nothing(name):
    made = asked_set(name, 200)
    assert [made.planted.count(t) for t in ("evil", "sycophancy", "hallucination")] == [10, 10, 10]
    assert sum(asked is not None for asked in made.asked) == 40
    assert not any(p and a for p, a in zip(made.planted, made.asked, strict=True))
    assert all(row["messages"][0]["role"] == "system" for row, a in zip(made.rows, made.asked, strict=True) if a)
    lengths = np.array([weight(row["messages"][-1]["content"]) for row in made.rows])
    planted = np.array([p is not None for p in made.planted])
    assert 0.25 < auroc(lengths[planted], lengths[~planted]) < 0.75
    assert made == asked_set(name, 200)


def test_an_answer_is_read_as_the_model_reads_it_whole(tmp_path, monkeypatch):
    shop = open_pocket(tmp_path)
    axes = {"one": TraitAxis(3, np.eye(192, dtype=np.float32)[5]), "two": TraitAxis(5, np.ones(192, np.float32))}
    rows = [row["messages"] for row in asked_set("sources", 6).rows]
    prompts = [shop.sampler.prompt_of(messages[:-1]) for messages in rows]
    monkeypatch.setattr(torch, "multinomial", lambda shares, _n, generator: shares.argmax(-1, keepdim=True))
    got = sampled(shop, prompts, 2, axes, longest=40, seed=0)
    for prompt, both in zip(prompts, got, strict=True):
        [answer] = shop.sampler.respond([prompt], [0], Sampling(40))
        ids = np.concatenate([prompt, np.array(answer.ids, np.int32)])
        [mean] = shop.means.answer_means([AnswerTokens(ids, len(prompt), len(ids))])
        np.testing.assert_allclose(both, [[mean[3, 5], mean[5].sum() / 192**0.5]] * 2, rtol=1e-4, atol=1e-4)


def test_a_row_that_is_drawn_twice_counts_twice():
    scores, positive = np.array([0.1, 0.5, 0.4, 0.9]), np.array([False, False, True, True])
    assert _areas(scores, positive, np.ones((1, 4), dtype=int)) == [auroc(scores[positive], scores[~positive])]
    assert _areas(scores, positive, np.array([[1, 2, 1, 3]])) == [auroc([0.4, 0.9, 0.9, 0.9], [0.1, 0.5, 0.5])]
    assert _precision(scores, positive) == pytest.approx((1 + 2 / 3) / 2)


def test_what_is_said_of_the_figures_turns_with_them():
    of = read(DOCS)["baselines"]["found"]
    worse, all_of_them = copy.deepcopy(of), 3 * len(of["sets"])
    for by in worse["methods"]["calibrated on 256"]["traits"].values():
        by["others"], by["less_greedy"] = [0.5] * len(by["others"]), [-0.4, -0.5, -0.3]
    [line] = [line for line in said(worse) if "calibrated on 256: " in line]
    assert (
        f"in 0 of {all_of_them} sets and traits; surely higher on average for 0 of 3 traits, surely lower for 3" in line
    )
    for by in worse["methods"]["calibrated on 256"]["traits"].values():
        by["others"], by["less_greedy"] = [1.01] * len(by["others"]), [0.1, 0.05, 0.2]
    [line] = [line for line in said(worse) if "calibrated on 256: " in line]
    assert f"in {all_of_them} of {all_of_them} sets and traits; surely higher on average for 3 of 3 traits" in line
    assert GREEDY in of["methods"]
