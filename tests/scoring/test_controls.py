"""A trait beside its control directions, on the scale of clean rows and on the run's own."""

from __future__ import annotations

import numpy as np
import pytest

from screen.scoring.findings.comparison import Comparison, compare, highest
from screen.scoring.findings.lengths import without_length
from screen.scoring.findings.ruler import Ruler
from screen.scoring.findings.significance import exceeding
from screen.stats import robust_z, spearman
from tests.scoring.making import clean, lengths, reference

RNG = np.random.default_rng


def found(
    scores: np.ndarray, random: np.ndarray, known: dict | None, at: str = "p99", **more: np.ndarray
) -> Comparison:
    made = compare(scores, random, lengths(len(scores)), known, at, **more)
    assert made is not None
    return made


def test_heights_are_0_at_the_clean_median_and_1_at_the_threshold() -> None:
    known = {"rows": 9, "quantiles": {"p01": -6.0, "p25": 1.0, "p50": 2.0, "p75": 4.0, "p99": 10.0}}
    ruler = Ruler.of_reference(known, "p99")
    x = np.array([[2.0], [10.0], [-6.0]])
    assert ruler.heights(x)[:, 0].tolist() == [0, 1, -1]
    assert ruler.depths(x)[:, 0].tolist() == [0, -1, 1]
    assert ruler.z(x)[1, 0] == pytest.approx(8 / (3 / 1.349))


def test_on_clean_rows_the_trait_is_one_direction_among_others() -> None:
    got = found(*clean(1000, 1), reference())
    assert (got.scale, got.rows, got.expected) == ("reference", 1000, pytest.approx(10))
    assert got.above == pytest.approx(10, abs=8)
    assert got.random == pytest.approx(10, abs=2)
    assert got.chance > 0.05
    assert not got.tail_beyond
    assert got.moved == pytest.approx(0, abs=0.05)
    assert got.shift == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_no_share_of_planted_rows_moves_the_scale(share: float) -> None:
    scores, random = clean(240, 2)
    scores[: int(share * 240)] += 6
    got = found(scores, random, reference())
    assert got.tail_beyond
    assert got.above >= int(share * 240) - 1
    assert 1.8 < got.tail < 4  # 6 in units of 2.3, and the highest of some


def test_without_a_reference_the_run_is_the_scale_and_half_of_it_planted_hides() -> None:
    scores, random = clean(240, 2)
    few, half = scores.copy(), scores.copy()
    few[:5] += 8
    half[:120] += 8
    assert found(few, random, None).tail_beyond
    got = found(half, random, None)
    assert (got.scale, got.expected, got.chance, got.moved) == ("run", None, None, None)
    assert not got.tail_beyond


def test_a_reference_without_controls_leaves_the_run_as_the_scale() -> None:
    assert found(*clean(100, 1), reference(controls=False)).scale == "run"


def test_controls_count_in_either_sign() -> None:
    scores, random = clean(200, 3)
    random[:50, 4] -= 9
    assert found(scores, random, reference()).random_highest >= 50


def test_text_unlike_the_reference_moves_along_the_controls() -> None:
    scores, random = clean(200, 3)
    got = found(scores + 1.5, random + RNG(0).normal(size=32), reference())
    assert got.moved == pytest.approx(1, abs=0.3)
    assert got.shift == pytest.approx(1.5, abs=0.2)
    assert (got.above_moved, got.above_shift) == (pytest.approx(1, abs=0.4), pytest.approx(3.5, abs=0.8))


@pytest.mark.parametrize("n", [5, 20, 200])
def test_what_sampling_alone_moves_is_taken_out(n: int) -> None:
    squares = [found(*clean(n, seed), reference()).moved ** 2 for seed in range(20)]
    assert np.mean(squares) < 0.5 * np.pi / 2 / n + 0.01


def test_rows_that_are_trained_away_from_are_looked_at_from_the_other_end() -> None:
    scores, random = clean(200, 4)
    scores[:20] += 6
    away = np.arange(200) < 20
    assert found(scores, random, reference(), toward=~away).above <= 6
    scores[:20] -= 12
    assert found(scores, random, reference(), toward=~away).above >= 20


def test_a_control_along_which_clean_rows_do_not_vary_is_left_out() -> None:
    scores, random = clean(100, 5)
    known = reference()
    for values in known["controls"]["quantiles"].values():
        values[3] = 0.0
    random[:, 3] = 50
    got = found(scores, random, known)
    assert (got.directions, got.random_highest < 20) == (31, True)


def test_what_cannot_be_compared() -> None:
    scores, random = clean(50, 6)
    assert compare(scores[:0], random[:0], lengths(0), reference(), "p99") is None
    assert compare(scores, random[:, :0], lengths(50), None, "p99") is None
    assert compare(np.ones(50), random, lengths(50), None, "p99") is None
    assert compare(scores, np.zeros((50, 0)), lengths(50), None, "p99") is None
    assert compare(scores, np.zeros((50, 0)), lengths(50), reference(), "p99") is None  # which has controls


