"""Which prompts a calibrated baseline has answered, and what it takes of their states."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from screen.baselines.estimates.estimator import prompt_hashes
from screen.baselines.estimates.fitting import COMPONENTS, _components, _fitted, _sample, _Seen, _too_few
from screen.baselines.response import BaselineResponse
from screen.stats import spearman


def prompt(file: str, *ids: int) -> Any:
    return SimpleNamespace(ids=np.array(ids, dtype=np.int32), file=file)


class Windows:
    """A run of prompts in windows; `skipped` as they were asked for."""

    files, seed, layers = ("a", "b"), 0, (4, 2, 4)

    def __init__(self, calibrate_on: int, *windows: list[Any], states: Any = ()) -> None:
        self.calibrate_on, self.windows, self.kept = calibrate_on, windows, states
        self.skipped: list[set[int]] = []

    def prompts(self, skip: Collection[int] = ()) -> Iterator[tuple[int, list[Any]]]:
        self.skipped.append(set(skip))
        yield from ((n, made) for n, made in enumerate(self.windows) if n not in skip)

    def states(self, items: Any, layers: Any) -> Any:
        assert layers == [2, 4]
        assert [(i.positions.tolist(), len(i.ids)) for i in items] == [([len(i.ids) - 1], len(i.ids)) for i in items]
        return self.kept


def test_every_distinct_prompt_is_answered_where_there_are_few() -> None:
    first, again, other = prompt("a", 1, 2), prompt("b", 1, 2), prompt("b", 3)
    found, distinct = _sample(Windows(9, [first, other], [again]))
    assert (distinct, len(found)) == (2, 2)
    assert found[int(prompt_hashes([first.ids])[0])] is first


def test_a_sample_has_prompts_of_each_file_and_length_and_reads_their_windows_alone() -> None:
    many = [prompt("a", n, n) for n in range(60)]
    few = [prompt("b", 1), prompt("a", *range(4)), prompt("b", *range(7)), prompt("b", *range(8))]
    run = Windows(20, many[:30], *[[p] for p in many[30:]], few)
    found, distinct = _sample(run)
    assert distinct == 64
    assert sorted((p.file, len(p.ids)) for p in found.values() if len(p.ids) != 2) == [
        ("a", 4), ("b", 1), ("b", 7), ("b", 8),
    ]  # fmt: skip
    assert len(found) == 4 + 19  # 20 * 60 / 64
    assert {int(prompt_hashes([p.ids])[0]) for p in found.values()} == set(found)
    wanted = {n for n, window in enumerate(run.windows) if any(p is q for p in window for q in found.values())}
    assert run.skipped == [set(), set(range(32)) - wanted]


def test_components_are_the_principal_axes_of_the_states_at_each_layer() -> None:
    rng = np.random.default_rng(0)
    states = rng.normal(size=(50, 2, 5)) * [[5, 1, 3, 0, 0], [0, 0, 1, 2, 9]] + 100
    odd = [np.full((1, 2, 5), np.nan), "the model failed"]
    made = _components([prompt("a", 1, 2, 3)], Windows(1, states=[*states[:, None].astype(np.float32), *odd]))
    assert list(made) == [2, 4]
    for layer, at, axes in ((2, 0, [0, 2, 1]), (4, 1, [4, 3, 2])):
        rows = made[layer]
        assert (rows.shape, rows.dtype) == ((COMPONENTS, 5), np.float32)
        np.testing.assert_allclose(rows[:4] @ rows[:4].T, np.diag([1, 1, 1, 0]), atol=1e-5)
        assert (np.abs(rows[:3]).argmax(1).tolist(), rows[range(3), axes].min() > 0) == (axes, True)
        along = np.cov(states[:, at].T, ddof=0) @ rows[0]
        np.testing.assert_allclose(along, along @ rows[0] * rows[0], atol=1e-3)  # an eigenvector
        assert not rows[5:].any()


def test_there_is_no_component_along_which_few_prompts_do_not_differ() -> None:
    """A prompt that was not answered may lie far along it, and a feature without spread has no scale."""
    states = np.random.default_rng(0).normal(size=(4, 1, 2, 5)).astype(np.float32)
    made = _components([prompt("a", 1, 2, 3)], Windows(1, states=list(states)))
    for rows in made.values():
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 1, 1] + [0] * (COMPONENTS - 3), atol=1e-5)


@pytest.mark.parametrize(("said", "told"), [(2, "2 of its answers were still thinking"), (0, "")])
def test_too_few_answers_tell_how_many_never_left_their_thought(said: int, told: str) -> None:
    error = _too_few(3, 30, [BaselineResponse((1, 2), "", False, False, said)] * 2 + [None, "failed"])
    assert "answered only 3 of 30 prompts" in str(error)
    assert told in str(error)
    assert ("--max-new-tokens more" in str(error)) == bool(told)


def test_what_is_told_of_a_fit_is_of_differences_from_the_exact_baseline() -> None:
    rng, seen = np.random.default_rng(0), _Seen()
    prompts = {n: prompt("ab"[n % 2], *range(n + 1)) for n in range(60)}
    seen.used, state = list(prompts), rng.normal(size=(60, 3)).astype(np.float32)
    seen.last, seen.values = list(state), list(rng.normal(size=(60, 2)) + 5)
    seen.targets = list(state @ rng.normal(size=(3, 3)) + rng.normal(size=(60, 3)))
    limits = {"evil": (1.0, None), "kind": (None, -1.0)}
    run = SimpleNamespace(traits=("evil", "kind"), seed=0, limits=lambda trait, scores: limits[trait])
    made = _fitted(run, seen, prompts, 99, {"components.2": state})  # type: ignore[arg-type]
    values, targets = np.array(seen.values), np.array(seen.targets)
    exact = values - targets[:, :2]
    told = made.facts["calibration"]
    assert (told["answers"], told["prompts"], made.facts["sources"]) == (60, 99, ["a", "b"])
    assert (made.facts["cuts"], made.facts["cuts_away"]) == ({"evil": 1.0}, {"kind": -1.0})
    for j, trait in enumerate(run.traits):
        by_fit = spearman(values[:, j] - made.arrays["out_of_fold"][:, j], exact[:, j])
        by_last = spearman(values[:, j] - state[:, j], exact[:, j])
        assert told["traits"][trait]["rank_correlation"] == pytest.approx(by_fit, abs=1e-3)
        assert told["traits"][trait]["last_prompt_rank_correlation"] == pytest.approx(by_last, abs=1e-3)
        assert told["traits"][trait]["tail_factor"] >= 1.0
    off = made.arrays["out_of_fold"] - targets
    widened = made.arrays["fit.residual"] / np.sqrt((off**2).mean(0))
    factors = [told["traits"][trait]["tail_factor"] for trait in run.traits]
    np.testing.assert_allclose(widened, [*factors, 1.0], rtol=1e-3)
