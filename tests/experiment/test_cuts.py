"""The cut curve with what was measured on it."""

from __future__ import annotations

import pytest
from screen_reports.training.study import cuts_said

from screen.experiment.cuts import measured_cuts
from tests.experiment.made import SHARES, cuts


def test_what_falls_with_the_mean_that_is_left_goes_with_it() -> None:
    (found,) = measured_cuts(cuts(lambda share: 30 - share / 4), ["evil"])
    assert [point.arm for point in found.points] == ["all", *(f"cut:{share}%" for share in SHARES)]
    assert [point.above for point in found.points] == [None, 6.0, 5.0, 4.0, 3.0, 2.0]
    assert found.shift_r is not None
    assert (found.shift_r.value, found.shift_r.high) == (pytest.approx(1.0), pytest.approx(1.0))
    assert found.shift_r.low > 0.8
    assert "one seed" not in cuts_said(found)[0]
    (alone,) = measured_cuts([o for o in cuts(lambda share: 30 - share / 4) if o.seed == 0], ["evil"])
    assert "one seed: how trainings differ is in none of the intervals" in cuts_said(alone)[0]


def test_what_rises_goes_the_other_way_and_noise_has_an_interval_around_nothing() -> None:
    (turned,) = measured_cuts(cuts(lambda share: share / 2), ["evil"])
    (noise,) = measured_cuts(cuts(lambda _: 9.0), ["evil"])
    assert turned.shown_r is not None
    assert noise.shown_r is not None
    assert turned.shown_r.value == pytest.approx(-1.0)
    assert noise.shown_r.low < 0 < noise.shown_r.high


def test_four_cuts_have_no_rank_correlation_and_no_cut_is_no_curve() -> None:
    (found,) = measured_cuts(cuts(lambda share: 30 - share / 4, SHARES[:4]), ["evil"])
    assert (len(found.points), found.shift_r, found.shown_r) == (5, None, None)
    assert cuts_said(found) == ["evil: 4 cuts of the curve measured; a rank correlation wants 5"]
    assert measured_cuts(cuts(lambda share: 9.0, ()), ["evil"]) == []
