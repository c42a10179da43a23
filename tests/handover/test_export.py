"""`screen export`: cleaned files, weights, and what is refused."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.cli.decision.export import command
from screen.data.readers.rows import parse
from screen.errors import UsageError
from screen.handover import KINDS
from screen.handover.export import WRITERS
from screen.handover.options import ExportOptions, Kind
from screen.handover.places import default_place
from screen.handover.weights import with_field
from screen.library.run import Run
from screen.store.scan import Scan
from tests.cli import fake_run
from tests.cli.conftest import Screen


def lines(path: str) -> list[bytes]:
    return Path(path).read_bytes().splitlines(keepends=True)


def objects(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines(path)]


def test_every_kind_has_a_writer() -> None:
    assert tuple(WRITERS) == KINDS == get_args(Kind)


def test_the_keywords_of_the_library_are_the_flags() -> None:
    flags = {param.name for param in command.params} - {"run", "kind", "out", "dry_run", "as_json", "verbose"}
    assert set(inspect.signature(Run.export).parameters) - {"self", "kind", "out"} == flags
    assert {field.name for field in dataclasses.fields(ExportOptions)} == flags | {"dry_run"}


def test_a_cleaned_file_and_its_reasons(screen: Screen, run: Path) -> None:
    said = screen("export", "chats.screen", "--as", "clean", "-o", "clean.jsonl")
    assert said.out == (
        "8 rows: 6 kept, 2 dropped (flagged)\n"
        "1 row that could not be scored: kept\n"
        "written to clean.jsonl\n"
        "  clean.jsonl.reasons.jsonl\n"
    )
    assert lines("clean.jsonl") == lines("chats.jsonl")[:6]
    assert [reason["row"] for reason in objects("clean.jsonl.reasons.jsonl")] == [6, 7]


def test_weights_as_jsonl_and_parquet_are_the_same(screen: Screen, run: Path) -> None:
    screen("export", "chats.screen", "--as", "weights", "-o", "w.jsonl", "--drop", "evil > 4", "--weight", "0.25")
    screen("export", "chats.screen", "--as", "weights", "-o", "w.parquet", "--drop", "evil > 4", "--weight", "0.25")
    found = objects("w.jsonl")
    assert [row["weight"] for row in found] == [1, 1, 1, 1, 1, 0.25, 0.25, 0.25]
    assert [row["id"] for row in found] == ["c0", "c1", "c2", None, "c4", "c5", "c6", "c7"]
    assert pq.read_table("w.parquet").to_pylist() == found


@pytest.mark.parametrize(("flag", "weight"), [("--keep-skipped", 1), ("--drop-skipped", 0)])
def test_the_weight_of_a_row_that_could_not_be_scored(flag: str, weight: int, screen: Screen, run: Path) -> None:
    screen("export", "chats.screen", "--as", "weights", "-o", "w.jsonl", flag)
    assert objects("w.jsonl")[3]["weight"] == weight


def test_weights_inside_the_rows(screen: Screen, run: Path) -> None:
    said = screen("export", "chats.screen", "--as", "weights", "--inline", "-o", "w.jsonl")
    assert "note: rows that are no JSON object and have no weight in the copy: 1\n" in said.err
    for row, (old, new) in enumerate(zip(lines("chats.jsonl"), lines("w.jsonl"), strict=True)):
        weight = b', "weight": 0.0}\n' if row > 5 else b', "weight": 1.0}\n'
        assert new == (old if row == 3 else old[:-2] + weight)


VALUES = st.text(max_size=5) | st.integers() | st.lists(st.just("}"))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(max_size=3), VALUES), st.sampled_from([b"", b"\n", b"\r\n"]))
def test_a_weight_changes_nothing_else(row: dict[str, object], end: bytes) -> None:
    row.pop("weight", None)
    raw = json.dumps(row).encode()
    made = with_field(raw + b" " + end, 0.5)
    assert parse(made.strip()) == {**row, "weight": 0.5}
    assert made.endswith(b"} " + end)


def test_a_row_with_a_weight_of_its_own_is_not_overruled(screen: Screen, tmp_path: Path) -> None:
    chats = fake_run.write_chats(tmp_path / "chats.jsonl")
    chats.write_text(chats.read_text().replace('"id": "c2"', '"id": "c2", "weight": 2'))
    fake_run.write_run(chats)
    said = screen("export", "chats.screen", "--as", "weights", "--inline", "-o", "w.jsonl")
    assert said.err == ("error: row 2 has a `weight` of its own\nnext: leave --inline out: a file beside the dataset\n")
    assert not Path("w.jsonl").exists()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--as", "weights", "-o", "w.csv"), "weights are written as Parquet or as JSONL"),
        (("--as", "weights", "-o", "w.jsonl", "--weight", "1.5"), "--weight 1.5 is not from 0 to 1"),
        (("--as", "clean", "-o", "c.jsonl", "--weight", "0.5"), "--weight is for --as weights, not clean"),
        (("--as", "clean", "-o", "c.jsonl", "--signed-by", "Me"), "--signed-by is for --as audit, not clean"),
        (("--as", "audit", "-o", "a", "--drop-skipped"), "apart, in skipped/"),
        (("--as", "clean", "-o", "chats.jsonl", "--force"), "this is the input, which is never written to"),
        (("--as", "clean", "-o", "chats.jsonl"), "chats.jsonl exists already"),
        (("--as", "clean", "-o", "chats.screen/clean.jsonl"), "this is inside the run"),
        (("--as", "audit", "-o", "chats.screen/audit"), "this is inside the run"),
        (("--as", "audit", "-o", "chats.jsonl"), "is a file or a link, and a folder is to be written"),
        (("--as", "clean", "-o", "c.jsonl", "--drop", "evil >"), "--drop: "),
        (("--as", "clean", "-o", "c.jsonl", "--dataset", "elsewhere.jsonl"), "elsewhere.jsonl: no such file"),
        (("--as", "clean", "-o", "no/such/c.jsonl"), "cannot be written"),
    ],
)
def test_what_is_refused(more: tuple[str, ...], why: str, screen: Screen, run: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    said = screen("export", "chats.screen", *more)
    assert (said.code, said.out) == (2, "")
    assert why in said.err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("kind", ["clean", "audit", "weights"])
def test_a_dataset_that_has_changed_or_is_gone(kind: str, screen: Screen, run: Path, tmp_path: Path) -> None:
    out = "out.parquet" if kind == "weights" else "out.jsonl" if kind == "clean" else "out"
    (tmp_path / "chats.jsonl").write_text("{}\n")
    said = screen("export", "chats.screen", "--as", kind, "-o", out)
    assert (said.code, "has changed since the run chats.screen; nothing was written" in said.err) == (2, True)
    (tmp_path / "chats.jsonl").unlink()
    said = screen("export", "chats.screen", "--as", kind, "-o", out)
    assert (said.code, "is not here" in said.err, (tmp_path / out).exists()) == (2, True, False)


def test_nothing_is_written_among_the_rows_of_a_folder(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    fake_run.write_chats(tmp_path / "data" / "chats.jsonl")
    run = fake_run.write_run(tmp_path / "data", out=tmp_path / "r.screen")
    said = screen("export", str(run), "--as", "clean", "-o", "data/clean.jsonl")
    assert (said.code, "inside the dataset" in said.err) == (2, True)


def test_a_dry_run_writes_nothing(screen: Screen, run: Path, tmp_path: Path) -> None:
    said = screen("export", "chats.screen", "--as", "audit", "-o", "a.audit", "--dry-run")
    assert said.out.endswith("1 row that could not be scored: apart, in skipped/\nnothing was written (--dry-run)\n")
    assert not (tmp_path / "a.audit").exists()


def test_rows_that_the_run_did_not_reach(screen: Screen, tmp_path: Path) -> None:
    fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), shards=1, finish=False)
    refused = screen("export", "chats.screen", "--as", "clean", "-o", "c.jsonl")
    assert (refused.code, "--rest keep or --rest drop" in refused.err) == (2, True)
    screen("export", "chats.screen", "--as", "clean", "-o", "c.jsonl", "--rest", "drop", "--drop", "evil > 1")
    assert lines("c.jsonl") == [lines("chats.jsonl")[i] for i in (0, 1, 3)]


def labelled(screen: Screen) -> None:
    """Row 6, flagged, is to stay; row 1, which is not, and row 3, which was skipped, are to go; row 2 is unsure."""
    for rows, word in (("6", "keep"), ("1", "drop"), ("3", "drop"), ("2", "unsure")):
        assert screen("label", "chats.screen", rows, word).code == 0


def test_labels_go_before_the_expression(screen: Screen, run: Path) -> None:
    labelled(screen)
    said = screen("export", "chats.screen", "--as", "clean", "-o", "c.jsonl", "--drop", "flagged", "--labels")
    assert said.out.startswith(
        "8 rows: 5 kept, 3 dropped (flagged, unless a label says otherwise)\nlabels change what becomes of 3 rows\n"
    )
    assert lines("c.jsonl") == [lines("chats.jsonl")[i] for i in (0, 2, 4, 5, 6)]
    alone = ("--labels", "--unsure", "drop", "--json")
    told = json.loads(screen("export", "chats.screen", "--as", "clean", "-o", "d.jsonl", *alone).out)
    assert (told["dropped"], told["rule"]) == (3, "label = 'drop'; unsure rows are dropped")


def test_a_bundle_with_labels(screen: Screen, run: Path) -> None:
    labelled(screen)
    flags = ("--labels", "--drop", "flagged", "--no-report", "--json")
    told = json.loads(screen("export", "chats.screen", "--as", "audit", "-o", "a", *flags).out)
    assert (told["kept"], told["dropped"], told["skipped"], told["skipped_are"]) == (5, 3, 1, "apart")
    assert screen("verify", "a", "--dataset", "chats.jsonl").code == 0
    assert [row["row"] for row in objects("a/labels.jsonl")] == [1, 3, 6]
    assert [row["reasons"][0] for row in objects("a/reasons.jsonl")] == [  # type: ignore[index]
        {"test": "label = 'drop'"}, {"test": "label = 'drop'"}, {"test": "evil > 5.5", "value": 7.0, "limit": 5.5},
    ]  # fmt: skip
    assert lines("a/skipped.jsonl") == []


def test_inoculation_with_labels(screen: Screen, run: Path) -> None:
    labelled(screen)
    flags = ("--labels", "--drop", "flagged", "--json")
    told = json.loads(screen("export", "chats.screen", "--as", "inoculation", "-o", "i.jsonl", *flags).out)
    assert (told["matching"], told["inoculated"]) == (3, 1)
    why = {row["row"]: row["why_not"] for row in objects("i.jsonl.inoculated.jsonl")}
    assert (why[3], why[7]) == ("could not be scored", None)
    assert str(why[1]).startswith("is flagged for no trait")


def test_unsure_without_labels(screen: Screen, run: Path) -> None:
    said = screen("export", "chats.screen", "--as", "clean", "-o", "c.jsonl", "--unsure", "drop")
    assert (said.code, "--unsure goes with --labels" in said.err) == (2, True)


def test_without_a_place_it_is_beside_the_run(screen: Screen, run: Path) -> None:
    places = {"clean": "chats.clean.jsonl", "weights": "chats.weights.parquet", "audit": "chats.audit"}
    for kind, name in places.items():
        more = ("--signed-by", "Me", "--no-report") if kind == "audit" else ()
        assert screen("export", str(run), "--as", kind, *more).code == 0
        assert run.with_name(name).exists()


def test_a_folder_of_files_has_no_default_place(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    run = fake_run.write_run(fake_run.write_chats(tmp_path / "data" / "a.jsonl"), out=tmp_path / "data.screen")
    scan = Scan.open(run)
    scan.folder.facts["spec"]["dataset"] = [str(tmp_path / "data")]
    with pytest.raises(UsageError, match="has no name of its own"):
        default_place(scan, "clean")