def test_a_run_larger_than_its_reference_is_judged_by_no_rarer_rows_than_that_knows() -> None:
    assert found(*clean(1000, 1), reference(rows=1500)).tail_rows in (5, 10)
    assert found(*clean(8000, 1), reference(rows=500)).tail_rows == 80


@pytest.mark.parametrize(("planted", "rows"), [(5, 5), (30, 12)])
def test_the_top_five_rows_or_the_top_percent_whichever_stands_out_more(planted: int, rows: int) -> None:
    scores, random = clean(1200, 3)
    scores[:planted] = 9
    assert found(scores, random, reference()).tail_rows == rows


def test_layer_0_stands_beside_the_trait_on_the_runs_own_scale() -> None:
    scores, random = clean(300, 8)
    scores[:9] += 5
    assert found(scores, random, reference(), layer0=2 * scores).layer0 == pytest.approx(
        found(scores, random, reference()).tail_run
    )
    assert found(scores, random, reference(), layer0=np.full(300, np.nan)).layer0 is None


@pytest.mark.parametrize(
    ("above", "rows", "share", "clean_rows"),
    [(3, 60, 0.01, 1500), (9, 100, 0.05, 200), (0, 5, 0.1, 80), (2050, 5000, 0.4, 1500)],
)
def test_the_chance_of_as_many_is_what_simulation_gives(above: int, rows: int, share: float, clean_rows: int) -> None:
    rng = RNG(0)
    true = rng.beta(share * clean_rows + 0.5, (1 - share) * clean_rows + 0.5, size=200_000)
    simulated = (rng.binomial(rows, true) >= above).mean()
    assert exceeding(above, rows, share, clean_rows) == pytest.approx(simulated, abs=0.004)


def test_the_normal_approximation_takes_over_smoothly() -> None:
    exact, rough = (exceeding(k, 200_000, 0.01, 1500) for k in (2_000, 2_001))
    assert exact == pytest.approx(rough, abs=0.05)


@pytest.mark.parametrize("power", [1.0, 3.0])
def test_what_length_explains_is_taken_out(power: float) -> None:
    tokens = np.sort(np.exp(RNG(4).normal(4, 0.6, 2000)).astype(int) + 5)
    scores = np.log(tokens) ** power
    assert np.std(without_length(scores, tokens)) < 0.1 * np.std(scores)


def test_robust_z_by_hand() -> None:
    z = robust_z(np.array([0.0, 1, 2, 3, 100]))
    np.testing.assert_allclose(z, (np.array([0, 1, 2, 3, 100]) - 2) / 1.4826)
    assert robust_z(np.ones(4)).tolist() == [0, 0, 0, 0]


def test_within_a_run_the_threshold_stands_three_robust_deviations_above_its_median() -> None:
    values = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]]) + 10
    ruler = Ruler.of_run(values)
    assert ruler.heights(np.array([[10 + 3 * 1.4826]])) == pytest.approx(1.0)
    assert ruler.depths(np.array([[10 - 3 * 1.4826]])) == pytest.approx(1.0)
    assert (ruler.z(np.array([[10 - 1.4826]])), ruler.rows) == (pytest.approx(-1.0), 0)


def test_robust_z_does_not_depend_on_the_unit() -> None:
    values = RNG(0).normal(size=(50, 2))
    np.testing.assert_allclose(robust_z(values * 1e-3), robust_z(values), rtol=1e-9)


