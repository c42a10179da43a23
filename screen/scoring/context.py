"""What a run's scores are compared with, fixed before the first shard: control directions, a calibration, a reference.

The control directions and the features of prompts are further (vector, layer) columns whose segment means are taken in
the pass that is made anyway (`Projector`'s extra). Everything here is arrays, kept in the run folder
(`screen.store.context`), so that a resumed run and every worker go by the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from screen.scoring.calibrate import Calibration
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
    """Probe columns, in this order: a layer-0 column a trait, RANDOM a control set, then features of prompts.

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
class BaselineEstimator:
    """A calibration as shards use it: predicts the baseline of a prompt from its features.

    model        fitted on the answered prompts; targets are the traits' columns, then the controls'
    answered     (n,) uint64 ascending: hashes of the prompts that were answered
    out_of_fold  (n, traits + controls) float32: their predictions by a fit that did not see them
    sources      names of the sources seen, for one-hot features
    cuts         trait -> the score above which a row is flagged, as far as it is known before the pass
    cuts_away    trait -> the score below which a row that is trained away from is flagged
    """

    model: Calibration
    answered: npt.NDArray[np.uint64]
    out_of_fold: Float32
    sources: tuple[str, ...]
    cuts: Mapping[str, float] = field(default_factory=dict)
    cuts_away: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_kept(cls, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> BaselineEstimator | None:
        """As the run folder keeps it; None in a run without estimates."""
        if "answered" not in arrays:
            return None
        model = Calibration.from_arrays({n.removeprefix("fit."): a for n, a in arrays.items() if n.startswith("fit.")})
        return cls(
            model, arrays["answered"], arrays["out_of_fold"], tuple(facts["sources"]), facts["cuts"], facts["cuts_away"]
        )

    def has(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Whether each prompt is among those answered."""
        return np.isin(hashes, self.answered)

    def predict(self, features: Float32, hashes: npt.NDArray[np.uint64]) -> tuple[Float32, Float32]:
        """(n, m) baselines and their standard errors; for an answered prompt, by the fit that did not see it."""
        values, se = self.model.predict(features)
        at = np.searchsorted(self.answered, hashes)
        known = self.has(hashes)
        baselines: Float32 = values.astype(np.float32)
        baselines[known] = self.out_of_fold[at[known]]
        return baselines, se.astype(np.float32)


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


def prompt_hashes(prompts: Sequence[npt.NDArray[np.int32]]) -> npt.NDArray[np.uint64]:
    """(n,) uint64: the first 8 bytes of BLAKE2b over each prompt's ids, little-endian int32."""
    import hashlib

    digests = [hashlib.blake2b(np.ascontiguousarray(p, dtype="<i4").tobytes(), digest_size=8).digest() for p in prompts]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
