"""Directions of all layers in one pass, with what says how far they can be trusted (METHOD 1.5).

    v[l] = mean over positive answers of m(answer, l) - mean over negative answers of m(answer, l)

with m the mean of `hidden_states[l]` over the answer's own tokens: a mean of per-answer means, not of tokens. A
running float64 mean is kept for each question and side. Memory is 2 x questions x (n_layers + 1) x d_model float64,
however many answers come, and the question means give the split halves, standard errors that know that answers to one
question resemble each other, and directions with permuted labels. Knows nothing of models, text or judges.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from screen.stats import unit

Float64 = npt.NDArray[np.float64]


class AnswerTokens(NamedTuple):
    """One answer in its context. `ids`: (seq,) int; the answer's tokens are `ids[start:end]`, never empty."""

    ids: npt.NDArray[np.int32]
    start: int
    end: int


Grouped = Iterable[tuple[int, AnswerTokens]]  # the question's number, the answer


class AllLayers(Protocol):
    """A model that gives the mean of every hidden_states row over each answer's tokens."""

    def answer_means(self, answers: Iterable[AnswerTokens]) -> Iterator[Float64]:
        """Yields (n_layers + 1, d_model) float64 for each answer, in order."""
        ...


class RunningMean:
    """A streaming mean of equal-shaped float64 arrays."""

    def __init__(self) -> None:
        self.n = 0
        self.mean: Float64 = np.zeros(())

    def add(self, value: Float64) -> None:
        self.n += 1
        self.mean = value.copy() if self.n == 1 else self.mean + (value - self.mean) / self.n


class QuestionMeans:
    """A running mean of answer means for each question of one side."""

    def __init__(self, model: AllLayers) -> None:
        self._model = model
        self._means: dict[int, RunningMean] = {}

    def add(self, answers: Grouped) -> None:
        waiting: deque[int] = deque()

        def feed() -> Iterator[AnswerTokens]:
            for group, tokens in answers:
                waiting.append(group)
                yield tokens

        for value in self._model.answer_means(feed()):
            self._means.setdefault(waiting.popleft(), RunningMean()).add(value)

    @property
    def groups(self) -> set[int]:
        return set(self._means)

    def mean(self, groups: Iterable[int] | None = None) -> Float64:
        """Mean of per-answer means over all answers, or those to some questions: (n_layers + 1, d_model)."""
        chosen = [self._means[g] for g in sorted(self._means if groups is None else groups)]
        total = np.zeros_like(chosen[0].mean)
        for running in chosen:
            total += running.n * running.mean
        return np.asarray(total / sum(running.n for running in chosen))

    def pull(self, group: int, centre: Float64) -> Float64:
        """What one question adds to the deviation of the mean: (n_q / n) (mean_q - centre)."""
        if group not in self._means:
            return np.zeros_like(centre)
        share = self._means[group].n / sum(running.n for running in self._means.values())
        return share * (self._means[group].mean - centre)


@dataclass(frozen=True)
class Extracted:
    """One trait's directions, row l for hidden_states[l], toward the trait, not normalised.

    direction         (n_layers + 1, d_model) float32
    projection_error  (n_layers + 1,) standard error of the mean difference along the direction itself
    relative_error    (n_layers + 1,) standard error of the whole difference, as a share of its norm
    split_half        (n_layers + 1,) cosine of the directions from even and from odd questions; NaN where one is
                      not to be had
    permuted          (k, n_layers + 1, d_model) float32: directions with the sides of half of the questions swapped
    """

    direction: npt.NDArray[np.float32]
    projection_error: Float64
    relative_error: Float64
    split_half: Float64
    permuted: npt.NDArray[np.float32]


def finish(positive: QuestionMeans, negative: QuestionMeans, permutations: int = 16, seed: int = 0) -> Extracted:
    """The directions, from two sides that hold answers."""
    high, low = positive.mean(), negative.mean()
    difference = high - low
    groups = sorted(positive.groups | negative.groups)
    norms = np.linalg.norm(difference, axis=-1)
    units = unit(difference)
    along, whole = np.zeros(len(norms)), np.zeros(len(norms))
    for group in groups:
        pull = positive.pull(group, high) - negative.pull(group, low)
        along += np.einsum("ld,ld->l", pull, units) ** 2
        whole += np.einsum("ld,ld->l", pull, pull)
    spread = len(groups) / max(1, len(groups) - 1)
    return Extracted(
        direction=difference.astype(np.float32),
        projection_error=np.sqrt(spread * along),
        relative_error=np.sqrt(spread * whole) / np.where(norms > 0, norms, 1.0),
        split_half=_split_half(positive, negative),
        permuted=_permuted(positive, negative, permutations, seed),
    )


def _split_half(positive: QuestionMeans, negative: QuestionMeans) -> Float64:
    halves = []
    for odd in (0, 1):
        sides = [{g for g in side.groups if g % 2 == odd} for side in (positive, negative)]
        if not all(sides):
            return np.full(len(positive.mean()), np.nan)
        halves.append(positive.mean(sides[0]) - negative.mean(sides[1]))
    return cosines(halves[0], halves[1])


def _permuted(positive: QuestionMeans, negative: QuestionMeans, count: int, seed: int) -> npt.NDArray[np.float32]:
    """Differences in which every second question, drawn anew each time, has its sides swapped."""
    groups = sorted(positive.groups & negative.groups)
    rng = np.random.default_rng([seed, len(groups)])
    shape = positive.mean().shape
    directions = np.zeros((count, *shape), dtype=np.float32)
    signs = np.array([1.0 if i % 2 else -1.0 for i in range(len(groups))])
    drawn = [rng.permutation(signs) for _ in range(count)]
    for at, group in enumerate(groups):
        gap = positive.mean([group]) - negative.mean([group])
        for row, order in zip(directions, drawn, strict=True):
            row += (order[at] / len(groups)) * gap
    return directions


def cosines(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> Float64:
    """Cosine of each row of (n, d_model) with the other's; 0 where one is zero."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    return np.asarray(np.einsum("ld,ld->l", x, y) / np.where(norms > 0, norms, 1.0))