def by_hand(
    scores: np.ndarray, random: np.ndarray, tokens: np.ndarray, known: dict, sign: np.ndarray
) -> dict[str, float]:
    """The figures of a comparison at p99, one at a time, from its definition."""
    q, n = {name: np.array(v) for name, v in known["controls"]["quantiles"].items()}, len(scores)
    own = known["quantiles"]

    def heights(x: np.ndarray, q: dict, way: np.ndarray) -> np.ndarray:
        up, down = (x - q["p50"]) / (q["p99"] - q["p50"]), (q["p50"] - x) / (q["p50"] - q["p01"])
        return np.where(way > 0, up, down)

    trait = heights(scores, own, sign)
    ways = np.concatenate([heights(random, q, s * sign[:, None]) for s in (1, -1)], axis=1)
    z = sign * (scores - own["p50"]) / ((own["p75"] - own["p25"]) / 1.349)
    along = sign[:, None] * (random - q["p50"]) / ((q["p75"] - q["p25"]) / 1.349)
    clean_top = float(heights(np.array(known["highest"]), own, np.array(1)))
    far = trait > (clean_top if (trait > clean_top).sum() >= 5 else np.sort(trait)[-6])
    noise = np.pi / 2 * (1 / n + 1 / known["rows"])
    beside = along[far].var(axis=0, ddof=1).mean() / far.sum()
    least = max(5, -(-5 * n // known["rows"]))
    left, apart = without_length(trait, tokens), scores - np.median(scores)

    def tail(rows: int) -> tuple[float, dict[str, float]]:
        tops = np.sort(ways, axis=0)[-rows:].mean(axis=0)
        limit = max(tops.max(), tops.mean() + 3 * tops.std())
        own_tail = np.sort(trait)[-rows:].mean()
        return own_tail - limit, {
            "tail": own_tail, "tail_rows": rows, "tail_random": tops.mean(), "tail_random_spread": tops.std(),
            "tail_random_highest": tops.max(), "tail_without_length": np.sort(left)[-rows:].mean(),
            "tail_run": np.sort(apart / np.median(abs(apart)))[-rows:].mean() / 1.4826 / 3,
        }  # fmt: skip

    return max(tail(least), tail(max(least, n // 100)), key=lambda t: t[0])[1] | {
        "rows": n,
        "above": (trait > 1).sum(),
        "expected": n / 100,
        "chance": exceeding(int((trait > 1).sum()), n, 0.01, known["rows"]),
        "random": (ways > 1).sum(axis=0).mean(),
        "random_highest": (ways > 1).sum(axis=0).max(),
        "random_chance": min(1, 64 * exceeding(int((ways > 1).sum(axis=0).max()), n, 0.01, known["rows"])),
        "tail_clean": clean_top,
        "shift": np.median(z),
        "moved": np.sqrt(max(0, (np.median(along, axis=0) ** 2).mean() - noise)),
        "moved_noise": 2 * np.sqrt(2 / known["controls"]["effective"]) * noise,
        "above_shift": z[far].mean(),
        "above_moved": np.sqrt(max(0, (along[far].mean(axis=0) ** 2).mean() - beside)),
        "above_noise": 3 * np.sqrt(2 / known["controls"]["effective"]) * beside,
        "directions": 32,
        "effective": known["controls"]["effective"],
        "length_correlation": spearman(scores, tokens),
    }


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize(
    ("n", "planted", "rows"),
    [(9, 0, 1500), (40, 4, 1500), (40, 9, 1500), (1200, 12, 1500), (700, 3, 100), (230, 60, 90)],
)
def test_every_figure_of_a_comparison_by_hand(n: int, planted: int, rows: int, away: bool) -> None:
    scores, random = clean(n, n)
    random += 0.4 * RNG(1).normal(size=32) * (np.arange(n) < 2 * planted)[:, None] + 0.1
    sign = np.where((np.arange(n) % 3 == 0) & away, -1.0, 1.0)
    scores[:planted] += 6 * sign[:planted]
    known, tokens = reference(rows), lengths(n)
    known["quantiles"] = {name: q + 0.25 * abs(q) for name, q in known["quantiles"].items()}  # not symmetric
    got = found(scores, random, known, toward=sign > 0 if away else None)  # type: ignore[arg-type]
    for name, value in by_hand(scores, random, tokens, known, sign).items():
        assert getattr(got, name) == pytest.approx(value, rel=1e-9, abs=1e-12), name
    above = got.above > 0
    assert (got.scale, got.at, got.layer0, got.length_auroc is not None) == ("reference", "p99", None, above)


def test_how_well_length_tells_the_rows_above() -> None:
    scores, random = clean(60, 1)
    scores = np.minimum(scores, 1)
    scores[:6] = 9
    tokens = np.arange(60) + np.where(np.arange(60) < 3, 100, 0)  # three of six are longer than all others
    got = compare(scores, random, tokens, reference(), "p99")
    assert got is not None
    assert (got.above, got.length_auroc) == (6, pytest.approx(0.5))
    for every in (np.full(60, 9.0), np.full(60, -9.0)):
        made = compare(every + 1e-3 * random[:, 0], random, tokens, reference(), "p99")
        assert made is not None
        assert (made.above in (0, 60), made.length_auroc) == (True, None)


def test_one_row_stands_where_it_stands_and_has_moved_by_nothing_that_can_be_told() -> None:
    scores, random = clean(1, 1)
    got = found(scores + 9, random, reference())
    assert (got.rows, got.above, got.tail_rows, got.above_moved, got.above_noise) == (1, 1, 5, None, None)
    assert got.tail_run == 0.0  # on its own scale it has no height
    two = found(np.array([9.0, 8.0]), clean(2, 1)[1], reference())
    assert two.above_moved is not None
    assert two.above_shift == pytest.approx(8.5, abs=0.5)


def test_a_reference_of_more_layers_gives_the_highest_that_it_knows() -> None:
    assert highest({"highest": 7.0, "quantiles": {"p99": 3.0}}) == 7.0
    assert highest({"quantiles": {"p99": 3.0, "p999": 5.0, "p01": 9.0}}) == 5.0
    assert highest({"quantiles": {"p99": 3.0, "p50": 1.0}}) == 3.0
