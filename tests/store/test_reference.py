"""A reference set and the control directions along which its rows were scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from screen.baselines.table import kind_of
from screen.errors import InputError, StoreError
from screen.scoring.schema import RANDOM
from screen.stats import quantile_interval, share_below
from screen.store import context
from screen.store.controls import control_scores, control_sets
from screen.store.folder import RunFolder
from screen.store.reference import LEAST, QUANTILES, Reference
from screen.vectors import controls
from tests.store import fake

ROWS = LEAST + 20
MADE = controls.directions(np.zeros((0, 4), np.float32))
KEY = controls.key(MADE)
PLACE = {"variant": None, "turns_scored": 1, "file": "f", "line": 1, "offset": 0, "length": 1, "sha256": "", "sign": 1}
MODEL = {"config": "c", "weights": "w", "tokenizer": "t"}
NONE = [None] * RANDOM


def along(row: int) -> list[float]:
    """A row's scores along the directions: each has the row's number, and its own hundredth."""
    return [row + direction / 100 for direction in range(RANDOM)]


@pytest.fixture
def clean(tmp_path: Path) -> RunFolder:
    """A finished run in two shards. Row 0 has no score, rows 1 and 70 none along the directions."""
    identity = {"traits": ["evil"], "model": MODEL, "rendering": {}, "vectors": {"evil": {"layer": 2}}}
    with RunFolder.open(tmp_path / "clean", identity, {"baseline": "generate"}) as run:
        context.save(run.path, run.run, {f"random.{KEY}": MADE}, {"set_of": {"evil": KEY}})
        for shard, rows in enumerate((range(60), range(60, ROWS))):
            scores = [{**PLACE, "row": r, "evil": float(r) if r else None} for r in rows]
            sets = [{"row": r, "layer": 2, "set": KEY, "random": NONE if r in (1, 70) else along(r)} for r in rows]
            other = [{"row": r, "layer": 2, "set": "other", "random": [7.0] * RANDOM} for r in rows]
            beside = [one for pair in zip(sets, other, strict=True) for one in pair]
            tables = {"scores": fake.build("scores", scores, ["evil"]), "controls": fake.build("controls", beside)}
            run.publish(shard, rows[0], rows[-1] + 1, tables)
        run.finish({"rows": ROWS})
        return run


def test_the_scores_along_a_set_of_directions_are_those_of_its_rows_in_order(clean: RunFolder) -> None:
    assert control_sets(clean) == {"evil": KEY}
    found = control_scores(clean, KEY, ROWS)
    assert found.shape == (ROWS, RANDOM)
    assert np.isnan(found).all(axis=1).nonzero()[0].tolist() == [1, 70]
    assert found[69].tolist() == np.asarray(along(69), np.float32).tolist()
    assert (control_scores(clean, "other", ROWS) == 7.0).all()
    assert control_scores(clean, KEY, ROWS + 1).shape == (ROWS + 1, 0)
    assert control_scores(clean, "none", ROWS).shape == (ROWS, 0)


def test_a_run_without_directions_has_no_scores_along_them(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", fake.identity()) as run:
        assert control_sets(run) == {}
        assert control_scores(run, KEY, 0).shape == (0, RANDOM)
        assert control_scores(run, KEY, 2).shape == (2, 0)


def test_a_reference_keeps_how_its_rows_score_along_the_directions(clean: RunFolder, tmp_path: Path) -> None:
    Reference.from_run(clean).save(tmp_path / "c.reference")
    found = Reference.load(tmp_path / "c.reference")
    known = found.card["controls"]["evil"]
    both = [row for row in range(ROWS) if row not in (0, 1, 70)]
    assert (known["key"], known["source"], known["rows"]) == (KEY, "reference", len(both))
    expected = np.median(both) + np.arange(RANDOM) / 100
    assert known["quantiles"]["p50"] == pytest.approx(expected, abs=1e-5)
    assert found.card["summary"]["evil"]["sd"] == pytest.approx(np.arange(1, ROWS).std())
    assert found.directions("evil") is not None
    assert (found.directions("evil") == MADE).all()
    assert found.as_card("evil")["controls"] == known


def test_a_reference_reads_as_a_cards_does(clean: RunFolder) -> None:
    card = Reference.from_run(clean).as_card("evil")
    values = np.arange(1, ROWS, dtype=np.float64)
    assert (card["rows"], card["source"], card["name"]) == (ROWS - 1, "clean", "the reference clean")
    assert card["quantiles"]["p90"] == round(float(np.quantile(values, 0.9)), 6)
    assert card["intervals"]["p95"] == quantile_interval(values, 0.95)


def test_a_reference_without_directions_has_none() -> None:
    reference = Reference("x", {"evil": np.arange(3, dtype=np.float32)}, {})
    assert reference.directions("evil") is None
    assert "controls" not in reference.as_card("evil")


def test_names_of_quantiles_are_the_shares_that_lie_below() -> None:
    assert {name: share_below(name) for name in QUANTILES} == pytest.approx(QUANTILES)
    assert [f"p{percent:02d}" in QUANTILES for percent in range(101)] == [False, *[True] * 99, False]
    assert {"p001", "p999"} <= set(QUANTILES)


IDENTITY: dict[str, Any] = {"model": MODEL, "rendering": {"a": 1}, "vectors": {"evil": {"layer": 2}}}


@pytest.mark.parametrize(("of_reference", "of_run", "fits"), [
    ("last-prompt", "last-prompt", True), ("last-prompt", "generate", False), ("answers", "calibrated", True),
    ("generate", "last-prompt", False), ("calibrated", "generate", True),
])  # fmt: skip
def test_kinds_of_baseline_that_fit(of_reference: str, of_run: str, fits: bool) -> None:
    reference = Reference("clean", {}, {**IDENTITY, "baseline": of_reference})
    if fits:
        reference.check(IDENTITY, kind_of(of_run))
    else:
        with pytest.raises(InputError, match="the kind of baseline differs"):
            reference.check(IDENTITY, kind_of(of_run))


def test_all_that_differs_is_named() -> None:
    reference = Reference("clean", {}, {**IDENTITY, "baseline": "generate"})
    other = {"model": {"config": "x", "weights": "w", "tokenizer": "x"}, "rendering": {}, "vectors": {"kind": {}}}
    with pytest.raises(InputError) as caught:
        reference.check(other, kind_of("generate"))
    assert str(caught.value).startswith(
        "the reference clean does not fit this run: the model's config, the model's tokenizer,"
        " the chat template or rendering, the vector or layer of kind differs\n"
    )


def good() -> tuple[dict[str, Any], dict[str, Any]]:
    """A card, and its part that tells of the directions."""
    known = {"key": KEY, **controls.distribution(np.ones((5, RANDOM)), QUANTILES)}
    return {**IDENTITY, "baseline": "generate", "controls": {"evil": known}}, known


@pytest.mark.parametrize("wrong", [
    {"quantiles": {name: [1.0] * (RANDOM - 1) for name in QUANTILES}},
    {"quantiles": {name: ["1"] * RANDOM for name in QUANTILES}},
    {"quantiles": dict.fromkeys(QUANTILES, "1" * RANDOM)},
    {"quantiles": {name: [1.0] * RANDOM for name in list(QUANTILES)[1:]}},
    {"quantiles": []}, {"rows": 5.0}, {"rows": None}, {"effective": "1"}, {"key": 5}, {"key": None},
])  # fmt: skip
def test_directions_that_a_card_does_not_tell_of_rightly_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    card, known = good()
    scores = {"evil": np.arange(3, dtype=np.float32)}
    Reference("x", scores, card, controls={KEY: MADE}).save(tmp_path / "good")
    assert Reference.load(tmp_path / "good").card == card
    bad = {**card, "controls": {"evil": {**known, **wrong}}}
    Reference("x", scores, bad, controls={KEY: MADE}).save(tmp_path / "bad")
    with pytest.raises(StoreError, match="its arrays or its card are not of that kind"):
        Reference.load(tmp_path / "bad")


def test_directions_of_another_shape_are_damage(tmp_path: Path) -> None:
    card, flat = {**IDENTITY, "baseline": "generate"}, MADE.ravel()
    made = Reference("x", {"evil": np.arange(3, dtype=np.float32)}, card, controls={controls.key(flat): flat})
    made.save(tmp_path / "bad")
    with pytest.raises(StoreError, match="are not those written"):
        Reference.load(tmp_path / "bad")


def test_scores_are_read_in_order_whatever_the_file_has(tmp_path: Path) -> None:
    card = {**IDENTITY, "baseline": "generate"}
    Reference("x", {"evil": np.array([2, 1, 3], np.float32)}, card).save(tmp_path / "a.reference")
    found = Reference.load(tmp_path / "a.reference")
    assert (found.name, found.scores["evil"].tolist()) == ("a.reference", [1.0, 2.0, 3.0])
