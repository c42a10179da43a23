"""What `screen validate` tells before a row is scored."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from screen.analysis.estimate.machine import available_bytes
from screen.cli.main import run as screen
from screen.cli.runs import run as runs
from screen.errors import ModelError, ScreenError, UsageError
from screen.experiment import memory
from screen.experiment.early import check
from screen.experiment.study import StudySpec
from screen.pocket import MODEL_DIR
from screen.spec import ScanSpec
from screen.traits.trait import load_trait

PAIR = {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}
CHAT = {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]}


@pytest.fixture(autouse=True)
def unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    def scored(*_: object) -> None:
        raise AssertionError("rows were scored")

    monkeypatch.setattr(runs, "perform", scored)


@pytest.mark.parametrize(
    ("row", "count", "arguments", "message"),
    [
        (PAIR, 60, [], "is of preference pairs, which are not fine-tuned here"),
        (CHAT, 20, [], "has 20 rows to rank by; a third of them is an arm, and 16 rows are the least"),
        (CHAT, 60, ["--limit", "30"], "has 30 rows to rank by"),
        (CHAT, 60, ["--by", "kindness"], "the run has no trait 'kindness'"),
        (CHAT, 60, ["--arms", "best"], "there is no arm 'best'"),
        (CHAT, 60, ["--train-command", "make {data}"], "does not say where {out} stands"),
        (CHAT, 60, ["--trait", "gone.yaml"], "gone.yaml"),
    ],
)
def test_rows_and_flags(
    row: dict[str, object],
    count: int,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(f"{json.dumps(row)}\n" * count)
    assert screen(["validate", str(data), "-q", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_memory_that_does_not_suffice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(f"{json.dumps(CHAT)}\n" * 60)
    monkeypatch.setattr(memory, "available", lambda _device: 30 << 20)
    assert screen(["validate", str(data), "-q"]) == ModelError.exit_code
    said = " ".join(capsys.readouterr().err.split())
    assert "training 3 M parameters takes about 0.1 GiB, and 0.0 GiB are free" in said
    assert "or train adapters with --lora 32" in said
    memory.check(MODEL_DIR, "cpu", lora=True)  # which take less


def test_a_trait_without_questions_or_a_judge(tiny_model: Path, tiny_vectors: Path) -> None:
    scanned = ScanSpec(dataset=("rows.jsonl",), model=str(tiny_model), vectors=(str(tiny_vectors),), device="cpu")
    study = StudySpec(traits=("kind",))
    with pytest.raises(UsageError, match="its card holds no questions for 'kind'"):
        check(scanned, study, "local")
    given = dataclasses.replace(study, given=(dataclasses.replace(load_trait("evil"), name="kind"),))
    with pytest.raises(UsageError, match="there are no rules for the trait 'kind'"):
        check(scanned, given, "rules")
    check(scanned, given, "local")


def test_vectors_that_are_not_there(tiny_model: Path) -> None:
    with pytest.raises(ScreenError, match="there are no vectors for the model"):
        check(ScanSpec(dataset=("rows.jsonl",), model=str(tiny_model), device="cpu"), StudySpec(), "local")


def test_free_memory_is_the_least_of_the_machine_and_the_control_group(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    4000 kB\n")
    assert available_bytes(tmp_path) == 4000 << 10
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.current").write_text("1000\n")
    for most, free in (("max", 4000 << 10), ("3000", 2000), ("900", 0)):
        (group / "memory.max").write_text(f"{most}\n")
        assert available_bytes(tmp_path) == free
