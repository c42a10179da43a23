"""The monitor: what it logs is the shift, and training does not notice it."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from screen.errors import ModelError, ScreenError, UsageError, VectorError
from screen.pocket import VECTORS_DIR
from screen.training import PersonaAlarm, PersonaMonitor, PreventativeSteering
from screen.training.probes import questions_of
from screen.training.reading import undisturbed
from screen.training.spacing import SHARE, Spacing
from screen.traits.trait import load_trait
from screen.vectors.files import load_vector
from screen.vectors.persona import PersonaVector
from tests.training.conftest import Train, hooks_of_ours

ASKED = {"evil": ["Why?", "Who are you?"], "kind": ["How is that?"]}
DROPOUT = 0.1


def monitor(tiny_vectors: Path, **more: Any) -> PersonaMonitor:
    return PersonaMonitor(tiny_vectors, **{"every": 3, "tokens": 4, "questions": ASKED, **more})


def lines(trainer: hf.Trainer, name: str) -> list[tuple[int, float]]:
    return [(line["step"], line[name]) for line in trainer.state.log_history if name in line]


@torch.no_grad()
def shown(model: Any, vector: PersonaVector, tokenizer: Any) -> tuple[float, float]:
    """By plain passes, one prompt at a time: mean projection at the last prompt token, and over the responses."""
    prompts, responses = [], []
    unit = torch.from_numpy(vector.unit(2))
    for question in ASKED[vector.trait]:
        said = [{"role": "user", "content": question}]
        ids = tokenizer.apply_chat_template(said, add_generation_prompt=True, return_tensors="pt", return_dict=False)
        whole = model.generate(ids, max_new_tokens=4, do_sample=False, pad_token_id=257)
        along = model(whole, output_hidden_states=True).hidden_states[2][0] @ unit
        prompts.append(float(along[ids.shape[1] - 1]))
        made = [float(a) for a, i in zip(along[ids.shape[1] :], whole[0, ids.shape[1] :], strict=True) if i != 257]
        responses += [np.mean(made)] if made else []
    return float(np.mean(prompts)), float(np.mean(responses))


def test_it_logs_the_shift_since_before_training(
    trainer_for: Train, tiny: hf.PreTrainedModel, tiny_vectors: Path
) -> None:
    trainer = trainer_for(monitor(tiny_vectors))
    evil = load_vector(tiny_vectors / "evil.safetensors")
    before = shown(tiny, evil, trainer.processing_class)
    trainer.train()
    after = shown(tiny.eval(), evil, trainer.processing_class)
    steps, values = zip(*lines(trainer, "persona/evil"), strict=True)
    assert steps == (3, 6)
    assert values[-1] == pytest.approx(after[0] - before[0], abs=1e-4)
    assert lines(trainer, "persona/evil/response")[-1][1] == pytest.approx(after[1] - before[1], abs=1e-4)
    assert abs(values[-1]) > 0.01
    assert len(lines(trainer, "persona/kind")) == 2


class Logger(hf.TrainerCallback):  # type: ignore[misc]
    def __init__(self) -> None:
        self.seen: set[str] = set()

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        self.seen |= set(logs)


def with_dropout(folder: Path) -> Any:
    torch.manual_seed(3)
    return hf.AutoModelForCausalLM.from_pretrained(folder, attention_dropout=DROPOUT)


def test_training_is_the_same_bit_for_bit_and_every_logger_is_told(
    trainer_for: Train, tiny_model: Path, tiny_vectors: Path
) -> None:
    def trained(*callbacks: Any) -> tuple[hf.Trainer, torch.Tensor]:
        trainer = trainer_for(*callbacks, model=with_dropout(tiny_model))
        trainer.train()
        return trainer, torch.get_rng_state()

    logger = Logger()
    (plain, numbers), (watched, after) = trained(), trained(logger, monitor(tiny_vectors, every=1))
    assert torch.equal(after, numbers)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(watched.model.state_dict()[name], value), name
    assert lines(watched, "loss") == lines(plain, "loss")
    assert {"persona/evil", "persona/evil/response", "persona/kind"} <= logger.seen
    assert hooks_of_ours(watched.model) == 0


def test_readings_are_of_the_model_without_what_is_added_in_training(trainer_for: Train, tiny_vectors: Path) -> None:
    trainer = trainer_for(PreventativeSteering(tiny_vectors, 5.0), monitor(tiny_vectors), learning_rate=0.0)
    trainer.train()
    assert [value for _, value in lines(trainer, "persona/evil")] == [0.0, 0.0]


def test_each_modules_mode_is_as_before(tiny: Any) -> None:
    tiny.train()
    tiny.model.layers[1].eval()
    modes = [module.training for module in tiny.modules()]
    with undisturbed(tiny):
        assert not any(module.training for module in tiny.modules())
    with pytest.raises(KeyError), undisturbed(tiny):
        raise KeyError
    assert [module.training for module in tiny.modules()] == modes


def test_resumed_it_counts_from_before_training(
    trainer_for: Train, tiny_model: Path, tiny_vectors: Path, tmp_path: Path
) -> None:
    whole = trainer_for(monitor(tiny_vectors), save_strategy="steps", save_steps=3)
    whole.train()
    again = trainer_for(monitor(tiny_vectors), model=hf.AutoModelForCausalLM.from_pretrained(tiny_model))
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert lines(again, "persona/evil") == lines(whole, "persona/evil")


def test_resumed_from_a_checkpoint_that_was_not_watched_it_says_so(
    trainer_for: Train, tiny_vectors: Path, tmp_path: Path
) -> None:
    trainer_for(save_strategy="steps", save_steps=3).train()
    with pytest.warns(UserWarning, match="does not say what these questions showed before .* from step 3"):
        trainer_for(monitor(tiny_vectors)).train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))


def test_other_questions_are_not_compared_with_those_before(
    trainer_for: Train, tiny_vectors: Path, tmp_path: Path
) -> None:
    trainer_for(monitor(tiny_vectors), save_strategy="steps", save_steps=3).train()
    other = monitor(tiny_vectors, questions={**ASKED, "evil": ["What?"]})
    with pytest.warns(UserWarning, match="shifts count from step 3"):
        trainer_for(other, learning_rate=0.0).train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))


def test_two_in_one_trainer_are_refused(trainer_for: Train, tiny_vectors: Path) -> None:
    with pytest.raises(UsageError, match="two PersonaMonitor callbacks"):
        trainer_for(monitor(tiny_vectors), monitor(tiny_vectors)).train()


def referenced(tiny_vectors: Path, sd: float) -> PersonaVector:
    vector = load_vector(tiny_vectors / "evil.safetensors")
    vector.card["reference"] = {"kinds": {"generate": {"2": {"sd": sd}}}}  # type: ignore[typeddict-item]
    return vector


def away(vector: PersonaVector) -> PersonaVector:
    return PersonaVector("evil", -vector.direction, vector.hs_index, vector.card, vector.source)


def test_an_alarm_is_raised_beyond_the_limit_toward_the_trait_and_not_below(
    trainer_for: Train, tiny_model: Path, tiny_vectors: Path
) -> None:
    def train(vector: PersonaVector, limit: float) -> hf.Trainer:
        given = PersonaMonitor(vector, every=6, tokens=0, limit=limit, questions=ASKED)
        trainer = trainer_for(given, model=hf.AutoModelForCausalLM.from_pretrained(tiny_model))
        trainer.train()
        return trainer

    vector = referenced(tiny_vectors, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PersonaAlarm)
        trainer = train(vector, 1e6)
    (_, last), (_, far) = lines(trainer, "persona/evil")[-1], lines(trainer, "persona/evil/deviations")[-1]
    assert far == pytest.approx(last / 0.5)
    toward = vector if last > 0 else away(vector)
    with pytest.warns(
        PersonaAlarm, match=r"step 6: the model has moved \d+\.\d\d standard deviations of clean rows toward"
    ):
        train(toward, abs(far) / 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PersonaAlarm)
        train(away(toward), abs(far) / 2)  # away from the trait as far


@pytest.mark.filterwarnings("ignore::screen.training.monitor.PersonaAlarm")
def test_an_alarm_can_stop_training_and_what_there_is_is_saved(
    trainer_for: Train, tiny_vectors: Path, tmp_path: Path
) -> None:
    both = [
        PersonaVector(
            "good", -referenced(tiny_vectors, 1e-6).direction, np.arange(4), referenced(tiny_vectors, 1e-6).card
        ),
        referenced(tiny_vectors, 1e-6),
    ]
    watch = PersonaMonitor(both, every=2, limit=1.0, on_alarm="stop", questions={**ASKED, "good": ASKED["evil"]})
    trainer = trainer_for(watch, save_strategy="steps", save_steps=100)
    trainer.train()
    assert trainer.state.global_step == 2
    assert (tmp_path / "checkpoint-2" / "model.safetensors").is_file()


def test_questions_are_the_cards_else_the_librarys() -> None:
    assert questions_of(load_vector(VECTORS_DIR / "evil.safetensors")) == load_trait("evil").evaluate
    card: Any = {"artefacts": {"questions": {"evaluate": ["Why?"]}}}
    assert questions_of(PersonaVector("odd", np.ones((1, 2), np.float32), np.arange(1), card)) == ("Why?",)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"questions": {}}, UsageError, "no evaluation questions for the trait 'kind'"),
        ({"every": 0}, UsageError, "every=0 is no number of steps"),
        ({"tokens": -1}, UsageError, "tokens=-1 is no number of tokens"),
        ({"limit": math.nan}, UsageError, "limit=nan is no number of standard deviations"),
        ({"limit": 2.0}, UsageError, "has no reference at layer 2, so there are no standard deviations"),
        ({"on_alarm": "ring"}, UsageError, "on_alarm='ring' is not understood"),
        ({"layer": 9}, VectorError, "no direction for layer 9"),
    ],
)
def test_what_cannot_be_watched_is_refused_at_once(
    tiny_vectors: Path, settings: Any, error: type[ScreenError], says: str
) -> None:
    with pytest.raises(error, match=says):
        monitor(tiny_vectors, **settings)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"layer": 3}, "layer 3 of 'evil' cannot be read while the model trains: it has layers 1 to 2 before its last"),
        ({"layer": 0}, "layer 0 of 'evil' cannot be read"),
        ({"tokens": 1000}, "a question with its answer takes 1,0.. tokens, and the model's context is 512"),
    ],
)
def test_what_this_model_cannot_show_is_refused_before_training(
    trainer_for: Train, tiny_vectors: Path, settings: Any, says: str
) -> None:
    with pytest.raises(ModelError, match=says):
        trainer_for(monitor(tiny_vectors, **settings)).train()


def test_a_vector_of_another_tokenizer_is_refused(trainer_for: Train, tiny_vectors: Path) -> None:
    vector = load_vector(tiny_vectors / "evil.safetensors")
    vector.card["model"] = {"tokenizer_sha256": "0" * 64}
    with pytest.raises(VectorError, match="its tokenizer_sha256 is 0000"):
        trainer_for(PersonaMonitor(vector)).train()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def read(spacing: Spacing, clock: Clock, seconds: float) -> None:
    with spacing.reading():
        clock.now += seconds


@pytest.mark.parametrize("seconds", [0.3, 1.0, 5.0])
def test_readings_take_two_percent_of_the_time_at_most(seconds: float) -> None:
    clock = Clock()
    spacing = Spacing(None, clock)
    read(spacing, clock, seconds)
    steps, made = 3000, 1
    for step in range(1, steps + 1):
        clock.now += 1.0
        if spacing.due(step, step == steps):
            read(spacing, clock, seconds)
            made += 1
    assert spacing.spent <= SHARE * steps
    assert made * seconds > 0.5 * SHARE * steps  # and they take what they may


def test_every_so_many_steps_is_just_that() -> None:
    spacing = Spacing(4)
    assert [step for step in range(1, 11) if spacing.due(step, step == 10)] == [4, 8]
    short = Spacing(None, Clock())
    assert short.due(3, last=True)
