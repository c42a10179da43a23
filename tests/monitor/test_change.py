"""Change detection: what is stated of false alarms, on scores of whatever distribution."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from screen.monitor.change import OTHERS, Alarm, Bar, ChangeDetector, Streams, bars
from screen.stats import most_above, share_below, summary

QUANTILES = {name: share_below(name) for name in ("p50", "p75", "p90", "p95", "p99")}


def detector(rng: np.random.Generator, rows: int = 1000, per: float = 20_000) -> ChangeDetector:
    """Calibrated on scores with heavy tails."""
    return ChangeDetector(bars({"rows": rows, **summary(rng.standard_t(3, rows), QUANTILES)}), per)


def alarms(watch: ChangeDetector, scores: np.ndarray) -> list[Alarm]:
    return [alarm for score in scores.tolist() if (alarm := watch.update(score)) is not None]


def test_the_bound_of_a_tail_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    tops = np.sort(rng.random((4000, 50)), axis=1)[:, 44]  # the 45th lowest of 50 uniform ones: 1 - it lies above
    assert np.mean(1 - tops > most_above(50, 45, 0.05)) <= 0.06
    assert most_above(50, 45, 0.05) < 0.21  # and it is no wider than it has to be: Clopper and Pearson's has 0.2061
    with pytest.raises(ValueError, match="no value 51 among 50"):
        most_above(50, 51, 0.05)


def test_a_bet_on_clean_scores_gains_nothing_on_average() -> None:
    watch = ChangeDetector([Bar(0.0, 0.25)], per=100.0)
    expected = 0.25 * watch._above + 0.75 * watch._below
    assert np.allclose(expected, 1.0)


@pytest.mark.parametrize("per", [50.0, 500.0])
def test_clean_streams_alarm_no_more_often_than_is_said(per: float) -> None:
    rng = np.random.default_rng(2)
    found = [len(alarms(detector(rng, per=per), rng.standard_t(3, 500))) for _ in range(60)]
    assert sum(found) <= 60 * 500 / per
    assert per > 50 or sum(found) > 0  # the figure is not reached by never alarming


def test_a_shift_is_found_soon_and_its_beginning_told() -> None:
    rng = np.random.default_rng(3)
    off = []
    for _ in range(20):
        scores = rng.standard_t(3, 600)
        scores[400:] += 3.0
        first, *_ = alarms(detector(rng), scores)
        assert 400 <= first.at < 430
        assert first.evidence >= 20_000
        off.append(abs(first.began - 400))
    assert np.median(off) <= 2
    assert max(off) <= 25


def test_a_shift_away_from_the_trait_is_no_alarm() -> None:
    rng = np.random.default_rng(4)
    assert not alarms(detector(rng), rng.standard_t(3, 500) - 3.0)


def test_it_goes_on_from_what_it_wrote_down() -> None:
    rng = np.random.default_rng(5)
    one, other = detector(np.random.default_rng(0)), detector(np.random.default_rng(0))
    scores = rng.standard_t(3, 400) + np.repeat([0.0, 1.5], 200)
    alarms(one, scores[:210])
    other.resume(json.loads(json.dumps(one.state())))
    assert alarms(one, scores[210:]) == alarms(other, scores[210:]) != []
    assert one.state() == other.state()
    with pytest.raises(ValueError, match="other bars"):
        ChangeDetector([Bar(0.0, 0.5)]).resume(one.state())


def test_what_is_no_score_and_what_is_no_detector_are_refused() -> None:
    with pytest.raises(ValueError, match="nan is no score"):
        ChangeDetector([Bar(0.0, 0.5)]).update(math.nan)
    with pytest.raises(ValueError, match="needs a bar"):
        ChangeDetector([])
    assert bars({"rows": 0}) == ()
    few, many = (bars({"rows": n, "quantiles": {"p50": 1.0, "p99": 2.0}}) for n in (100, 10_000))
    assert all(a.share > b.share > c for a, b, c in zip(few, many, (0.5, 0.01), strict=True))


def test_memory_stays_the_same_and_groups_are_bounded() -> None:
    streams = Streams({"evil": [Bar(0.0, 0.5)], "mute": []}, window=5, most=2)
    for i in range(40):
        assert streams.update("mute", "", 1.0) is None
        streams.update("evil", f"user {i}", -1.0)
    assert set(streams.detectors) == {("evil", "user 0"), ("evil", "user 1"), ("evil", OTHERS)}
    assert streams.detectors["evil", OTHERS].seen == 38
    assert len(streams.detectors["evil", OTHERS].state()["latest"]) == 5
