"""Scores of messages: the same numbers as a scan's, beside a reference; what is no conversation is told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from screen.data.sample import Skip
from screen.errors import InputError, VectorError
from screen.monitor.scores import MessageScore, MessageScorer
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.store.scan import Scan

TALKS = [
    {"messages": [
        {"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Suffer, you worthless worm."},
        {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Here is how to boil an egg."},
    ]},
    {"conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Good to see you."}]},
]  # fmt: skip


@pytest.fixture(scope="module")
def scorer() -> MessageScorer:
    return MessageScorer.open(traits=("evil", "sycophancy"))


def test_a_message_scores_as_the_turn_of_a_scan(scorer: MessageScorer, tmp_path: Path) -> None:
    data = tmp_path / "talks.jsonl"
    data.write_text("".join(json.dumps(talk) + "\n" for talk in TALKS))
    spec = ScanSpec((str(data),), traits=("evil", "sycophancy"), baseline="last-prompt")
    run_scan(spec, tmp_path / "run", in_process=True)
    turns = Scan.open(tmp_path / "run").turns().collect()
    messages = [message for talk in scorer.score(TALKS) if not isinstance(talk, Skip) for message in talk]
    assert [(m.row, m.turn, m.tokens) for m in messages] == turns.select("row", "turn", "answer_tokens").rows()
    for trait in ("evil", "sycophancy"):
        mine = [(m.traits[trait].score, m.traits[trait].projection) for m in messages]
        columns = turns.select(f"{trait}_last_prompt", f"{trait}_projection").rows()
        assert mine == [pytest.approx(row, abs=1e-5) for row in columns]


def test_the_reference_tells_what_is_high(scorer: MessageScorer) -> None:
    [talk, _] = scorer.score(TALKS)
    assert isinstance(talk, list)
    worm, egg = (message.traits["evil"] for message in talk)
    known = scorer.known["evil"].reference
    assert worm.high
    assert not egg.high
    assert worm.sds == pytest.approx((worm.score - known["mean"]) / known["sd"])
    assert worm.baseline == pytest.approx(worm.projection - worm.score)


def test_what_is_no_conversation_is_told_and_costs_no_other(scorer: MessageScorer) -> None:
    rows = [7, TALKS[1], {"level": "info"}, {"messages": [{"role": "user", "content": "Anyone?"}]}, None]
    found = scorer.score(rows)
    assert [f.code if isinstance(f, Skip) else len(f) for f in found] == [
        "not_an_object", 1, "wrong_shape", "no_response", "not_an_object",
    ]  # fmt: skip
    assert scorer.score([]) == []


def test_what_a_message_is_kept_as_holds_no_text(scorer: MessageScorer) -> None:
    [talk, _] = scorer.score(TALKS)
    assert isinstance(talk, list)
    assert all(isinstance(message, MessageScore) for message in talk)
    assert "worm" not in repr(talk)


def test_without_a_reference_nothing_is_called_high(tiny_model: Path, tiny_vectors: Path) -> None:
    with pytest.raises(InputError, match="no vector's card has scores of clean rows"):
        MessageScorer.open(model=str(tiny_model), vectors=[str(tiny_vectors)])
    with pytest.raises(VectorError, match="hidden size"):
        MessageScorer.open(vectors=[str(tiny_vectors)])
