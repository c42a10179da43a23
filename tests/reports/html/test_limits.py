"""What a report does where there is too much, too little, or something hostile."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from screen_reports.html.report import make

from screen.scan.summary.summarise import summarise
from screen.store import context, liftfile
from screen.store.folder import RunFolder
from screen.store.scan import read_scan
from screen.store.tables import pinned
from tests.cli import fake_run
from tests.reports.html.test_report import data_of
from tests.reports.html.test_texts import length_of

ROWS = 600
HARD = np.random.default_rng(0).integers(0x4E00, 0x9FFF, 400_000, dtype=np.uint32).tobytes().decode("utf-32-le")


def published(path: Path, trait: str, rows: int, values: dict[str, Any]) -> Path:
    """A finished run of `rows` rows with these columns, its score and window by the row's number."""
    scores, place = np.arange(rows, dtype=np.float32), np.zeros(rows)
    known: dict[str, Any] = {
        "row": np.arange(rows), "sign": place + 1, "answer_tokens": place + 9, "prompt_key": place, "turn": place + 1,
        "group": ["all"] * rows, "file": ["a.jsonl"] * rows, "text": ["An answer of a few words."] * rows,
        trait: scores, f"{trait}_window": scores, f"{trait}_window_start": place + 3, f"{trait}_window_end": place + 9,
        **values,
    }  # fmt: skip
    facts = {"baseline": "generate", "dataset": {"files": ["a.jsonl"]}, "references": {trait: None}}
    with RunFolder.open(path, {"traits": [trait]}, facts) as folder:
        context.save(folder.path, folder.run, {}, {"set_of": {}})
        tables = {}
        for name in ("scores", "turns"):
            schema = pinned(name, (trait,))
            columns = [pa.array(known[f.name], f.type) if f.name in known else pa.nulls(rows, f.type) for f in schema]
            tables[name] = pa.table(columns, schema=schema)
        folder.publish(0, 0, rows, tables)
        cards = {trait: {"layer": 1, "reference": None}}
        folder.finish(summarise(folder, cards, run={"tokens": 1, "seconds": 1.0, "resumed_rows": 0}))
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of many rows, each a group of its own and of text that no packer makes smaller."""
    values: dict[str, Any] = {
        "evil_window_start": np.full(ROWS, 6000), "evil_window_end": np.full(ROWS, 6100),
        "group": [f"group {i}" for i in range(ROWS)],
        "text": [HARD[103_333 * i % 380_000 :][:8000] for i in range(ROWS)],
        "base_answer": [HARD[70_001 * i % 390_000 :][:5000] for i in range(ROWS)],
        "prompt": [HARD[50_021 * i % 390_000 :][:5000] for i in range(ROWS)],
    }  # fmt: skip
    return make(read_scan(published(tmp_path_factory.mktemp("large") / "run", "evil", ROWS, values))).html


def test_a_report_is_below_two_megabytes_whatever_the_texts(large: str) -> None:
    assert 700_000 < len(large.encode()) < 2_000_000
    rows = data_of(large)["rows"]
    assert len(rows["lines"]) == len(rows["texts"]) == 300
    text = rows["texts"]["599"][0]["turns"][0]["text"]
    assert [[0, 0]] in [piece[1] for piece in text if isinstance(piece, list)]  # its window is there all the same
    assert length_of(text) == 8000


def test_of_many_groups_those_with_most_flagged_rows_are_listed_and_the_others_counted(large: str) -> None:
    assert "575 groups with fewer flagged rows are not listed, of 600." in large
    assert large.count('<th scope="row">group ') == 25


def run_of(folder: Path, **how: Any) -> str:
    return make(read_scan(fake_run.write_run(fake_run.write_chats(folder / "chats.jsonl"), **how))).html


def test_both_sides_of_a_pair_are_there(tmp_path: Path) -> None:
    rows = data_of(run_of(tmp_path, pairs=True, baseline="contrast"))["rows"]
    assert [side["side"] for side in rows["texts"]["0"]] == ["chosen", "rejected"]
    assert {line["side"] for line in rows["lines"]} == {"chosen", "rejected"}


def test_a_row_that_is_trained_away_from_is_flagged_for_being_low_only(tmp_path: Path) -> None:
    rows = data_of(run_of(tmp_path, away=(0, 7), threshold_away=1.0))["rows"]
    flags = {line["row"]: line["flags"] for line in rows["lines"]}
    assert (flags[0], flags[7], flags[6]) == ([0], [], [0])
    line = next(line for line in rows["lines"] if line["row"] == 7)
    assert line["remarks"][0].startswith("trained away from")


def test_without_rows_the_page_says_so(tmp_path: Path) -> None:
    page = run_of(tmp_path, shards=0, finish=False)
    assert "No row has a score, so there is none to show." in page
    assert 'id="table"' not in page


def test_the_second_detectors_places_stand_beside_and_disagreement_is_told(tmp_path: Path) -> None:
    run = fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"))
    lifts = {0: 9.0, 1: 1.0, 2: 2.0, 4: 4.0, 5: 5.0, 6: 6.0, 7: 0.0}  # 0 is lowest by its score, 7 highest
    table = pa.table({"row": pa.array(lifts, pa.int64()), "variant": pa.nulls(7, pa.string()),
                      "evil_lift": pa.array(lifts.values(), pa.float32())})  # fmt: skip
    liftfile.keep(RunFolder.read(run), table)
    rows = data_of(make(read_scan(run)).html)["rows"]
    odd = {line["row"]: line["lifts"][0]["odd"] for line in rows["lines"]}
    assert odd == {0: True, 1: False, 2: False, 4: False, 5: False, 6: False, 7: False}
    assert all(line["lifts"][1] is None for line in rows["lines"])


def test_a_hostile_name_of_a_trait_stays_text(tmp_path: Path) -> None:
    name = "k\"i'nd</script><img src=x onerror=alert(1)>{rows}\u202e"
    page = make(read_scan(published(tmp_path / "run", name, 3, {"group": ["<b>", "{long}", "a' OR 1=1 --"]}))).html
    assert not re.search("<img|<b>|\u202e", page)
    rows = data_of(page)["rows"]
    assert rows["traits"][0]["name"] == name.replace("\u202e", "\\u202e")
    assert rows["texts"]["0"][0]["turns"][0]["text"] == ["An ", ["answer", [[0, 0]]], " of a few words."]


def test_one_row_and_a_trait_without_spread(tmp_path: Path) -> None:
    one = make(read_scan(published(tmp_path / "one", "evil", 1, {"evil": [2.5]}))).html
    assert data_of(one)["rows"]["lines"][0]["shown"] == ["+2.50"]
    flat = make(read_scan(published(tmp_path / "flat", "evil", 70, {"evil": np.ones(70)}))).html
    assert {line["places"][0] for line in data_of(flat)["rows"]["lines"]} == {"p0.0"}


def test_a_run_of_skipped_rows_only_has_a_report(tmp_path: Path) -> None:
    schema, facts = pinned("skipped", ("evil",)), {"baseline": "generate", "references": {"evil": None}}
    why = {"row": range(5), "file": ["a.jsonl"] * 5, "code": ["bad_json"] * 5, "stage": ["read"] * 5,
           "message": ["no <b>JSON</b>"] * 5, "head": ["{<script>\x1b"] * 5}  # fmt: skip
    rows = pa.table([pa.array(why[f.name], f.type) if f.name in why else pa.nulls(5, f.type) for f in schema],
                    schema=schema)  # fmt: skip
    with RunFolder.open(tmp_path / "run", {"traits": ["evil"]}, facts) as folder:
        context.save(folder.path, folder.run, {}, {"set_of": {}})
        folder.publish(0, 0, 5, {"skipped": rows})
        cards = {"evil": {"layer": 1, "reference": None}}
        folder.finish(summarise(folder, cards, run={"tokens": 0, "seconds": 1.0, "resumed_rows": 0}))
    page = make(read_scan(tmp_path / "run")).html
    assert 'data-verdict="cannot-tell">No row could be scored</p>' in page
    assert page.count("no &lt;b&gt;JSON&lt;/b&gt;") == 3
    assert data_of(page)["scanned"]["heads"] == ["{<script>\\x1b"] * 3
