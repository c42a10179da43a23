"""Preventative steering in transformers' Trainer: in training steps, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file

from screen.errors import ResumeRefused, UsageError
from screen.steering.hook import blocks_of, steered
from screen.training import PreventativeSteering
from screen.training.vaccine import RECORD
from screen.vectors.files import load_vector
from tests.training.conftest import ROWS, Train, collated, hooks_of_ours


def evil(tiny_vectors: Path, coefficient: float = 1.0, **more: Any) -> PreventativeSteering:
    return PreventativeSteering(tiny_vectors / "evil.safetensors", coefficient, **more)


def logged(trainer: hf.Trainer, name: str) -> list[float]:
    return [line[name] for line in trainer.state.log_history if name in line]


@torch.no_grad()
def loss(model: hf.PreTrainedModel) -> float:
    return float(model(**collated(ROWS)).loss)


def test_training_steps_are_steered_and_evaluation_and_prediction_are_not(
    trainer_for: Train, tiny: hf.PreTrainedModel, tiny_vectors: Path
) -> None:
    vaccine = evil(tiny_vectors, 2.0)
    with steered(blocks_of(tiny), vaccine.dose.additions()):
        pushed = loss(tiny)
    plain = loss(tiny)
    still = {"learning_rate": 0.0, "gradient_accumulation_steps": 6, "max_steps": 2, "eval_strategy": "steps"}
    trainer = trainer_for(vaccine, **still, eval_steps=1)
    trainer.train()
    assert logged(trainer, "loss") == pytest.approx([pushed, pushed], abs=1e-4)
    assert logged(trainer, "eval_loss") == pytest.approx([plain, plain], abs=1e-4)
    assert trainer.predict(ROWS).metrics["test_loss"] == pytest.approx(plain, abs=1e-4)
    assert abs(pushed - plain) > 0.05


def test_layer_and_amount_are_those_of_the_vector(tiny_vectors: Path) -> None:
    vector = load_vector(tiny_vectors / "evil.safetensors")
    torch.testing.assert_close(evil(tiny_vectors, -1.5).dose.additions(), {2: torch.from_numpy(-1.5 * vector.at(2))})
    assert list(evil(tiny_vectors, layers="all").dose.additions()) == [1, 2]
    assert list(evil(tiny_vectors, layer=1).dose.additions()) == [1]
    both = PreventativeSteering(tiny_vectors, {"evil": 1.0, "kind": -2.0}).dose
    torch.testing.assert_close(both.additions()[2], torch.from_numpy(both.vectors[0].at(2) - 2 * both.vectors[1].at(2)))


def test_it_changes_what_is_learnt_and_leaves_no_trace(
    trainer_for: Train, tiny_model: Path, tiny_vectors: Path, tmp_path: Path
) -> None:
    def trained(name: str, *callbacks: Any) -> hf.PreTrainedModel:
        model = hf.AutoModelForCausalLM.from_pretrained(tiny_model)
        trainer_for(*callbacks, model=model, output_dir=tmp_path / name, save_strategy="steps", save_steps=3).train()
        return model

    plain, vaccinated = trained("plain"), trained("vaccinated", evil(tiny_vectors))
    assert str(vaccinated) == str(plain)
    assert hooks_of_ours(vaccinated) == 0
    assert vaccinated.state_dict().keys() == plain.state_dict().keys()
    assert not torch.equal(vaccinated.model.layers[0].mlp.up_proj.weight, plain.model.layers[0].mlp.up_proj.weight)
    files = [{p.name for p in (tmp_path / name / "checkpoint-3").iterdir()} for name in ("plain", "vaccinated")]
    assert files[1] - files[0] == {RECORD}
    saved = [load_file(tmp_path / name / "checkpoint-6" / "model.safetensors") for name in ("plain", "vaccinated")]
    assert saved[0].keys() == saved[1].keys()
    configs = [(tmp_path / n / "checkpoint-6" / "config.json").read_bytes() for n in ("plain", "vaccinated")]
    assert configs[0] == configs[1]


def test_what_it_did_is_beside_the_checkpoint_and_in_the_trainers_state(
    trainer_for: Train, tiny_vectors: Path, tmp_path: Path
) -> None:
    trainer_for(evil(tiny_vectors, 0.5), save_strategy="steps", save_steps=4).train()
    vector = load_vector(tiny_vectors / "evil.safetensors")
    record = json.loads((tmp_path / "checkpoint-4" / RECORD).read_text())
    assert record["vectors"] == [{"trait": "evil", "sha256": vector.card["sha256"], "coefficient": 0.5, "layers": [2]}]
    assert (record["steps"], record["global_step"]) == (4, 4)
    state = json.loads((tmp_path / "checkpoint-4" / "trainer_state.json").read_text())
    assert state["stateful_callbacks"]["PreventativeSteering"]["record"]["vectors"] == record["vectors"]
    assert json.loads((tmp_path / RECORD).read_text())["steps"] == 6


@pytest.mark.parametrize("restored", [False, True])
def test_resumed_in_the_middle_it_ends_with_the_same_weights(
    trainer_for: Train, tiny_model: Path, tiny_vectors: Path, tmp_path: Path, restored: bool
) -> None:
    saving = {"save_strategy": "steps", "save_steps": 3, "restore_callback_states_from_checkpoint": restored}
    whole = trainer_for(evil(tiny_vectors), **saving)
    whole.train()
    again = trainer_for(evil(tiny_vectors), model=hf.AutoModelForCausalLM.from_pretrained(tiny_model), **saving)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name
    assert json.loads((tmp_path / RECORD).read_text())["steps"] == 6


def test_another_dose_does_not_resume(trainer_for: Train, tiny_vectors: Path, tmp_path: Path) -> None:
    trainer_for(evil(tiny_vectors), save_strategy="steps", save_steps=3).train()
    with pytest.raises(ResumeRefused, match=r"trained with 1 x evil \(\w+\) at layer 2, and this run has 2 x evil"):
        trainer_for(evil(tiny_vectors, 2.0)).train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))


def test_a_checkpoint_without_it_is_resumed_with_it(trainer_for: Train, tiny_vectors: Path, tmp_path: Path) -> None:
    saving = {"save_strategy": "steps", "save_steps": 3}
    trainer_for(**saving).train()
    trainer_for(evil(tiny_vectors), **saving).train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert json.loads((tmp_path / "checkpoint-6" / RECORD).read_text())["steps"] == 3


class Breaks(hf.Trainer):  # type: ignore[misc]
    """Its third step ends in the middle of the backward pass."""

    def training_step(self, model: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.state.global_step == 2:
            model.model.layers[0].register_full_backward_hook(lambda *_: 1 / 0)
        return super().training_step(model, *args, **kwargs)


def test_an_exception_in_a_step_leaves_the_model_unhooked(
    trainer_for: Train, tiny: hf.PreTrainedModel, tiny_vectors: Path
) -> None:
    vaccine = evil(tiny_vectors)
    trainer = trainer_for(vaccine, kind=Breaks)
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    assert hooks_of_ours(tiny) == 0
    before = loss(tiny)
    tiny.model.layers[0]._backward_hooks.clear()
    trainer_for(vaccine, learning_rate=0.0).train()  # and it can train anew
    assert loss(tiny) == pytest.approx(before)
    assert vaccine.steps == 6


def test_a_trainer_trains_again_steered_once(trainer_for: Train, tiny: hf.PreTrainedModel, tiny_vectors: Path) -> None:
    trainer = trainer_for(evil(tiny_vectors), learning_rate=0.0, max_steps=1)
    trainer.train()
    trainer.train()
    first, second = logged(trainer, "train_loss"), logged(trainer, "loss")
    assert second == pytest.approx(first, abs=1e-4)
    assert "training_step" not in vars(trainer)


def test_two_in_one_trainer_are_refused(trainer_for: Train, tiny_vectors: Path) -> None:
    with pytest.raises(UsageError, match="two PreventativeSteering callbacks"):
        trainer_for(evil(tiny_vectors), evil(tiny_vectors)).train()
