"""Checkpoints as they come: their shifts, half-written ones, adapters, and what does not load."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from screen.errors import UsageError
from screen.monitor.checkpoints import find
from screen.monitor.watch import new, whole
from screen.pocket import MODEL_DIR, VECTORS_DIR
from screen.store.reference import Reference
from screen.traits.trait import load_trait
from screen.vectors.files import load_vector
from tests.cli.conftest import Screen, screen  # noqa: F401
from tests.schemas import validated

EVIL = load_vector(VECTORS_DIR / "evil.safetensors")
LAYER = EVIL.layer or 0
ONE = ("--traits", "evil", "--once")


def nudged(times: float) -> Any:
    """The embedded model, its last matrix below evil's layer turned toward evil."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=torch.float32)
    weight = model.model.layers[LAYER - 1].mlp.down_proj.weight
    ones = torch.ones(weight.shape[1]) / weight.shape[1] ** 0.5
    with torch.no_grad():
        weight += times * torch.outer(torch.from_numpy(EVIL.unit(LAYER)), ones)
    return model


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two whole models, adapters that are the second as near as their rank allows, and a model of another kind."""
    import peft

    folder = tmp_path_factory.mktemp("out")
    for step, times in ((5, 1.0), (20, 4.0)):
        nudged(times).save_pretrained(folder / f"checkpoint-{step}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        config = peft.LoraConfig(r=1, lora_alpha=1, target_modules=["down_proj"], layers_to_transform=[LAYER - 1])
        adapted = peft.get_peft_model(nudged(0.0), config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data = 4.0 * torch.from_numpy(EVIL.unit(LAYER))[:, None]
        elif "lora_A" in name:
            weight.data = torch.ones_like(weight) / weight.shape[1] ** 0.5
    adapted.save_pretrained(folder / "checkpoint-100")
    return folder


def plainly(times: float) -> np.ndarray:
    """(questions,) projections of the last prompt token, by transformers alone."""
    from transformers import AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(MODEL_DIR), nudged(times)
    found = []
    for question in load_trait("evil").evaluate:
        talk = [{"role": "user", "content": question}]
        ids = tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            states = model(**ids, output_hidden_states=True).hidden_states[LAYER]
        found.append(float(states[0, -1] @ torch.from_numpy(EVIL.unit(LAYER))))
    return np.array(found)


def test_shifts_are_those_that_transformers_gives_adapters_too(screen: Screen, out: Path) -> None:  # noqa: F811
    said = screen("monitor", "watch", str(out), *ONE, "--plot", "shift.svg", "--json")
    assert said.code == 0, said.err
    [found] = validated("monitor-watch", said.out)
    base = plainly(0.0)
    wanted = [float((plainly(times) - base).mean()) for times in (1.0, 4.0, 4.0)]
    assert [c["name"] for c in found["checkpoints"]] == ["checkpoint-5", "checkpoint-20", "checkpoint-100"]
    assert [c["adapter"] for c in found["checkpoints"]] == [False, False, True]
    assert [c["shifts"]["evil"]["shift"] for c in found["checkpoints"]] == pytest.approx(wanted, abs=1e-3)
    sd = EVIL.card["reference"]["kinds"]["last-prompt"][str(LAYER)]["sd"]  # type: ignore[index]
    sds = [c["shifts"]["evil"]["sds"] for c in found["checkpoints"]]
    assert sds == pytest.approx([shift / sd for shift in wanted], abs=1e-3)
    assert ">evil</text>" in Path("shift.svg").read_text()


def test_a_limit_that_is_passed_exits_with_one(screen: Screen, out: Path) -> None:  # noqa: F811
    said = screen("monitor", "watch", str(out), *ONE, "--limit", "0.1")
    assert said.code == 1
    assert "checkpoint-20 has moved 0.1 standard deviations of clean rows or more along evil" in said.err
    assert "3 checkpoints measured" in said.out
    assert screen("monitor", "watch", str(out), *ONE, "--limit", "1000").code == 0
    assert max(map(len, said.out.splitlines())) <= 80


def test_a_checkpoint_that_is_being_written_is_waited_for(tmp_path: Path, out: Path) -> None:
    late = tmp_path / "checkpoint-7"
    shutil.copytree(out / "checkpoint-5", tmp_path / "checkpoint-6")
    late.mkdir()
    shutil.copy(out / "checkpoint-5" / "config.json", late)
    weights = (out / "checkpoint-5" / "model.safetensors").read_bytes()
    waits = []

    def wait(seconds: float) -> None:
        """The trainer goes on writing while the watch sleeps."""
        waits.append(seconds)
        if len(waits) <= 6:
            (late / "model.safetensors").write_bytes(weights[: len(waits) * len(weights) // 6])

    assert [c.name for c in whole(tmp_path, wait)[1]] == ["checkpoint-7"]
    assert [c.name for c in new(tmp_path, 1.0, idle=6.0, wait=wait)] == ["checkpoint-6", "checkpoint-7"]
    assert len(weights) == (late / "model.safetensors").stat().st_size


def test_what_does_not_load_is_told_and_costs_no_other(screen: Screen, out: Path, tiny_model: Path) -> None:  # noqa: F811
    Path("some").mkdir()
    shutil.copytree(out / "checkpoint-5", "some/checkpoint-1")
    shutil.copytree(tiny_model, "some/checkpoint-2")
    shutil.copytree(out / "checkpoint-100", "some/checkpoint-3")
    config = json.loads(Path("some/checkpoint-3/adapter_config.json").read_text())
    Path("some/checkpoint-3/adapter_config.json").write_text(json.dumps({**config, "r": 7}))
    Path("some/checkpoint-4").mkdir()
    Path("some/checkpoint-4/config.json").write_text("{}")
    said = screen("monitor", "watch", "some", *ONE)
    assert said.code == 0, said.err
    assert "1 checkpoint measured" in said.out
    assert "hidden size" in said.out
    assert "its adapters do not go onto" in said.out
    assert "checkpoint-4 is still being written, or damaged: left out" in said.err


def test_a_reference_of_other_vectors_or_of_another_model_is_refused(screen: Screen, out: Path) -> None:  # noqa: F811
    other = {"evil": {"layer": 1, "sha256": ""}}
    mine = {"evil": {"layer": LAYER, "sha256": EVIL.digest(LAYER)}}
    for vectors, why in ((other, "the vector or layer of evil differs"), (mine, "the model's config")):
        card = {"baseline": "last-prompt", "model": {"config": "x"}, "rendering": "", "vectors": vectors}
        Reference("r", {"evil": np.zeros(100, np.float32)}, card).save(Path("r.reference"))
        said = screen("monitor", "watch", str(out), *ONE, "--reference", "r.reference")
        assert (said.code, why in said.err) == (2, True), said.err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("none",), 2, "none: there is no such folder"),
        (("empty", *ONE), 2, "empty holds no whole checkpoint"),
        (("empty", *ONE, "--plot", "x.png"), 2, "--plot x.png: not an .svg file"),
        (("empty", *ONE, "--reference", "none"), 2, "none is not a reference"),
        (("empty", *ONE, "--model", "./none"), 4, "no model folder at ./none"),
    ],
)
def test_what_cannot_be_acted_on_is_told(screen: Screen, args: tuple[str, ...], code: int, message: str) -> None:  # noqa: F811
    Path("empty").mkdir()
    said = screen("monitor", "watch", *args)
    assert (said.code, message in said.err) == (code, True), said.err


def test_checkpoints_are_in_order_of_their_steps(tmp_path: Path) -> None:
    for name in ("checkpoint-100", "checkpoint-20", "epoch-3", "last", "tmp-checkpoint-7", "logs"):
        (tmp_path / name).mkdir()
        if name != "logs":
            (tmp_path / name / "config.json").write_text("{}")
    (tmp_path / "last" / "trainer_state.json").write_text('{"global_step": 30}')
    assert [(c.name, c.step) for c in find(tmp_path)] == [
        ("epoch-3", 3), ("checkpoint-20", 20), ("last", 30), ("checkpoint-100", 100),
    ]  # fmt: skip
    assert [c.folder for c in find(tmp_path / "last")] == [tmp_path / "last"]
    with pytest.raises(UsageError, match="no such folder"):
        find(tmp_path / "gone")
