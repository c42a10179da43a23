"""What the page on the proxy says was measured is what was measured."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_says_what_was_measured() -> None:
    made = json.loads((ROOT / "bench" / "proxy.json").read_text())
    page = " ".join((ROOT / "docs" / "how-to" / "monitoring-proxy.md").read_text().split())
    took, killed = made["milliseconds"], made["killed"]
    for row in ("direct", "proxy", "added"):
        assert f"| {took[row]['p50']} ms | {took[row]['p99']} ms |" in page
    assert f"{made['streams']} streams at once, each of {made['pieces']} pieces" in page
    counts = f"{made['answers_that_differ']} answers differed in a byte, {made['lost']} were lost"
    assert f"{counts}, {made['twice']} scored twice" in page
    assert f"waited {made['held_milliseconds_mean']} ms on average" in page
    killed_at = f"of {killed['seen_whole']} answers that clients saw whole {killed['lost']} were lost"
    assert f"{killed_at} and {killed['twice']} scored twice" in page
