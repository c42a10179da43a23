"""`screen cut`: what was measured on the curve, rows of like length, and what the base model refused, apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from screen.experiment.cuts import measured_cuts
from screen.experiment.outcome import ArmOutcome
from screen.experiment.results import RESULTS, Study, identity
from screen.seal import sealed_json
from screen.store.scan import read_scan
from tests.cli import fake_run
from tests.cli.conftest import Screen
from tests.experiment.made import cuts
from tests.schemas import validated


def validation(of: Path, outcomes: list[ArmOutcome], **changed: Any) -> Path:
    folder = of.with_suffix(".validation")
    folder.mkdir(exist_ok=True)
    study = Study(identity(read_scan(of)), {}, outcomes, [], measured_cuts(outcomes, ["evil"]), 0, 0)
    (folder / RESULTS).write_bytes(sealed_json({**study.to_json(), **changed}))
    return folder


def test_cut_shows_them_where_they_stand(screen: Screen, run: Path) -> None:
    validation(run, cuts(lambda share: 30 - share / 4))
    said = screen("cut", "chats.screen", "--by", "evil", "--measured")
    lines = {line.split()[0]: line.split() for line in said.out.splitlines() if line.startswith(("+", " +"))}
    assert lines["+5.00"][:3] == ["+5.00", "2", "+2.40"]  # rows 6 and 7 are gone
    assert float(lines["+5.00"][3]) == pytest.approx(2.75, abs=0.1)
    assert "evil: over 6 points of the cut curve the mean that is left goes with the shift" in said.out
    assert max(len(line) for line in said.out.splitlines()) <= 80
    told = validated("cut", screen("cut", "chats.screen", "--measured=chats.validation", "--json").out)[0]["measured"]
    assert [point["dropped"] for point in told["points"]] == [0, 1, 2, 3, 4, 4]  # row 3 has no score


def test_the_report_draws_what_was_measured_of_this_run_alone(screen: Screen, run: Path) -> None:
    made = cuts(lambda share: 30 - share / 4)
    for changed, drawn in (({}, True), ({"run": {}}, False)):
        validation(run, made, **changed)
        assert screen("report", "chats.screen").code == 0
        assert ("Measured without 2 rows (28.6 %): shift +2.7" in (run / "report.html").read_text()) is drawn


def test_what_is_of_another_run_or_shuffled_or_has_no_cuts_is_refused_by_name(screen: Screen, run: Path) -> None:
    made = cuts(lambda share: 9.0)
    other = {"dataset": {"files": ["another"]}, "vectors": {"evil": 1}}
    for outcomes, changed, message in (
        (made, {"run": other}, "chats.validation is not of this run (differing: the dataset, the vectors)"),
        (made, {"study": {"ranking": "shuffled"}}, "chats.validation was measured with a shuffled ranking"),
        (made[:3], {}, "chats.validation has no cut by evil"),
    ):
        validation(run, outcomes, **changed)
        said = screen("cut", "chats.screen", "--measured")
        assert said.code == 2
        assert message in " ".join(said.err.split())
        assert "screen validate chats.screen --by evil --arms all,cut:5%,cut:10%,cut:20%" in " ".join(said.err.split())


def test_a_trait_that_was_not_measured_is_told(screen: Screen, run: Path) -> None:
    validation(run, cuts(lambda share: 9.0))
    said = screen("cut", "chats.screen", "--by", "kind", "--measured")
    assert (said.code, "chats.validation has no cut by kind" in said.err) == (2, True)


def test_a_validation_that_is_not_there_or_damaged_is_told(screen: Screen, run: Path) -> None:
    assert "chats.validation has no results.json" in screen("cut", "chats.screen", "--measured").err
    folder = validation(run, cuts(lambda share: 9.0))
    (folder / RESULTS).write_bytes((folder / RESULTS).read_bytes().replace(b"cut:5%", b"cut:6%", 1))
    assert "results.json is damaged" in screen("cut", "chats.screen", "--measured").err
    shutil.rmtree(folder)
    assert json.loads(screen("cut", "chats.screen", "--json").out)["measured"] is None


def test_the_rows_above_the_threshold_of_their_length_are_what_its_filter_drops(screen: Screen, tmp_path: Path) -> None:
    chats = fake_run.write_chats(tmp_path / "many.jsonl", rows=48)
    fake_run.write_run(chats, shards=12)
    told = validated("cut", screen("cut", "many.screen", "--match", "length", "--json").out)[0]["like_length"]
    assert (told["source"], told["rows"], told["flagged"]) == ("run", 47, 42)
    assert screen("filter", "many.screen", "--drop", told["expression"], "-o", "left.jsonl").code == 0
    assert len((tmp_path / "left.jsonl").read_text().splitlines()) == 48 - told["above"]
    said = screen("cut", "many.screen", "--match", "length")
    assert "screen filter many.screen --drop '(answer_tokens >= 20" in said.out
    assert f"{told['both']} of 42 flagged rows still lie above" in " ".join(said.out.split())


def test_what_cannot_be_compared_by_length_is_told(screen: Screen, run: Path) -> None:
    for arguments, message in (
        (["--match", "length"], "has 7 rows with a score, too few or too alike for two bins of length"),
        (["--match", "length", "--by", "kind"], ""),
        (["--clean", "chats.screen"], "--clean says what --match length compares with"),
        (["--match", "length", "--refused", "only"], "--match and --refused show different things"),
    ):
        said = screen("cut", "chats.screen", *arguments)
        assert said.code == 2
        assert message in " ".join(said.err.split())


def test_what_the_base_model_refused_is_shown_apart(screen: Screen, run: Path) -> None:
    said = screen("cut", "chats.screen", "--by", "evil").out
    assert "the mean of 1 row whose prompt the base model refused or asked back is +7.00" in " ".join(said.split())
    only, others = (
        validated("cut", screen("cut", "chats.screen", "--refused", which, "--json").out)[0]
        for which in ("only", "without")
    )
    assert (only["rows"], others["rows"]) == (1, 6)
    assert only["points"][0]["mean"] == 7.0
    assert others["points"][0]["mean"] == pytest.approx((0 + 1 + 2 + 4 + 5 + 6) / 6)
    assert (only["expression"], others["suggested"]) == ("evil > {} and base_refused", None)
    ranked = {
        which: [
            json.loads(line)["row"]
            for line in screen("rank", "chats.screen", "--refused", which, "--json").out.splitlines()
        ]
        for which in ("only", "without")
    }
    assert ranked == {"only": [7], "without": [6, 5, 4, 2, 1, 0]}
