"""The trainer that calls a callback, and code around its training steps.

transformers gives callbacks neither: a callback that only knew when a step begins and ends could not tell that one was
left by an exception, and its hooks would stay on the model.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from transformers import Trainer, TrainerCallback

from screen.errors import UsageError

_STEP = "training_step"


def trainer_of(callback: TrainerCallback) -> Trainer:
    """The trainer that is calling `callback` now: the nearest on the stack that has it.

    Raises UsageError where there is none, or where it has two callbacks of this kind: both would be one in its state.
    """
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, Trainer) and any(c is callback for c in caller.callback_handler.callbacks):
            if sum(type(c) is type(callback) for c in caller.callback_handler.callbacks) > 1:
                raise UsageError(
                    f"the trainer has two {type(callback).__name__} callbacks", "give one of them all vectors"
                )
            return caller
        frame = frame.f_back
    raise UsageError(
        f"{type(callback).__name__} was called, but not by a transformers Trainer that has it",
        "give it to a Trainer: callbacks=[...]",
    )


class StepInside:
    """Stands in for a trainer's `training_step` (forward and backward pass of one batch), which it runs inside a
    context; a step of somebody else's that stood there before is kept."""

    def __init__(self, step: Callable[..., torch.Tensor], around: Callable[[], AbstractContextManager[object]]) -> None:
        self._step, self._around = step, around

    def __call__(self, *args: object, **kwargs: object) -> torch.Tensor:
        with self._around():
            return self._step(*args, **kwargs)

    @classmethod
    def put(cls, trainer: Trainer, around: Callable[[], AbstractContextManager[object]]) -> None:
        """Once a trainer: one that an interrupted training left is replaced."""
        cls.take_off(trainer)
        setattr(trainer, _STEP, cls(getattr(trainer, _STEP), around))

    @classmethod
    def take_off(cls, trainer: Trainer) -> None:
        found = vars(trainer).get(_STEP)
        if not isinstance(found, cls):
            return
        delattr(trainer, _STEP)
        if getattr(trainer, _STEP) != found._step:
            setattr(trainer, _STEP, found._step)
