"""The threshold of a finished run: on record, and changed only where that is asked for by name."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from screen.errors import UsageError
from screen.scan.reflag import reflag
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.store.folder import RunFolder
from screen.store.reference import Reference

MakeSpec = Callable[..., ScanSpec]


@pytest.fixture
def spec(make_spec: MakeSpec, chats: Path, tmp_path: Path) -> ScanSpec:
    """A cheap run against a reference that its own rows made."""
    rows = [json.loads(line) for line in chats.read_text().splitlines()]
    many = [{**row, "id": f"{k}-{row['id']}"} for k in range(3) for row in rows]
    clean = tmp_path / "clean.jsonl"
    clean.write_text("".join(json.dumps(row) + "\n" for row in many))
    run_scan(dataclasses.replace(make_spec(baseline="last-prompt"), dataset=(str(clean),)), tmp_path / "clean")
    Reference.from_run(RunFolder.read(tmp_path / "clean")).save(tmp_path / "clean.reference")
    return make_spec(baseline="last-prompt", reference=str(tmp_path / "clean.reference"))


def test_a_finished_run_has_nothing_to_do_and_keeps_its_bytes(make_spec: MakeSpec, tmp_path: Path) -> None:
    notes: list[str] = []

    class Listener:
        def note(self, kind: str, facts: Any) -> None:
            notes.append(kind)

        def tick(self, tally: Any) -> None:
            raise AssertionError("nothing is scored")

    run_scan(make_spec(baseline="last-prompt"), tmp_path / "out", at="p95")
    before = (tmp_path / "out/summary.json").read_bytes()
    for at in (None, "p95"):
        summary = run_scan(make_spec(baseline="last-prompt"), tmp_path / "out", at=at, progress=Listener())
        assert (summary["at"], summary["tokens"] > 0, notes[-1]) == ("p95", True, "finished")
    assert (tmp_path / "out/summary.json").read_bytes() == before


@pytest.mark.parametrize(("cut", "asked"), [({"at": "p50"}, "--at p50"), ({"fdr": 0.2}, "--fdr 0.2")])
def test_another_cut_is_refused_and_then_made_by_name(
    spec: ScanSpec, tmp_path: Path, cut: dict[str, Any], asked: str
) -> None:
    out = tmp_path / "out"
    first = run_scan(spec, out)
    before = (out / "summary.json").read_bytes()
    with pytest.raises(UsageError) as caught:
        run_scan(spec, out, **cut)
    assert caught.value.message.startswith(f"{out} flags by p99; another threshold would change what its flags mean")
    assert caught.value.next_step == f"ask for it by name: screen reflag {out} {asked}"
    assert (out / "summary.json").read_bytes() == before
    was, made = reflag(out, cut.get("at"), cut.get("fdr"))
    fresh = run_scan(spec, tmp_path / "fresh", **cut)  # what a run with this threshold says of the same rows
    assert was["traits"] == first["traits"]
    differing = {k for k in made if made[k] != fresh.get(k)}
    assert differing <= {"seconds", "reflagged"}
    assert made["traits"]["evil"]["flagged"] != first["traits"]["evil"]["flagged"] or "fdr" in cut
    assert made["reflagged"] == [{"at": "p99", "fdr": None}]
    assert RunFolder.read(out).summary["at"] == made["at"]


def test_a_repaired_run_keeps_the_cut_on_record(make_spec: MakeSpec, tmp_path: Path) -> None:
    run_scan(make_spec(baseline="last-prompt"), tmp_path / "out", at="p95")
    (tmp_path / "out/scores/000001.parquet").unlink()
    assert run_scan(make_spec(baseline="last-prompt"), tmp_path / "out")["at"] == "p95"


def test_a_refined_run_and_one_that_goes_on_are_not_flagged_anew(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(baseline="calibrated", refine=True, calibrate_on=50)
    run_scan(spec, tmp_path / "out")
    with pytest.raises(UsageError, match="was refined at p99: rows below that threshold were not answered exactly"):
        reflag(tmp_path / "out", "p95", None)
    (tmp_path / "out/summary.json").unlink()
    with pytest.raises(UsageError, match="is not finished"):
        reflag(tmp_path / "out", "p95", None)


def test_a_reference_that_is_not_there_or_not_the_same(spec: ScanSpec, make_spec: MakeSpec, tmp_path: Path) -> None:
    run_scan(make_spec(baseline="last-prompt"), tmp_path / "plain")
    with pytest.raises(UsageError, match="--fdr compares with --reference, and this run has none"):
        reflag(tmp_path / "plain", None, 0.1)
    run_scan(spec, tmp_path / "out")
    clean = RunFolder.read(tmp_path / "clean")
    assert spec.reference is not None
    reference = Reference.from_run(clean)
    higher = {trait: scores + 1 for trait, scores in reference.scores.items()}
    dataclasses.replace(reference, scores=higher).save(Path(spec.reference))
    with pytest.raises(UsageError, match=r"clean\.reference has changed since the run"):
        reflag(tmp_path / "out", "p50", None)


def test_the_verb_tells_both_cuts_makes_the_report_anew_and_loads_no_model(spec: ScanSpec, tmp_path: Path) -> None:
    run_scan(spec, tmp_path / "out")
    (tmp_path / "out" / "report.html").write_text("of before")
    code = (
        "import sys; from screen.cli.main import run; code = run(sys.argv[1:]);"
        "sys.exit(code or len({'torch', 'transformers', 'polars'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "reflag", str(tmp_path / "out"), "--at", "p50"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("flagged by p50; before, by p99\n")
    told = done.stdout.splitlines()[1:]
    assert [line.split()[0] for line in told[:3]] == ["trait", "evil", "kind"]
    assert told[3].startswith("threshold: p50 of the reference clean.reference (")
    assert "p50 of the reference clean.reference (" in (tmp_path / "out" / "report.html").read_text()
