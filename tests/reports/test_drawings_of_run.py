"""A run's drawings, and its scores in a line of a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from screen_reports.console import Terminal
from screen_reports.drawings import of_run
from screen_reports.drawings.sparkline import distribution

from screen.analysis.curve import curve
from screen.store.scan import Scan
from tests.cli import fake_run


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scan:
    monkeypatch.setattr(of_run, "LEAST", 7)
    return Scan.open(fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl")))


def printed(scan: Scan, encoding: str = "utf-8", cut: float | None = 5.5, column: str = "evil") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding)
    of_run.print_distribution(Terminal(file), scan, column, cut)
    file.flush()
    return raw.getvalue().decode(encoding)


def test_scores_are_a_line_of_blocks_with_the_cut_in_it(scan: Scan) -> None:
    line = printed(scan).rstrip("\n")
    assert line.startswith("evil: 0 ")
    assert line.endswith(" +7.00")
    assert line.count("\u2588") == 7
    assert line.split("\u2502")[1].count("\u2588") == 2  # above 5.5: rows 6 and 7


def test_a_terminal_without_blocks_has_ascii(scan: Scan) -> None:
    assert printed(scan, "ascii").count("%") == 7
    assert printed(scan, "ascii").count("|") == 1


def test_a_pipe_gets_no_line_and_neither_do_a_few_scores(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(scan, column="kind") == ""  # six scores
    monkeypatch.setattr("screen_reports.console.in_terminal", lambda _file: False)
    assert printed(scan) == ""


def test_a_distribution_without_spread_or_finite_scores() -> None:
    assert distribution(np.full(9, 2.5, np.float32), 2.5, 8) == "+2.50     \u2502\u2588    +2.50"
    assert distribution(np.array([np.nan, np.inf], np.float32), None, 8) == ""


def test_the_drawings_of_a_run_have_its_figures(scan: Scan) -> None:
    reference, values = fake_run.REFERENCE, np.array([1, 2, np.nan, 6, 7], np.float32)
    assert "Cut at +5.50: 2 scores above it, 50.0 %." in of_run.scores_of("evil", values, 5.5, reference)
    assert "not finite" not in of_run.scores_of("evil", values, 5.5, reference)  # a row without a score is no score
    groups = [{"group": name, "rows": 30, "mean": 1.5, "low": 1.0, "high": 2.0} for name in ("docs", "forum")]
    by_group = of_run.groups_of("evil", {"mean": 1.5, "groups": groups}, reference)
    assert "forum: mean +1.50 (+1.00 to +2.00), 30 rows." in (by_group or "")
    assert of_run.groups_of("evil", scan.summary["traits"]["evil"]["dataset"], reference) is None  # too few rows
    assert "The mean of all 7 rows is" in of_run.curve_of(curve(scan, "evil"))
    known = scan.summary["correlations"]
    assert "kind and evil" in (of_run.correlations_of(known, scan.traits) or "")
    assert of_run.correlations_of(known, ["evil"]) is None
