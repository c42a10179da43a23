"""What a run's scores are compared with, fixed before the first shard: control directions, a calibration, a reference.

The control directions and the features of prompts are further (vector, layer) columns whose segment means are taken in
the pass that is made anyway (`Projector`'s extra). Everything here is arrays, kept in the run folder
(`screen.store.context`), so that a resumed run and every worker go by the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from screen.baselines.estimates.estimator import BaselineEstimator
from screen.scoring.schema import RANDOM

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ControlSet:
    """RANDOM control directions at one layer. `key`: a digest of them; `source`: "card", "reference" or "run"."""

    key: str
    layer: int
    source: str


@dataclass(frozen=True)
class Directions:
    """What is projected on beside the traits, in this order: the embedding layer a trait, RANDOM a control set, then
    features of prompts.

    vectors      (p, d_model) float32, unit norm (a trait without a direction at layer 0 has zeros)
    layers       the hidden_states row of each
    traits       how many traits the run has
    sets         the control sets: RANDOM directions at a layer each
    set_of       (traits,) the key of the set that each trait is compared with
    has_layer0   (traits,) bool
    """

    vectors: Float32
    layers: tuple[int, ...]
    traits: int = 0
    sets: tuple[ControlSet, ...] = ()
    set_of: tuple[str, ...] = ()
    has_layer0: tuple[bool, ...] = ()

    @property
    def controls(self) -> int:
        """How many of the columns are controls: these have scores of their own."""
        return self.traits + RANDOM * len(self.sets)

    def random(self, number: int) -> slice:
        """The columns of a control set, by its place in `sets`."""
        start = self.traits + RANDOM * number
        return slice(start, start + RANDOM)

    @property
    def features(self) -> slice:
        return slice(self.controls, len(self.layers))


NO_DIRECTIONS = Directions(np.zeros((0, 0), dtype=np.float32), ())


@dataclass(frozen=True)
class ScoringContext:
    """`references`: trait -> (n,) float32 ascending differences of a clean reference set. `drawn`: the control
    directions are drawn from the first sequences, this many, of the rows below this one, which share no batch with
    others."""

    directions: Directions = NO_DIRECTIONS
    calibration: BaselineEstimator | None = None
    references: Mapping[str, Float32] = field(default_factory=dict)
    refine: bool = False
    drawn: tuple[int, int] = (0, 0)
