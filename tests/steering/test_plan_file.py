"""A plan is read as it was written, with its vectors, and refused where either was changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from screen.errors import UsageError, VectorError
from screen.steering.given import steering_vectors
from screen.steering.plan_file import SteeringPlan, read_plan, write_plan
from screen.vectors.files import save_vector
from screen.vectors.persona import PersonaVector


def planned(folder: Path, *texts: str, model: str = "pocket", **how: object) -> Path:
    plan = SteeringPlan(steering_vectors(texts, model, **how), {"n_layers": 6, "d_model": 192})  # type: ignore[arg-type]
    write_plan(folder / "plan.json", plan, [{"coefficient": 1.0}], {"rows": 8})
    return folder / "plan.json"


@pytest.mark.parametrize("how", [{"layers": "all"}, {"at": {"evil": 2}}, {}])
def test_it_is_read_as_it_was_written(tmp_path: Path, how: dict[str, object]) -> None:
    path = planned(tmp_path, "evil=0.5", "sycophancy=2", **how)
    read, asked = read_plan(path), steering_vectors(["evil=0.5", "sycophancy=2"], "pocket", **how)  # type: ignore[arg-type]
    ours, theirs = read.steering.additions(), asked.additions()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[layer], theirs[layer]) for layer in ours)
    assert read.model == {"n_layers": 6, "d_model": 192}
    assert [v["path"] for v in json.loads(path.read_text())["vectors"]] == ["pocket", "pocket"]


def test_plan_and_vectors_move_together_and_another_vector_is_refused(tiny_vectors: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    (before / "evil.safetensors").write_bytes((tiny_vectors / "evil.safetensors").read_bytes())
    planned(before, f"{before / 'evil.safetensors'}=1", model="./mine")
    before.rename(after)
    assert read_plan(after / "plan.json").steering.vectors[0].source == str(after / "evil.safetensors")
    other = PersonaVector("evil", np.ones((4, 32), np.float32), np.arange(4), {"layer": 2})
    save_vector(other, after / "evil.safetensors")
    with pytest.raises(VectorError, match=r"evil.safetensors is not the vector that .*plan.json was made with"):
        read_plan(after / "plan.json")


def test_what_was_edited_or_is_no_plan_is_refused(tmp_path: Path) -> None:
    path = planned(tmp_path, "evil=0.5")
    path.write_text(path.read_text().replace("0.5", "5.0"))
    with pytest.raises(UsageError, match="changed since it was written"):
        read_plan(path)
    path.write_text("{}")
    with pytest.raises(UsageError, match="is no plan"):
        read_plan(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_plan(tmp_path / "gone.json")
