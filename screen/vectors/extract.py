"""Difference of means: from answers that show a trait and answers that do not, to its directions (METHOD 1.5).

    v[l] = mean over positive answers of m(answer, l) - mean over negative answers of m(answer, l)

with m the mean of `hidden_states[l]` over the answer's own tokens: a mean of per-answer means, not of tokens.
All layers come from one pass; means are streamed in float64, so memory does not grow with the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from screen.errors import VectorError


class AnswerTokens(NamedTuple):
    """One answer in its context. `ids`: (seq,) int; the answer's tokens are `ids[start:end]`, never empty."""

    ids: npt.NDArray[np.int32]
    start: int
    end: int


class AllLayers(Protocol):
    """A model that gives the mean of every hidden_states row over each answer's tokens."""

    def answer_means(self, answers: Iterable[AnswerTokens]) -> Iterator[npt.NDArray[np.float64]]:
        """Yields (n_layers + 1, d_model) float64 for each answer, in order."""
        ...


class RunningMean:
    """A streaming mean of equal-shaped float64 arrays."""

    def __init__(self) -> None:
        self.n = 0
        self.mean: npt.NDArray[np.float64] = np.zeros(())

    def add(self, value: npt.NDArray[np.float64]) -> None:
        self.n += 1
        self.mean = value.copy() if self.n == 1 else self.mean + (value - self.mean) / self.n


def extract(
    model: AllLayers, positives: Iterable[AnswerTokens], negatives: Iterable[AnswerTokens], minimum: int = 10
) -> npt.NDArray[np.float32]:
    """(n_layers + 1, d_model) float32, row l for hidden_states[l], pointing toward the trait, not normalised.

    Each side is taken as given: filter it with the judge first, each side on its own. Raises VectorError when
    a side has fewer than `minimum` answers.
    """
    sides = []
    for name, answers in (("show the trait", positives), ("do not show it", negatives)):
        mean = RunningMean()
        for value in model.answer_means(answers):
            mean.add(value)
        if mean.n < minimum:
            raise VectorError(
                f"only {mean.n} answers that {name} were kept; {minimum} are needed for a mean worth having",
                "make more rollouts, or check that the model can show this trait at all",
            )
        sides.append(mean.mean)
    return (sides[0] - sides[1]).astype(np.float32)
