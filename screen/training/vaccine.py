"""Preventative steering: vectors added in training steps, so that the weights need not move along them.

In training steps only: evaluation, generation, prediction and whatever is saved are the model without them. A callback
of transformers' Trainer and of what derives from it (TRL's), or a context manager around a loop of one's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from screen.disk import write_atomically, writing
from screen.errors import ModelError, ResumeRefused, UsageError
from screen.foreign import JsonObject
from screen.steering.plan import Layers
from screen.steering.plan_file import read_plan
from screen.training.attached import StepInside, trainer_of
from screen.training.belongs import facts_of
from screen.training.dose import Coefficient, Given, dose_of, identity
from screen.training.passes import TrainingSteering, refuse_compiled
from screen.vectors.fit import check_fit

RECORD = "preventative_steering.json"  # in each checkpoint, and in the output folder when training ends
FORMAT = 1


class PreventativeSteering(TrainerCallback, ExportableState):  # type: ignore[misc]
    """Adds coefficient x v at `hidden_states[layer]` in training steps.

    vectors       a vector file, a folder of them, vectors in memory, or several of these
    coefficient   in units of the trait's own mean difference, plus toward the trait; "auto" is the coefficient on the
                  card, at which the build saw the trait; or a mapping, one a trait
    layers        "one": the card's layer, or `layer`; "all": every layer but the last, each by what the vector gains
                  there (v[l] - v[l-1])
    model         for use as a context manager, `with PreventativeSteering(..., model=model):`; a Trainer brings its own

    Raises UsageError and VectorError at once for what can be added to no model; VectorError and ModelError, before the
    first step, for what does not belong to the model that is trained.
    """

    def __init__(
        self,
        vectors: Given | Sequence[Given],
        coefficient: Coefficient = "auto",
        *,
        layers: Layers = "one",
        layer: int | Mapping[str, int] | None = None,
        model: nn.Module | None = None,
    ) -> None:
        self.dose = dose_of(vectors, coefficient, layers, layer)
        self.steps = 0  # optimizer steps that were steered, of this training and of those that it resumes
        self._model = model
        self._entered: list[AbstractContextManager[None]] = []
        self._steering: TrainingSteering | None = None

    @classmethod
    def from_plan(cls, path: str | Path, *, model: nn.Module | None = None) -> PreventativeSteering:
        """What a plan of `screen vaccinate` says: its vectors, coefficients and layers. Raises UsageError for a file
        that is no plan or was changed, VectorError for a vector that is gone or is another one now."""
        plan = read_plan(Path(path)).steering
        coefficient = {v.trait: c for v, c in zip(plan.vectors, plan.coefficients, strict=True)}
        return cls(plan.vectors, coefficient, layers=plan.layers, layer=plan.at, model=model)

    def __enter__(self) -> PreventativeSteering:
        if self._model is None:
            raise UsageError("no model to steer was given", "PreventativeSteering(..., model=model)")
        self._check(self._model, None)
        body = _applied(TrainingSteering(self._model, self.dose.additions()))
        body.__enter__()
        self._entered.append(body)
        return self

    def __exit__(self, *raised: object) -> None:
        self._entered.pop().__exit__(*raised)  # type: ignore[arg-type]

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module,
        processing_class: object = None,
        **_: object,
    ) -> None:
        trainer = trainer_of(self)
        _refuse(trainer, args, state)
        self._check(model, processing_class)
        self._steering = TrainingSteering(model, self.dose.additions())
        self._go_on(state)
        StepInside.put(trainer, self._steering.applied)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        assert self._steering is not None
        if not self._steering.trained:
            raise ModelError(
                "nothing was steered: the step made no forward pass through the model in training mode",
                "this trainer cannot be steered; run it without PreventativeSteering",
            )
        self.steps += 1

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():  # not one that save_total_limit has deleted again
            self._write(folder, state.global_step)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        StepInside.take_off(trainer_of(self))
        if state.is_world_process_zero:
            self._write(Path(args.output_dir), state.global_step)

    def state(self) -> JsonObject:
        """For trainer_state.json: how to make this object anew, how far it is, and what it adds."""
        dose = self.dose
        coefficient = {v.trait: c for v, c in zip(dose.vectors, dose.coefficients, strict=True)}
        sources = [v.source for v in dose.vectors]
        return {
            "args": {
                "vectors": sources,
                "coefficient": coefficient,
                "layers": dose.layers,
                "layer": dict(dose.at or {}),
            },
            "attributes": {"steps": self.steps},
            "record": self.record(),
        }

    def record(self) -> JsonObject:
        """What is added where, and in how many optimizer steps it was."""
        return {
            "format": FORMAT,
            "vectors": identity(self.dose),
            "layers": self.dose.layers,
            "unit": "times the trait's own mean difference, plus toward the trait",
            "steps": self.steps,
        }

    def _check(self, model: nn.Module, processing_class: object) -> None:
        """Raises VectorError for vectors of another model or tokenizer, or for a layer that this one does not have."""
        facts = facts_of(model, processing_class)
        check_fit(self.dose.chosen(facts.n_layers), facts)

    def _go_on(self, state: TrainerState) -> None:
        """Take up the count of the checkpoint that is resumed. Raises ResumeRefused where it had another dose."""
        name = type(self).__name__
        self.steps = 0
        found = state.stateful_callbacks.get(name) if state.global_step else None
        if isinstance(found, dict) and "record" in found:
            theirs, ours = found["record"]["vectors"], identity(self.dose)
            if theirs != ours:
                raise ResumeRefused(
                    f"the checkpoint was trained with {_told(theirs)}, and this run has {_told(ours)}",
                    "resume with the same vectors, coefficient and layers, or start from the base model",
                )
            self.steps = int(found["attributes"]["steps"])
        state.stateful_callbacks[name] = self.state()

    def _write(self, folder: Path, step: int) -> None:
        record = {**self.record(), "global_step": step}
        path = folder / RECORD
        with writing(path, "choose another output_dir"):
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(record, indent=2, sort_keys=True).encode() + b"\n")


@contextmanager
def _applied(steering: TrainingSteering) -> Iterator[None]:
    """Raises ModelError where forward passes were made inside and none of them was a training pass."""
    with steering.applied():
        yield
    if steering.seen and not steering.trained:
        raise ModelError(
            "nothing was steered: no forward pass was made in training mode and with gradients",
            "call model.train() before the loop",
        )


def _refuse(trainer: Trainer, args: TrainingArguments, state: TrainerState) -> None:
    """Raises UsageError or ModelError for a training that cannot be steered."""
    if args.torch_compile:
        raise ModelError(
            "torch_compile is on, and compiled code goes past the hooks that steer the model", "set it to False"
        )
    refuse_compiled(trainer.model_wrapped)
    if state.is_hyper_param_search:
        raise UsageError("a search for hyperparameters cannot be steered", "train with the settings it finds")


def _told(vectors: Sequence[JsonObject]) -> str:
    return " and ".join(
        f"{v['coefficient']:g} x {v['trait']} ({v['sha256'][:12]}) at layer {', '.join(map(str, v['layers']))}"
        for v in vectors
    )
