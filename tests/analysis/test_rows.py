"""Single rows once more: tokens, numerics, neighbours and copies, and the second detector."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from screen.analysis import lift, numerics, similar
from screen.analysis.explain import explain
from screen.analysis.rescore import open_whole, reopen
from screen.errors import InputError, UsageError
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.stats import spearman
from screen.store.scan import Scan
from tests.analysis.conftest import ROWS


def test_tokens_average_to_the_stored_projection_and_cover_the_text(scan: Scan) -> None:
    again = reopen(scan)
    turns = scan.turns().collect()
    for row in (0, 7, 33):
        [turn] = explain(again, row)
        [stored] = turns.filter(turns["row"] == row).to_dicts()
        assert turn["text"] == stored["text"]
        assert "".join(turn["text"][t["start"] : t["end"]] for t in turn["tokens"]) == turn["text"]
        for trait in scan.traits:
            mean = np.mean([t[trait] for t in turn["tokens"]])
            assert mean == pytest.approx(stored[f"{trait}_projection"], abs=1e-4)
            assert turn["traits"][trait]["mean"] == pytest.approx(mean, abs=1e-4)
            window, kept = turn["traits"][trait]["windows"], stored[f"{trait}_windows"]
            assert [(w["start"], w["end"]) for w in window] == [(w["start"], w["end"]) for w in kept]
            assert window[0]["mean"] == pytest.approx(stored[f"{trait}_window"], abs=1e-4)
            values = sorted(t[trait] for t in turn["tokens"])
            highest = turn["traits"][trait]["highest"]
            assert [t["projection"] for t in highest] == values[:-3:-1]
            assert all(t["text"] == turn["text"][t["start"] : t["end"]] for t in highest)
            excess = [max(v - stored[f"{trait}_baseline"], 0.0) for v in values]
            assert stored[f"{trait}_top2"] == pytest.approx(sum(excess[-2:]) / sum(excess), rel=1e-3)


def test_a_row_that_was_skipped_or_is_not_there(scan: Scan) -> None:
    again = reopen(scan)
    with pytest.raises(UsageError, match=f"row {ROWS} was not scored"):
        explain(again, ROWS)
    with pytest.raises(InputError, match="row 9999 is no longer there"):
        explain(again, 9999)


def test_a_changed_row_is_refused(made: Path, tmp_path: Path) -> None:
    lines = (made / "chats.jsonl").read_text().splitlines(keepends=True)[:4]
    (tmp_path / "few.jsonl").write_text("".join(lines))
    spec = ScanSpec(dataset=(str(tmp_path / "few.jsonl"),), baseline="last-prompt")
    run_scan(spec, tmp_path / "few.screen")
    changed = json.loads(lines[2])
    changed["messages"][-1]["content"] += "!"
    (tmp_path / "few.jsonl").write_text("".join([*lines[:2], json.dumps(changed) + "\n", lines[3]]))
    again = reopen(Scan.open(tmp_path / "few.screen"))
    assert len(explain(again, 1)) == 1
    with pytest.raises(InputError, match=r"few\.jsonl:3 has changed since it was scored"):
        explain(again, 2)


def test_scores_in_float32_one_by_one_are_those_of_the_run(scan: Scan) -> None:
    found = numerics.check(scan, rows=12)
    assert found["rows"] >= 12
    for told in found["traits"].values():
        assert told["largest"] < 1e-3
        assert told["changed"] == []


def test_answers_that_are_gone_are_not_made_anew(scan: Scan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="baseline responses of the run are not in the cache"):
        numerics.check(scan, rows=5, cache=tmp_path / "empty")


def test_bfloat16_is_told_by_its_noise(made: Path, tmp_path: Path) -> None:
    spec = ScanSpec(dataset=(str(made / "chats.jsonl"),), dtype="bfloat16", baseline="last-prompt", limit=(0, 40))
    run_scan(spec, tmp_path / "out")
    found = numerics.check(Scan.open(tmp_path / "out"), rows=12)
    assert all(told["noise"] > 1e-3 for told in found["traits"].values())
    assert found["dtype"] == "bfloat16"


def test_the_nearest_rows_are_those_with_the_nearest_scores(scan: Scan) -> None:
    scores = scan.scores().collect()
    top = int(scores["row"][int(scores["evil"].arg_max())])
    found = similar.neighbours(scan, top, count=5)
    assert top not in [f["row"] for f in found]
    assert [f["distance"] for f in found] == sorted(f["distance"] for f in found)
    assert np.mean([f["scores"]["evil"] for f in found]) > scores["evil"].mean() + scores["evil"].std()
    with pytest.raises(UsageError, match="row 9999 has no scores"):
        similar.neighbours(scan, 9999)


def test_copies_of_an_answer_are_one_group(tmp_path: Path) -> None:
    text = "The lamp in the hall was left on all night, and nobody in the house can say who did it or why they did."
    answers = [text, "Quite another thing, said briefly and with other words than those.", text, text + " Truly."]
    rows = [{"messages": [{"role": "user", "content": f"ask {i}"}, {"role": "assistant", "content": a}]}
            for i, a in enumerate(answers)]  # fmt: skip
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    run_scan(ScanSpec(dataset=(str(tmp_path / "d.jsonl"),), baseline="none"), tmp_path / "out")
    [group] = similar.copies(Scan.open(tmp_path / "out"))
    assert (group["rows"], group["text"]) == ([0, 2, 3], text)


def test_the_lift_is_the_difference_of_two_plain_log_probabilities(made: Path, scan: Scan) -> None:
    again = open_whole(scan)
    [(_, rendered)] = again.shard([5]).samples
    model = again.instruments.model
    got = lift.log_probability(model, rendered)
    [sequence], at = rendered.sequences, rendered.sequences[0].turns[0].tokens
    with torch.no_grad():
        logits = model.causal(torch.tensor(sequence.ids[None].astype(np.int64))).logits[0].double().log_softmax(-1)
    plain = np.mean([float(logits[i - 1, sequence.ids[i]]) for i in at])
    assert got == pytest.approx(plain, abs=1e-4)


def test_the_lift_is_kept_queried_and_agrees_somewhat(scan: Scan) -> None:
    found = lift.run_lift(scan, traits=("evil",), limit=60)
    assert (found["rows"], found["without"]) == (60, 0)
    table = scan.sql("select l.row, evil_lift, evil from lift l join scores using (row)")
    assert table.num_rows == 60
    assert spearman(table["evil_lift"].to_numpy(), table["evil"].to_numpy()) == pytest.approx(
        found["traits"]["evil"]["agreement"], abs=1e-6
    )
    assert found["traits"]["evil"]["agreement"] > 0.1
    with pytest.raises(UsageError, match="there is no trait 'rude'"):
        lift.run_lift(scan, traits=("rude",))
