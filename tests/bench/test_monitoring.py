"""docs/how-to/monitoring.md says what was measured, and the stated rate of false alarms held."""

from __future__ import annotations

import json

from bench.monitoring import FIGURES, PAGE, SEEDS, with_tables

KEPT = json.loads(FIGURES.read_text())


def test_the_page_has_the_figures() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page, KEPT), "run: just bench-monitoring"
    assert with_tables(page, {**KEPT, "streams": KEPT["streams"][:1]}) != page


def test_the_stated_rate_of_false_alarms_held() -> None:
    assert len(KEPT["streams"]) == 6
    assert KEPT["setting"]["seeds"] == SEEDS == 200
    for stream in KEPT["streams"]:
        assert stream["false_alarms"] <= stream["stated"]
