"""Validating files that are there, with labels; the picture; the command line."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from screen_reports.curves import vector_picture

from screen.building.spec import BuildSpec
from screen.building.validation.vector_files import read_labels, save_report, validate_files
from screen.cli.main import run as run_screen  # noqa: F401  the errors of a command come through it
from screen.errors import UsageError, VectorError
from screen.vectors.files import load_vector
from tests.building.conftest import Build
from tests.building.even import even_judge


@pytest.fixture
def vector(build: Build) -> Path:
    return build().vectors[0].path


def labels(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_file_gets_the_report_that_its_build_gave(vector: Path, spec: BuildSpec, tmp_path: Path) -> None:
    rows = [{"question": "q", "answer": a, "label": label} for a, label in (("bdf", True), ("ace", 0), ("bbb", 20))]
    given = labels(tmp_path / "labels.jsonl", *rows, {**rows[0], "trait": "another", "label": False})
    (report,) = validate_files([str(vector)], spec, vector.parent, judge=even_judge, labels=given)
    kept = dict(load_vector(vector).card["validation"])
    found = dict(report.result.facts)
    for facts in (kept, found):
        facts.pop("forced", None)
        facts["controls"].pop("permuted_vectors", None)
        facts.pop("failed")
    assert found == kept
    assert report.judge is not None
    assert asdict(report.judge) == {
        "n": 3, "positives": 1, "unscored": 0, "accuracy": pytest.approx(2 / 3), "auroc": 0.75,
        "accuracy_interval": pytest.approx((0.208, 0.939), abs=1e-3),
        "auroc_interval": pytest.approx((0.165, 0.978), abs=1e-3),
    }  # fmt: skip


def test_a_report_is_kept_on_the_card_and_the_directions_stay(vector: Path, spec: BuildSpec) -> None:
    before = load_vector(vector)
    (report,) = validate_files([str(vector)], spec, vector.parent, judge=even_judge)
    save_report(report)
    after = load_vector(vector)
    assert after.card["sha256"] == before.card["sha256"]
    assert after.card["validation"]["auroc"] == before.card["validation"]["auroc"]


def test_a_vector_of_another_model_names_the_field(vector: Path, spec: BuildSpec) -> None:
    with pytest.raises(VectorError, match="hidden size is 32, the model's is 192"):
        validate_files([str(vector)], replace(spec, model="pocket"), vector.parent, judge=even_judge)


@pytest.mark.parametrize("row", ["{", "[]", '{"question": "q"}', '{"question": 1, "answer": "a", "label": true}'])
def test_a_bad_label_names_its_line(row: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(f'{{"question": "q", "answer": "a", "label": true}}\n\n{row}\n')
    with pytest.raises(UsageError, match=r"labels\.jsonl:3: not a labelled answer"):
        read_labels(path)


def test_the_picture_is_well_formed_and_takes_names_as_text() -> None:
    validation = {
        "auroc": [None, 0.5, 0.9, 0.8],
        "controls": {"layer_0": 0.5, "random": {"mean": 0.5, "p95": 0.6, "n": 32}},
        "steering": [{"coefficient": c, "score": 50.0, "coherence": 80.0} for c in (-1.0, 0.0, 1.0)],
    }
    steering = [{"layer": n, "coefficient": 1.0, "score": 10.0 * n, "coherence": 90.0} for n in (1, 2)]
    root = ElementTree.fromstring(vector_picture("<b>&", 2, validation, steering))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "<b>&, layer 2" in texts
    assert "random, 95th percentile" in texts
    assert "trait, coefficient 1" in texts


def test_the_documented_example_names_what_is_there() -> None:
    text = (Path(__file__).parents[2] / "docs" / "building-vectors.md").read_text(encoding="utf-8")
    example = text.split("```python\n")[1].split("```")[0]
    imports = [line for line in example.splitlines() if line.startswith("from ")]
    assert len(imports) == 4
    exec("\n".join(imports), {})
