"""`screen vectors build` and `validate` as they are typed, and a build that is killed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import screen.cli.vectors.build as build_module
from screen.cli.vectors.build import command as build
from screen.cli.vectors.validate import command as validate
from screen.errors import VectorError
from screen.model.generate import Generator
from tests.building.conftest import Build
from tests.building.even import TRAIT, blind_judge, even_judge
from tests.schemas import validated

FEW = ("--rollouts", "4", "--held-out", "6", "--max-new-tokens", "6", "--minimum", "5", "--quiet", "--device", "cpu")


def call(command: click.Command, *args: str) -> str:
    done = CliRunner().invoke(command, args, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def even(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("screen.building.judges.judge_for", lambda *_: even_judge)
    for module in ("screen.traits.trait", "screen.library.vectors"):
        monkeypatch.setattr(f"{module}.load_trait", lambda _name: TRAIT)


@pytest.mark.usefixtures("even")
def test_build_and_validate(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, built, report_of = tmp_path / "vectors", [], build_module._report
    monkeypatch.setattr(build_module, "_report", lambda made, as_json: (built.append(made), report_of(made, as_json)))
    text = call(build, "x.yaml", "--model", str(tiny_model), *FEW, "-o", str(out), "--force")
    report_of(built[0], True)  # the same build with --json
    [told] = validated("vectors-build", capsys.readouterr().out)
    assert [made["trait"] for made in told["made"]] == ["evenness"]
    assert "evenness.safetensors: evenness, layer" in " ".join(text.split())
    assert (out / "evenness.svg").read_text().startswith("<svg")
    assert "coefficient" in text
    assert re.search(r"AUROC \d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\) on \d+ and \d+ answers", " ".join(text.split()))
    options = (
        "--model",
        str(tiny_model),
        "--held-out",
        "6",
        "--quiet",
        "--device",
        "cpu",
        "--save",
        "--json",
        "--trait",
        "x.yaml",
    )
    [[report]] = validated("vectors-validate", call(validate, str(out), *options, "--force"))
    assert report["trait"] == "evenness"
    assert len(report["validation"]["auroc"]) == 4
    low, high = report["validation"]["auroc_interval"]
    assert low < report["validation"]["auroc_at_layer"] <= high
    monkeypatch.setattr("screen.building.judges.judge_for", lambda *_: blind_judge)
    with pytest.raises(VectorError, match=r"no better than its controls: evenness \("):
        CliRunner().invoke(
            validate, [str(out), *(o for o in options if o not in ("--save", "--json"))], catch_exceptions=False
        )


@pytest.mark.parametrize("command", [build, validate])
def test_help_has_examples(command: click.Command) -> None:
    assert "Examples:" in call(command, "--help")


_KILLED = """
import os, signal, sys
from pathlib import Path
from screen.building.build import build_vectors
from screen.model.generate import Generator
from tests.building.even import even_judge, small_spec
usual, seen = Generator._batch, []
def batch(self, prompts, draws, *more):
    seen.append(len(prompts))
    if len(seen) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return usual(self, prompts, draws, *more)
Generator._batch = batch
build_vectors(small_spec(sys.argv[1]), Path(sys.argv[2]), judge=even_judge)
"""


def test_a_killed_build_goes_on_to_the_same_bytes(
    build: Build, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[int] = []
    usual = Generator._batch
    monkeypatch.setattr(Generator, "_batch", lambda self, p, *more: answers.append(len(p)) or usual(self, p, *more))
    whole = build(out=tmp_path / "whole").vectors[0].path.read_bytes()
    made = sum(answers)
    answers.clear()
    worker = [sys.executable, "-c", _KILLED, str(tiny_model), str(tmp_path / "killed")]
    done = subprocess.run(worker, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2])
    assert done.returncode == -9, done.stderr
    assert build(out=tmp_path / "killed").vectors[0].path.read_bytes() == whole
    assert sum(answers) == made - 3 * 16  # three whole batches were on disk
