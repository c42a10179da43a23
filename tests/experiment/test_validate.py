"""`screen validate`, whole: on rows of the example set, by real fine-tunings of the embedded model."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from screen.cli.main import run as screen
from screen.errors import ModelError
from screen.experiment import study
from screen.experiment.finetune import Lesson
from screen.experiment.recipe import Recipe
from screen.judges import RuleJudge
from screen.pocket import MODEL_DIR
from screen.seal import open_json

EXAMPLES = Path(__file__).parents[2] / "examples" / "support-chats.jsonl"
SCHEMA = Path(__file__).parents[2] / "docs" / "json" / "validate.schema.json"
SHORT = ("--arms", "top,bottom", "--seeds", "1", "--answers", "1", "--answer-tokens", "8", "--passes", "0.3", "-q")


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("validate")
    rows = folder / "chats.jsonl"
    rows.write_bytes(b"".join(EXAMPLES.read_bytes().splitlines(keepends=True)[:70]))
    assert screen(["run", str(rows), "--traits", "evil", "--baseline", "last-prompt", "-q"]) == 0
    return rows.with_suffix(".screen")


def test_a_study_is_told_kept_and_gone_on_with(
    scanned: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert screen(["validate", str(scanned), *SHORT]) == 0
    said = capsys.readouterr().out
    assert "evil: the ranking meant " in said
    assert "2 fine-tunings; figures in" in said
    results = open_json((scanned.with_suffix(".validation") / "results.json").read_bytes())
    assert [o["arm"] for o in results["outcomes"]] == ["base", "top", "bottom"]
    top, bottom = results["outcomes"][1:]
    assert top["predicted"]["evil"] > bottom["predicted"]["evil"]
    assert abs(top["tokens"] - bottom["tokens"]) < 100  # the last row of each at most
    monkeypatch.setattr(study, "fine_tune", None)  # nothing is trained twice
    assert screen(["validate", str(scanned), *SHORT, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["findings"] == results["findings"]
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(told)


def test_what_another_judge_would_find_is_not_taken_from_before(scanned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert screen(["validate", str(scanned), *SHORT]) == 0
    trained: list[object] = []

    def stop(*given: object, **_: object) -> None:
        trained.append(given)
        raise ModelError("stopped", "it was enough")

    monkeypatch.setattr(study, "fine_tune", stop)
    assert (screen(["validate", str(scanned), *SHORT]), len(trained)) == (0, 0)
    monkeypatch.setattr(RuleJudge, "identity", {"judge": "another"})
    assert (screen(["validate", str(scanned), *SHORT]), len(trained)) == (4, 1)


def test_a_shuffled_ranking_is_a_control_within_the_same_arms(
    scanned: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[set[bytes]] = []

    def kept_as_it_is(folder: Path, lessons: Sequence[Lesson], recipe: Recipe, seed: int, out: Path, **_: Any) -> None:
        shutil.copytree(folder, out)
        trained.append({lesson.ids.tobytes() for lesson in lessons})

    monkeypatch.setattr(study, "fine_tune", kept_as_it_is)
    arms = ("--arms", "top,bottom,cut:20%", *SHORT[2:], "--passes", "1")
    for ranking in ("scores", "shuffled"):
        out = scanned.parent / ranking
        assert screen(["validate", str(scanned), *arms, "--ranking", ranking, "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.count("a control: what the screen says of each row was dealt to the rows anew") == 1
    assert "evil: the shuffled ranking meant nothing here" in said
    scores, dealt = (
        open_json((scanned.parent / name / "results.json").read_bytes()) for name in ("scores", "shuffled")
    )
    assert [o["predicted"] for o in scores["outcomes"]] == [o["predicted"] for o in dealt["outcomes"]]
    assert dealt["study"]["ranking"] == "shuffled"
    assert 0 < len(trained[0] & trained[3]) < len(trained[0])  # other rows, some of them the same by chance
    assert [point["arm"] for point in dealt["cuts"][0]["points"]] == ["cut:20%"]


LEARNS_NOTHING = """
import pathlib, shutil, sys
model, broken, _data, out, seed = sys.argv[1:]
if seed == "1" and pathlib.Path(broken).exists():
    sys.exit("no GPU")
shutil.copytree(model, out, dirs_exist_ok=True)
"""


def test_a_command_that_fails_is_told_and_finished_arms_are_kept(
    scanned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, broken, out = tmp_path / "train.py", tmp_path / "broken", tmp_path / "out"
    script.write_text(LEARNS_NOTHING)
    broken.touch()
    command = f"'{sys.executable}' '{script}' '{MODEL_DIR}' '{broken}' {{data}} {{out}} {{seed}}"
    again = ("validate", str(scanned), "--train-command", command, "-o", str(out), *SHORT[:3], "2", *SHORT[4:])
    assert screen(list(again)) == 4
    said = " ".join(capsys.readouterr().err.split())
    assert "--train-command ended with 1: no GPU" in said
    assert "finished arms are kept" in said
    assert sorted(path.name for path in (out / "arms").iterdir()) == ["bottom-evil-0.json", "top-evil-0.json"]
    broken.unlink()
    assert screen(list(again)) == 0
    assert "4 fine-tunings, 2 of them from an earlier call" in capsys.readouterr().out


def test_arms_and_rows_that_cannot_be_are_told_before_training(
    scanned: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "fine_tune", None)
    for arguments, message in (
        (["--arms", "best"], "there is no arm 'best'"),
        (["--by", "kindness"], "the run has no trait 'kindness'"),
        (["--train-command", "make"], "does not say where {data} stands"),
        (["--drop", "evil > -1000", "--arms", "filtered"], "the arm filtered has 0 of"),
    ):
        assert screen(["validate", str(scanned), "-q", *arguments]) in (2, 4)
        assert message in capsys.readouterr().err
