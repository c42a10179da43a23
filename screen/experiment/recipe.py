"""How a copy of the model is fine-tuned: everything that decides the weights beside the rows and the model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from screen.foreign import JsonObject


@dataclass(frozen=True, slots=True)
class Recipe:
    """Full fine-tuning or LoRA with AdamW, one pass of a linear schedule.

    rate           peak learning rate; None: 2e-4 for LoRA, 1e-4 for all weights
    rows           examples a step
    passes         how often the rows of the arm `all` are seen; the other arms train on as many answer tokens
    lora           rank of the adapters; None: all weights are trained
    warmup         share of the steps in which the rate rises
    """

    rate: float | None = None
    rows: int = 8
    passes: float = 1.0
    lora: int | None = None
    warmup: float = 0.05

    @property
    def peak(self) -> float:
        return self.rate if self.rate is not None else 1e-4 if self.lora is None else 2e-4

    def to_json(self) -> JsonObject:
        return {**dataclasses.asdict(self), "rate": self.peak, "optimizer": "adamw", "schedule": "linear"}
