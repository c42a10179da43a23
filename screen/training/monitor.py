"""A monitor of traits while a model is trained: how far it has moved along each vector since before training.

The move is the fine-tuning shift of Persona Vectors: the mean projection at the last prompt token of a trait's
evaluation questions, less what it was before training; and the same over short greedy responses. Training is the same
bit for bit with and without it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from screen.baselines.generate import Generate
from screen.errors import UsageError
from screen.foreign import JsonObject
from screen.training.attached import trainer_of
from screen.training.belongs import facts_of, tokenizer_of
from screen.training.dose import Given, vectors_of
from screen.training.probes import Questions, probes_of, questions_of
from screen.training.reading import Shown, TraitReader, undisturbed
from screen.training.spacing import SEVERAL, Spacing
from screen.vectors.fit import check_fit, choose
from screen.vectors.persona import VectorSet


class PersonaAlarm(UserWarning):
    """A trait has moved beyond the limit."""


class PersonaMonitor(TrainerCallback, ExportableState):  # type: ignore[misc]
    """Logs `persona/<trait>`, the shift at the last prompt token, and `persona/<trait>/response` by the trainer's own
    logging, in units of the activations, plus toward the trait.

    vectors     a vector file, a folder of them, vectors in memory, or several of these
    every       steps between readings; None: as often as 2 % of the training's time allows, and after the last step
    tokens      of each greedy response; 0: no responses
    limit       standard deviations of clean rows (the card's reference) at which a shift raises an alarm
    on_alarm    "warn": a PersonaAlarm; "stop": training ends too, saved where the trainer saves at all
    layer       hidden_states row, or one a trait, where it is not the card's
    questions   trait -> questions, where they are not the card's or the library's evaluation questions

    Raises UsageError and VectorError at once for what cannot be read off any model; VectorError and ModelError, before
    the first step, for what does not belong to the model that is trained.
    """

    def __init__(
        self,
        vectors: Given | Sequence[Given],
        *,
        every: int | None = None,
        tokens: int = 16,
        limit: float | None = None,
        on_alarm: Literal["warn", "stop"] = "warn",
        layer: int | Mapping[str, int] | None = None,
        questions: Questions | None = None,
    ) -> None:
        loaded = vectors_of(vectors)
        layers = dict.fromkeys((v.trait for v in loaded), layer) if isinstance(layer, int) else dict(layer or {})
        self.vectors = choose(loaded, (), layers)
        self.every, self.tokens, self.limit, self.on_alarm = every, tokens, limit, on_alarm
        _check(every, tokens, limit, on_alarm)
        given = dict(questions or {})
        self.questions = {v.trait: tuple(given.get(v.trait) or questions_of(v)) for v in loaded}
        self.sd = {} if limit is None else _deviations(self.vectors)
        self.before: dict[str, list[float | None]] = {}  # trait -> at the last prompt token, over responses
        self._given = {"layer": layers, "questions": given}
        self._model: nn.Module | None = None
        self._reader: TraitReader | None = None
        self._spacing = Spacing(every)

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
        trainer_of(self)
        check_fit(self.vectors, facts_of(model, processing_class))
        tokenizer = tokenizer_of(processing_class)
        if tokenizer is None:
            raise UsageError("the trainer has no tokenizer to ask questions with", "Trainer(processing_class=...)")
        probes = probes_of(self.vectors, self.questions, tokenizer)
        self._model, self._reader = model, TraitReader(model, probes, self.tokens, _eos(model, tokenizer.eos_ids))
        self._spacing = Spacing(SEVERAL if self.every is None and args.world_size > 1 else self.every)
        kept = state.stateful_callbacks.get(type(self).__name__) if state.global_step else None
        if isinstance(kept, dict) and kept.get("record") == self._asked():
            self.before = kept["attributes"]["before"]
        else:
            if state.global_step:
                warnings.warn(
                    "the checkpoint does not say what these questions showed before training: shifts count from step"
                    f" {state.global_step}",
                    stacklevel=2,
                )
            with self._spacing.reading(), undisturbed(model):
                self.before = {trait: [s.prompt, s.response] for trait, s in self._reader.read().items()}
        state.stateful_callbacks[type(self).__name__] = self.state()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        last = state.global_step >= state.max_steps or control.should_training_stop
        if not self._spacing.due(state.global_step, last):
            return
        assert self._model is not None
        assert self._reader is not None
        asked_to_log = control.should_log
        with self._spacing.reading(), undisturbed(self._model):
            shifts = self._shifts(self._reader.read())
            # in evaluation mode: TRL's trainers average and forget the metrics of the mode that the model is in
            trainer_of(self).log(dict(shifts))
        control.should_log = asked_to_log  # the line that the trainer owes is still due
        self._alarm(shifts, args, state, control)

    def state(self) -> JsonObject:
        """For trainer_state.json: how to make this object anew, and what the model showed before training."""
        given = {
            "vectors": [v.source for v in self.vectors.vectors],
            "every": self.every,
            "tokens": self.tokens,
            "limit": self.limit,
            "on_alarm": self.on_alarm,
            **self._given,
        }
        return {"args": given, "attributes": {"before": self.before}, "record": self._asked()}

    def _asked(self) -> JsonObject:
        """What readings depend on beside the model: only those of the same questions can be compared."""
        questions = {trait: list(asked) for trait, asked in self.questions.items()}
        return {"vectors": dict(self.vectors.identity()), "tokens": self.tokens, "questions": questions}

    def _shifts(self, now: Mapping[str, Shown]) -> dict[str, float]:
        """Name in the log -> shift since before training; deviations too, where there is a limit."""
        found = {}
        for trait, shown in now.items():
            prompt, response = self.before[trait]
            assert prompt is not None
            found[f"persona/{trait}"] = shown.prompt - prompt
            if shown.response is not None and response is not None:
                found[f"persona/{trait}/response"] = shown.response - response
            if trait in self.sd:
                found[f"persona/{trait}/deviations"] = found[f"persona/{trait}"] / self.sd[trait]
        return found

    def _alarm(
        self, shifts: Mapping[str, float], args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        for trait in self.sd:
            far = shifts[f"persona/{trait}/deviations"]
            if self.limit is None or not far > self.limit:
                continue
            warnings.warn(
                f"step {state.global_step}: the model has moved {far:.2f} standard deviations of clean rows toward"
                f" {trait}, and the limit is {self.limit:g}",
                PersonaAlarm,
                stacklevel=2,
            )
            if self.on_alarm == "stop":
                control.should_training_stop = True
                control.should_save = control.should_save or args.save_strategy != "no"


def _check(every: int | None, tokens: int, limit: float | None, on_alarm: str) -> None:
    if every is not None and (type(every) is not int or every < 1):
        raise UsageError(f"every={every!r} is no number of steps", "give 1 or more, or leave it out")
    if type(tokens) is not int or tokens < 0:
        raise UsageError(f"tokens={tokens!r} is no number of tokens", "give 0 or more")
    if limit is not None and not (math.isfinite(limit) and limit > 0):
        raise UsageError(f"limit={limit!r} is no number of standard deviations", "give one above 0, e.g. limit=1.0")
    if on_alarm not in ("warn", "stop"):
        raise UsageError(f"on_alarm={on_alarm!r} is not understood", 'give "warn" or "stop"')


def _deviations(vectors: VectorSet) -> dict[str, float]:
    """Trait -> standard deviation of clean rows' projection differences at its layer. Raises UsageError for a card
    without a reference there."""
    found = {}
    for vector, layer in zip(vectors.vectors, vectors.layers, strict=True):
        place: object = vector.card.get("reference")
        for key in ("kinds", Generate.name, str(layer), "sd"):
            place = place.get(key) if isinstance(place, Mapping) else None
        if not isinstance(place, (int, float)) or not (math.isfinite(place) and place > 0):
            raise UsageError(
                f"the card of {vector.source or vector.trait} has no reference at layer {layer}, so there are no"
                " standard deviations to give a limit in",
                "leave limit out, or build the vector with screen vectors build",
            )
        found[vector.trait] = float(place)
    return found


def _eos(model: nn.Module, of_tokenizer: Sequence[int]) -> frozenset[int]:
    """Every id that ends an answer: of the model's generation config, its config and the tokenizer."""
    found = set(of_tokenizer)
    for config in (getattr(model, "generation_config", None), getattr(model, "config", None)):
        value = getattr(config, "eos_token_id", None)
        found.update(value if isinstance(value, (list, tuple)) else [] if value is None else [value])
    return frozenset(int(i) for i in found)
