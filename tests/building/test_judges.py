"""Which judge is asked, and that each kind can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from screen.building.build import build_vectors
from screen.building.judges import chosen, judge_for
from screen.building.spec import BuildSpec
from screen.building.workshop import open_workshop
from screen.errors import ModelError, UsageError
from screen.progress import Silent


def test_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert chosen("auto", "pocket") == "rules"
    assert chosen("auto", "./model") == "local"
    with pytest.raises(UsageError, match="no endpoint"):
        judge_for("endpoint", "./model")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    assert chosen("auto", "./model") == "endpoint"
    assert chosen("local", "pocket") == "local"


def test_the_model_can_judge_itself(spec: BuildSpec, tmp_path: Path) -> None:
    """Random weights give no number a quarter of the probability: no score, and that is told early."""
    with pytest.raises(ModelError, match="gave no score in any of its first 16 judgements"):
        build_vectors(spec, tmp_path, judge=judge_for("local", spec.model))


def test_rules_are_for_the_embedded_models_traits(spec: BuildSpec, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no rules for the trait 'evenness'"):
        open_workshop(spec, tmp_path, judge_for("rules", "pocket"), Silent())
