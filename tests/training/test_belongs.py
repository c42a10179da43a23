"""A vector that does not belong to the model, or cannot be added to any, is refused before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers as hf
from transformers.trainer_callback import CallbackHandler

from screen.errors import ModelError, ScreenError, UsageError, VectorError
from screen.model.load import model_hashes
from screen.pocket import VECTORS_DIR
from screen.rendering.tokenizer import Tokenizer
from screen.steering.plan_file import SteeringPlan, write_plan
from screen.training import PreventativeSteering
from screen.vectors.persona import PersonaVector
from tests.training.conftest import Train

ROWS = np.random.default_rng(0).normal(size=(4, 32)).astype(np.float32)
NAN = float("nan")


def vector(**lock: Any) -> PersonaVector:
    return PersonaVector("evil", ROWS, np.arange(4), {"layer": 2, "model": lock}, "evil.safetensors")  # type: ignore[typeddict-item]


def locks(tiny_model: Path) -> dict[str, str]:
    """What a card says of the model in this folder and its tokenizer."""
    hashes = model_hashes(tiny_model)
    tokenizer = Tokenizer(hf.AutoTokenizer.from_pretrained(tiny_model)).fingerprint()
    return {
        "config_sha256": hashes["config"],
        "weights_sha256": hashes["weights"],
        "tokenizer_sha256": tokenizer,
        "template_sha256": "another template: trainers change it",
    }


def test_a_vector_of_this_very_model_is_taken(trainer_for: Train, tiny_model: Path) -> None:
    trainer_for(PreventativeSteering(vector(n_layers=3, **locks(tiny_model)), 1.0), max_steps=1).train()


@pytest.mark.parametrize("field", ["config_sha256", "weights_sha256", "tokenizer_sha256"])
def test_a_vector_of_another_model_or_tokenizer_is_refused(trainer_for: Train, tiny_model: Path, field: str) -> None:
    other = vector(**{**locks(tiny_model), field: "0" * 64})
    with pytest.raises(VectorError, match=f"was not made for .*: its {field} is 0000"):
        trainer_for(PreventativeSteering(other, 1.0)).train()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            PersonaVector("evil", ROWS[:, :16].copy(), np.arange(4), {"layer": 2}),
            "hidden size is 16, the model's is 32",
        ),
        (vector(n_layers=9), "layer count is 9, the model's is 3"),
        (PersonaVector("evil", ROWS, np.arange(1, 5), {"layer": 4}), "layer count is 4, the model's is 3"),
    ],
)
def test_a_vector_of_another_shape_is_refused(trainer_for: Train, given: PersonaVector, says: str) -> None:
    with pytest.raises(VectorError, match=says):
        trainer_for(PreventativeSteering(given, 1.0)).train()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((vector(), NAN), UsageError, "the coefficient of 'evil' is nan, no finite number"),
        ((vector(), "2"), UsageError, "the coefficient of 'evil' is '2', no finite number"),
        ((vector(), {"kind": 1.0}), UsageError, "a coefficient for 'kind', which is not among the vectors"),
        ((vector(), "auto"), UsageError, "the card of evil.safetensors has no steering coefficient to take"),
        (("nowhere.safetensors", 1.0), VectorError, "no vector file at nowhere.safetensors"),
        (([], 1.0), UsageError, "no vector is given"),
        (([vector(), vector()], 1.0), UsageError, "two vectors for the trait 'evil'"),
    ],
)
def test_what_fits_no_model_is_refused_at_once(arguments: Any, error: type[ScreenError], says: str) -> None:
    with pytest.raises(error, match=says):
        PreventativeSteering(*arguments)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"layer": 9}, VectorError, r"no direction for layer 9 \(it has 0 to 3\)"),
        ({"layer": 0}, UsageError, "layer 0 is the embeddings"),
        ({"layers": "some"}, UsageError, "layers='some' is not understood"),
        ({"layers": "all", "layer": 1}, UsageError, "a layer was given, and all of them are to be steered"),
    ],
)
def test_a_layer_that_cannot_be_steered_is_refused(settings: Any, error: type[ScreenError], says: str) -> None:
    with pytest.raises(error, match=says):
        PreventativeSteering(vector(), 1.0, **settings)


def test_auto_is_the_cards_coefficient() -> None:
    assert PreventativeSteering(VECTORS_DIR / "evil.safetensors", "auto").dose.coefficients == (2.0,)


def test_a_plan_says_vectors_coefficients_and_layers(tmp_path: Path) -> None:
    made = PreventativeSteering(VECTORS_DIR, {"evil": 1.5, "sycophancy": 0.5, "hallucination": 0.0}, layers="all").dose
    write_plan(tmp_path / "plan.json", SteeringPlan(made, {}), [], {})
    read = PreventativeSteering.from_plan(tmp_path / "plan.json").dose
    assert (str(read), read.layers) == (str(made), "all")
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(UsageError, match="is no plan"):
        PreventativeSteering.from_plan(tmp_path / "plan.json")


def test_compiled_training_is_refused(trainer_for: Train, tiny_vectors: Path) -> None:
    trainer = trainer_for(PreventativeSteering(tiny_vectors, 1.0))
    trainer.args.torch_compile = True
    with pytest.raises(ModelError, match="torch_compile is on"):
        trainer.train()


def test_a_loop_that_is_no_trainer_is_refused(tiny: hf.PreTrainedModel, tiny_vectors: Path, tmp_path: Path) -> None:
    handler = CallbackHandler([PreventativeSteering(tiny_vectors, 1.0)], tiny, None, None, None)
    arguments = hf.TrainingArguments(output_dir=tmp_path, report_to=[], use_cpu=True)
    with pytest.raises(UsageError, match="not by a transformers Trainer that has it"):
        handler.on_train_begin(arguments, hf.TrainerState(), hf.TrainerControl())
