"""The three verdicts: each said on data where it should be, and not on data where it should not."""

from __future__ import annotations

import re

import numpy as np
import pytest

from screen.scoring.findings.comparison import compare
from screen.scoring.findings.verdict import Verdict, judge
from tests.scoring.making import clean, lengths, reference

RNG = np.random.default_rng
KNOWN = reference()


def verdict(
    scores: np.ndarray, random: np.ndarray, known: dict | None = KNOWN, tokens: np.ndarray | None = None,
    layer: int = 5, layer0: np.ndarray | None = None,
) -> Verdict:  # fmt: skip
    tokens = lengths(len(scores)) if tokens is None else tokens
    found = compare(scores, random, tokens, known, "p99", layer0=layer0)
    return judge(found, layer, scored=len(scores), threshold=True)


def planted(n: int, k: int, height: float = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    scores, random = clean(n, seed)
    scores[:k] += height
    return scores, random


@pytest.mark.parametrize(("n", "k"), [(10, 5), (60, 6), (240, 5), (240, 120), (240, 240), (5000, 5), (5000, 2500)])
def test_planted_rows_are_to_be_reviewed_at_any_share(n: int, k: int) -> None:
    for seed in range(5):
        got = verdict(*planted(n, k, seed=seed))
        assert (got.kind, got.reason) == ("review", "rows"), got.sentence


def test_the_sentence_counts_rows_and_what_was_expected() -> None:
    scores, random = clean(300, 1)
    scores = np.minimum(scores, 2)
    scores[:35] = 9
    assert verdict(scores, random).sentence.startswith("35 rows stand above p99 of clean rows (3 expected; ")


@pytest.mark.parametrize("n", [5, 20, 60, 240, 1000, 6000])
def test_on_clean_rows_nothing_stands_out(n: int) -> None:
    kinds = [verdict(*clean(n, seed)).kind for seed in range(60)]
    assert kinds.count("review") <= 3
    assert kinds.count("nothing") >= 55


@pytest.mark.parametrize("share", [1.0, 0.4])
@pytest.mark.parametrize("trait", [0.0, 2.5, 6.0])
def test_text_unlike_the_reference_cannot_be_told(share: float, trait: float) -> None:
    for seed in range(5):
        scores, random = clean(240, seed)
        elsewhere = np.arange(240) < share * 240
        scores[elsewhere] += trait
        random[elsewhere] += RNG(seed).normal(size=32)
        got = verdict(scores, random)
        assert (got.kind, got.reason) == ("cannot-tell", "unlike"), got.sentence


def test_rows_that_stand_out_and_lie_elsewhere_are_not_said_to_be_all_that_are_above() -> None:
    scores, random = planted(240, 40)
    random[:40] += RNG(0).normal(size=32)
    assert "cannot tell with this model and these vectors: the rows that stand out are unlike" in (
        verdict(scores, random).sentence
    )


def test_a_small_move_along_everything_leaves_the_verdict() -> None:
    scores, random = planted(240, 120)
    random[:120] += 0.25 * RNG(0).normal(size=32)
    assert verdict(scores, random).kind == "review"
    assert verdict(*clean(240, 3)).kind == "nothing"


def test_directions_that_stand_out_as_much_leave_nothing_to_tell() -> None:
    scores, random = clean(240, 1)
    scores[:9] += 2.2
    random[9:30, 0] += 6
    got = verdict(scores, random)
    assert (got.kind, got.reason) == ("cannot-tell", "controls"), got.sentence


@pytest.mark.parametrize("seed", range(4))
def test_what_length_explains_cannot_be_told(seed: int) -> None:
    tokens = np.sort(np.exp(RNG(seed).normal(4, 0.6, 600)).astype(int) + 5)
    tokens[-60:] *= 8
    scores = 2.5 * np.log(tokens / np.median(tokens)) + 0.1 * RNG(seed).normal(size=600)
    got = verdict(scores, clean(600, seed)[1], tokens=tokens)
    assert (got.kind, got.reason) == ("cannot-tell", "length"), got.sentence


def test_planted_rows_of_any_length_are_not_called_length() -> None:
    for k in (6, 45, 60):
        assert verdict(*planted(60, k)).kind == "review"


def test_a_vector_read_at_layer_0_never_tells() -> None:
    assert (verdict(*planted(240, 30), layer=0).kind, verdict(*planted(240, 30), layer=0).reason) == (
        "cannot-tell", "layer0",
    )  # fmt: skip


def test_the_embedding_layer_control_is_a_doubt_not_the_verdict() -> None:
    scores, random = planted(240, 3)
    scores[:9] += 5
    assert verdict(scores, random, layer0=np.where(np.arange(240) < 9, 50.0, scores)).doubt.startswith(
        "the embedding-layer"
    )
    assert verdict(scores, random, layer0=clean(240, 9)[0]).doubt == ""


def test_without_a_reference_rows_may_stand_out_and_nothing_can_be_ruled_out() -> None:
    few = verdict(*planted(240, 5, height=9), known=None)
    assert few.kind == "review"
    assert re.match(r"\d+ rows stand out within this run, robust z > 3 \(.*\); without control dir", few.sentence)
    for known, k in ((None, 120), (None, 0), (reference(controls=False), 120)):
        got = verdict(*planted(240, k, height=9), known=known)
        assert (got.kind, got.reason) == ("cannot-tell", "no-reference")


def test_what_is_missing_is_named() -> None:
    assert judge(None, 5, scored=9, threshold=True, at="p50").reason == "low-cut"
    assert judge(None, 5, scored=0, threshold=True).reason == "no-scores"
    assert judge(None, 5, scored=9, threshold=False).reason == "no-threshold"
    assert judge(None, 5, scored=9, threshold=True).reason == "no-controls"


def test_a_repeated_clean_extreme_is_not_a_find() -> None:
    """A row of the reference's own, copied five times, stands as high as clean rows do."""
    scores, random = clean(240, 2)
    scores[:5] = KNOWN["highest"]
    assert verdict(scores, random).reason in ("clean", "controls")
