"""A fitted calibration as shards use it: the baseline of a prompt that nobody answered, from its features."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from screen.baselines.estimates.calibration import Calibration

Float32 = npt.NDArray[np.float32]
Arrays = Mapping[str, npt.NDArray[np.generic]]  # of a run folder, by name


class FitQuality(TypedDict, total=False):
    """Of one trait's estimates: cross-validated share of variance, rank correlations with exact differences, tails."""

    r2: float
    rank_correlation: float
    last_prompt_rank_correlation: float
    tail_factor: float


class CalibrationFacts(TypedDict):
    """Prompts that were answered, of how many distinct ones, and how well that predicts the others."""

    answers: int
    prompts: int
    traits: Mapping[str, FitQuality]


class ControlSetFacts(TypedDict):
    """A set of control directions at one layer. `key`: their digest; `source`: "card", "reference" or "run"."""

    key: str
    layer: int
    source: str


class KeptFacts(TypedDict, total=False):
    """What is on record beside a run folder's arrays; docs of ScoringContext and BaselineEstimator say what each is."""

    sets: Sequence[ControlSetFacts]
    set_of: Mapping[str, str]
    drawn: Sequence[int]
    screened: Sequence[int]
    components: int
    sources: Sequence[str]
    cuts: Mapping[str, float]
    cuts_away: Mapping[str, float]
    calibration: CalibrationFacts


@dataclass(frozen=True)
class BaselineEstimator:
    """A calibration as shards use it: predicts the baseline of a prompt from its features.

    model        fitted on the answered prompts; targets are the traits' columns, then the controls'
    answered     (n,) uint64 ascending: hashes of the prompts that were answered
    out_of_fold  (n, traits + controls) float32: their predictions by a fit that did not see them
    sources      names of the sources seen, for one-hot features
    thresholds       trait -> the score above which a row is flagged, as far as it is known before the pass
    thresholds_away  trait -> the score below which a row that is trained away from is flagged
    """

    model: Calibration
    answered: npt.NDArray[np.uint64]
    out_of_fold: Float32
    sources: tuple[str, ...]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    thresholds_away: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_kept(cls, arrays: Arrays, facts: KeptFacts) -> BaselineEstimator | None:
        """As the run folder keeps it; None in a run without estimates."""
        if "answered" not in arrays:
            return None
        fit = {n.removeprefix("fit."): a.astype(np.float64) for n, a in arrays.items() if n.startswith("fit.")}
        answered, out_of_fold = arrays["answered"].astype(np.uint64), arrays["out_of_fold"].astype(np.float32)
        model = Calibration.from_arrays(fit)
        return cls(model, answered, out_of_fold, tuple(facts["sources"]), facts["cuts"], facts["cuts_away"])

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


def prompt_hashes(prompts: Sequence[npt.NDArray[np.int32]]) -> npt.NDArray[np.uint64]:
    """(n,) uint64: the first 8 bytes of BLAKE2b over each prompt's ids, little-endian int32."""
    digests = [hashlib.blake2b(np.ascontiguousarray(p, dtype="<i4").tobytes(), digest_size=8).digest() for p in prompts]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
