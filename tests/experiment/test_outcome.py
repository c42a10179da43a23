"""What the fine-tunings say of a ranking, on figures made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from screen.experiment.outcome import ArmOutcome, findings, mean_over

QUESTIONS = 20


def outcome(arm: str, seed: int, shown: float, predicted: float, spread: float = 5.0) -> ArmOutcome:
    values = shown + spread * np.random.default_rng([seed, *arm.encode()]).standard_normal(QUESTIONS)
    by = "evil" if arm in ("top", "bottom") else None
    told = {"evil": values.tolist()}
    return ArmOutcome(arm, by, seed, 30, 1000, {"evil": predicted}, told, told, {"evil": 90.0}, 2.0, 1.0)


def study(top: float, random: float, bottom: float) -> list[ArmOutcome]:
    figures = {"top": (top, 9.0), "random": (random, 3.0), "bottom": (bottom, -2.0)}
    return [outcome(arm, seed, *pair) for seed in range(3) for arm, pair in figures.items()]


def test_a_ranking_that_training_follows_meant_something() -> None:
    (found,) = findings(study(40, 20, 5), ["evil"])
    assert found.verdict == "meant something"
    assert found.sentence.startswith("evil: the ranking meant something: after training on the highest third")
    assert found.difference is not None
    assert found.difference.low < 35 < found.difference.high
    assert found.shown_r is not None
    assert found.shown_r[0] > 0.95


@pytest.mark.parametrize(("top", "random", "bottom"), [(5, 5, 5), (5, 20, 40), (20, 40, 5)])
def test_equal_turned_or_beaten_by_chance_it_meant_nothing(top: float, random: float, bottom: float) -> None:
    (found,) = findings(study(top, random, bottom), ["evil"])
    assert found.verdict == "meant nothing here"


def test_noise_is_called_something_about_as_rarely_as_its_interval_says() -> None:
    """Top above bottom by chance: at most a fortieth, and chance is asked twice."""
    called = 0
    for study_number in range(30):
        made = [
            outcome(arm, 100 * study_number + seed, 10.0, 0.0, 8.0)
            for seed in range(3)
            for arm in ("top", "random", "bottom")
        ]
        called += findings(made, ["evil"])[0].verdict == "meant something"
    assert called <= 3


def test_without_both_ends_nothing_is_claimed() -> None:
    (found,) = findings([o for o in study(40, 20, 5) if o.arm != "bottom"], ["evil"])
    assert found.sentence == "evil: the ranking was not tried: there are no arms top and bottom"
    assert found.verdict == "was not tried"


def test_the_interval_holds_the_mean_and_is_wide_where_seeds_differ() -> None:
    alike, apart = mean_over(np.full((3, 20), 7.0)), mean_over(np.repeat([[0.0], [7.0], [14.0]], 20, axis=1))
    assert tuple(alike) == (7.0, 7.0, 7.0)
    assert apart.low < 3 < 7 < 11 < apart.high
