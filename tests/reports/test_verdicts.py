"""What is told of each verdict, and what to type next."""

from __future__ import annotations

from typing import Any

import pytest
from screen_reports.summary import doubts
from screen_reports.verdicts import next_commands

from screen.spec import ScanSpec


def commands(*reasons: str, at: str = "p99", baseline: str = "generate", **spec: Any) -> list[str]:
    traits = {f"t{i}": {"verdict": {"kind": "-", "reason": r}} for i, r in enumerate(reasons)}
    facts = {"spec": ScanSpec(**{"dataset": ("my chats.jsonl",), **spec}).to_json(), "baseline": baseline}
    return next_commands({"traits": traits, "at": at}, "a.screen", facts)


def test_every_trait_to_review_has_its_command_first_and_others_one_a_reason() -> None:
    assert commands("unlike", "rows", "rows", "controls") == [
        "screen rank a.screen --by t1 --flagged",
        "screen rank a.screen --by t2 --flagged",
        "screen reference build CLEAN.jsonl -o clean.reference",
    ]


@pytest.mark.parametrize(
    ("spec", "flags"),
    [
        ({}, ""),
        ({"model": "m", "vectors": ("v",), "layers": {"evil": 4}}, " --model m --vectors v --layer evil=4"),
        ({"train_on": "all", "end_of_turn": True}, " --train-on all --end-of-turn"),
        ({"format": "chat", "map": {"prompt": "q"}, "limit": (5, 10)}, " --format chat --map prompt=q --limit 5-9"),
        ({"limit": (0, 60), "reference": "c", "at": "p95"}, " --limit 60 --reference c --at p95"),
        ({"baseline": "last-prompt", "max_new_tokens": 64}, " --max-new-tokens 64 --baseline last-prompt"),
    ],
)
def test_a_self_test_reads_the_same_rows_in_the_same_way(spec: dict[str, Any], flags: str) -> None:
    kind = spec.get("baseline", "generate")
    assert commands("clean", **{**spec, "baseline": kind}) == [f"screen selftest 'my chats.jsonl'{flags}"]


def test_the_reference_of_pairs_is_of_pairs() -> None:
    assert commands("no-reference", baseline="contrast")[0].startswith("screen reference build CLEAN_PAIRS.jsonl")


def test_rows_that_push_away_are_told_only_where_there_are_some() -> None:
    stats = {"judged": 70, "flagged": 3, "flagged_base_refused": 0}
    none, some = ({"traits": {"evil": {**stats, "away": {"rows": n, "above": 7, "flagged": 1}}}} for n in (0, 20))
    assert doubts(none) == []
    assert doubts(some) == [
        "evil: 20 of 70 rows push away: 7 above the threshold, not flagged, as they teach against the trait; 1 as far"
        " below, flagged, as they teach it"
    ]
