"""Everything that decides a built vector, frozen. Equal specs on an equal model give equal bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from screen.traits.trait import Trait
from screen.vectors.card import SamplingCard

LayerBy = Literal["steering", "separation"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Which answers are kept (METHOD 1.4) and which steering counts (METHOD 1.7); all of 0 to 100."""

    positive: float = 50.0  # a positive answer is kept at this trait score or above
    negative: float = 50.0  # a negative one below this
    coherence: float = 50.0  # and either at this coherence or above
    steering_coherence: float = 75.0


@dataclass(frozen=True, slots=True)
class SteerSpec:
    """How layers are tried: `coefficients` times the vector as it is, added at every position of one layer."""

    coefficients: tuple[float, ...] = (1.0, 1.5, 2.0)
    curve: tuple[float, ...] = (-2.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # at the chosen layer
    samples: int = 2  # answers to each evaluation question
    max_new_tokens: int = 200


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """One build's settings. Sampling is plain: temperature as given, top-p 1, nothing from the generation config."""

    traits: tuple[Trait, ...]
    model: str = "pocket"
    rollouts: int = 10  # answers to each pair of system prompt and extract question
    held_out: int = 2  # answers to each pair of system prompt and evaluation question
    clean: int = 28  # sampled answers to each question without a system prompt, for a reference of 1,000 rows and more
    max_new_tokens: int | None = None  # None: 1000 as published, or half of a shorter context
    temperature: float = 1.0
    seed: int = 0
    thresholds: Thresholds = Thresholds()
    minimum: int | None = None  # kept answers a side; None: a tenth of those asked for, from 10 to 50
    layer_by: LayerBy = "steering"
    steer: SteerSpec = SteerSpec()
    denoise: bool = False
    template: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "cpu"
    force: bool = False  # save a vector that is no better than its controls, and say so on its card

    def least(self, asked: int) -> int:
        """How many answers a side must keep, of `asked`."""
        return self.minimum if self.minimum is not None else min(50, max(10, asked // 10))

    def longest(self, context: int) -> int:
        """Tokens of an answer at most, in a model that takes `context`."""
        return self.max_new_tokens if self.max_new_tokens is not None else min(1000, context // 2)

    def sampling(self, context: int) -> SamplingCard:
        """As the card states it."""
        return {
            "temperature": self.temperature,
            "top_p": 1.0,
            "max_new_tokens": self.longest(context),
            "rollouts": self.rollouts,
            "held_out": self.held_out,
            "seed": self.seed,
        }
