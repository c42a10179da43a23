"""The what-if curve: its points are what `filter` leaves, and its suggestion follows one rule."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from screen.analysis.curve import CutCurve, CutPoint, curve, shortest
from screen.errors import UsageError
from screen.library.run import open_run
from screen.store.scan import read_scan
from tests.cli import fake_run


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mean: float | None = 2.0, **more: Any) -> Path:
    """Rows 0 to 7, evil = the row's number, without row 3; `mean` of clean rows."""
    reference = {**fake_run.REFERENCE, **({} if mean is None else {"mean": mean})}
    quantiles = {**fake_run.REFERENCE["quantiles"], "p90": 3.9}
    monkeypatch.setattr(fake_run, "REFERENCE", {**reference, "quantiles": quantiles})
    return fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), **more)


def of(run: Path, trait: str = "evil") -> CutCurve:
    return curve(read_scan(run), trait)


@pytest.mark.parametrize("away", [(), (7, 5)])
def test_each_point_is_what_filter_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: tuple[int, ...]
) -> None:
    run = made(tmp_path, monkeypatch, away=away)
    found, opened = of(run), open_run(run)
    assert [p.rows for p in found.points] == list(range(8 - len(away)))
    for point in found.points:
        left = opened.drop(found.expression.format(point.threshold)).write(tmp_path / f"{point.rows}.jsonl")
        rows = {int(json.loads(line)["id"][1:]) for line in left.read_text().splitlines() if line.endswith("}")}
        lost = set(range(8)) - {3} - rows
        scored = sorted(rows - {3} - set(away))
        assert (point.rows, point.tokens) == (len(lost), sum(fake_run.TOKENS[i] for i in lost))
        assert np.mean(scored) == pytest.approx(point.mean) if scored else math.isnan(point.mean)


def test_the_fewest_rows_that_bring_the_mean_down_to_clean_rows_are_suggested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = of(made(tmp_path, monkeypatch, mean=2.0))
    assert found.suggested == CutPoint(4.0, 3, 26 + 27 + 20, pytest.approx(7 / 4))
    assert found.suggested is not None
    assert found.reason.startswith("the fewest rows whose loss brings the mean of evil down to clean rows' 2.00")
    assert found.flagged == CutPoint(5.5, 2, 26 + 27, pytest.approx(12 / 5))


@pytest.mark.parametrize(
    ("mean", "reason"),
    [
        (9.0, "the dataset's mean, 3.57, is not above clean rows' 9.00"),
        (0.5, "without all 4 rows above p90 of clean rows the mean is still 1.00, above clean rows' 0.50"),
        (None, "no clean reference with a mean to come down to"),
    ],
)
def test_nothing_is_suggested_where_the_rule_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mean: float | None, reason: str
) -> None:
    found = of(made(tmp_path, monkeypatch, mean=mean))
    assert found.suggested is None
    assert reason in found.reason


def test_without_a_verdict_to_review_the_verdict_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = of(made(tmp_path, monkeypatch), "kind")
    assert (found.suggested, found.reference_mean) == (None, None)
    assert "there is nothing to compare it with" in found.reason


@given(st.floats(-1e6, 1e6, width=32), st.floats(1e-3, 1e3))
def test_a_threshold_has_few_decimals_and_stays_in_its_place(low: float, width: float) -> None:
    value = shortest(low, low + width)
    assert low <= value < low + width or value == low
    assert len(repr(value)) <= len(repr(low)) or width < 1


def test_a_run_that_is_not_finished_and_a_trait_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="not finished"):
        of(made(tmp_path, monkeypatch, shards=1, finish=False))
    with pytest.raises(UsageError, match="its traits are evil, kind"):
        of(made(tmp_path / "..", monkeypatch, out=tmp_path / "other"), "envy")
