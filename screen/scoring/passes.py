"""A shard's passes over the model: sequences with the base model's own answers as branches, and what comes back.

Prompt, answer and own answer share one pass (PERFORMANCE: prefix sharing). Where an item fails, its parts are run one
by one, so that a poison own answer is told from a poison row and costs nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from screen_kernels import segment_means

from screen.model.items import Branch, Item, Measured
from screen.model.projector import Step
from screen.model.rendered import ScoredTurn
from screen.model.rendered import Sequence as TokenSequence
from screen.scoring.concentration import trimmed_mean

Float32 = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]


class Measures(Protocol):
    def measure(self, items: Sequence[Item], step: Step = ...) -> Sequence[Measured | str]:
        """Token projections and segment means an item, or why the model fails on it."""
        ...


class Turn(NamedTuple):
    """A scored turn and where it stands."""

    sample: int
    sequence: TokenSequence
    number: int  # in sequence.turns
    place: int  # of its sequence in the shard

    @property
    def scored(self) -> ScoredTurn:
        return self.sequence.turns[self.number]

    @property
    def prompt(self) -> Ids:
        return self.sequence.ids[: self.scored.tokens[0]]


class Own(NamedTuple):
    """Of an own answer: (k,) mean and trimmed mean of its tokens' projections, (p,) probe means."""

    mean: Float32
    trimmed: Float32
    probes: Float32


@dataclass
class Passed:
    """What the passes gave. A problem is (code, message); rows and prompts with one have no values.

    tokens  a sequence: (tokens of its turns, k) projections; last: (turns, k) of the last prompt tokens
    means   a sequence: (turns, p) probe means of its answers; last_means: (turns, p) of the last prompt tokens
    own     prompt key -> what came of the own answer
    """

    tokens: list[Float32]
    last: list[Float32]
    means: list[Float32]
    last_means: list[Float32]
    problems: dict[int, tuple[str, str]] = field(default_factory=dict)
    own: dict[bytes, Own] = field(default_factory=dict)
    own_problems: dict[bytes, tuple[str, str]] = field(default_factory=dict)


def run(
    sequences: Sequence[TokenSequence],
    branches: Mapping[int, Sequence[tuple[bytes, Branch]]],
    measures: Measures,
    step: Step,
) -> Passed:
    """Run every sequence once, the branches of each with it. `branches`: sequence -> (prompt key, branch)."""
    items = [_item(s, [b for _, b in branches.get(i, ())]) for i, s in enumerate(sequences)]
    results = list(measures.measure(items, step))
    passed = Passed([], [], [], [])
    clean = _all_finite(results)
    for i, (sequence, result) in enumerate(zip(sequences, results, strict=True)):
        problem = None if clean else _problem(result)
        if problem is not None and branches.get(i):
            own(branches[i], sequence, measures, step, passed)
            [result] = measures.measure([_item(sequence, [])], step)
            problem = _problem(result)
            _keep(passed, sequence, [], i, result, problem)
        else:
            _keep(passed, sequence, branches.get(i, ()), i, result, problem)
    return passed


def own(
    branches: Sequence[tuple[bytes, Branch]],
    sequence: TokenSequence,
    measures: Measures,
    step: Step,
    passed: Passed,
) -> None:
    """Own answers to prompts of one sequence, each run by itself: prompt and answer together."""
    whole = [(key, np.concatenate([sequence.ids[: b.at], b.ids]), b.at) for key, b in branches]
    given([(key, [(ids, np.arange(at, len(ids), dtype=np.int32))]) for key, ids, at in whole], measures, step, passed)


def given(
    answers: Sequence[tuple[bytes, Sequence[tuple[Ids, Ids]]]],
    measures: Measures,
    step: Step,
    passed: Passed,
) -> None:
    """Answers as (ids, positions of the answer) sequences, several a key allowed: their means are averaged."""
    flat = [(key, Item(ids, at, _lengths([len(at)]))) for key, several in answers for ids, at in several]
    sums: dict[bytes, list[Own]] = {}
    for (key, item), result in zip(flat, measures.measure([i for _, i in flat], step), strict=True):
        problem = _problem(result)
        if problem is not None:
            passed.own_problems[key] = problem
        elif not isinstance(result, str):
            sums.setdefault(key, []).append(_own(result.tokens[: len(item.positions)], result.means[0]))
    for key, parts in sums.items():
        if key not in passed.own_problems:
            means = [np.stack(several).mean(axis=0, dtype=np.float64) for several in zip(*parts, strict=True)]
            passed.own[key] = Own(*(m.astype(np.float32) for m in means))


def _item(sequence: TokenSequence, branches: Sequence[Branch]) -> Item:
    """Only tokens up to the last scored one are run: what comes after cannot change them."""
    turns = sequence.turns
    ids = sequence.ids[: int(turns[-1].tokens[-1]) + 1]
    before = np.array([t.tokens[0] - 1 for t in turns], dtype=np.int32)
    positions = np.concatenate([*(t.tokens for t in turns), before])
    lengths = _lengths([*(len(t.tokens) for t in turns), *([1] * len(turns))])
    return Item(ids, positions, lengths, tuple(branches))


def _keep(
    passed: Passed,
    sequence: TokenSequence,
    branches: Sequence[tuple[bytes, Branch]],
    i: int,
    result: Measured | str,
    problem: tuple[str, str] | None,
) -> None:
    none = np.zeros((0, 0), dtype=np.float32)
    if problem is not None or isinstance(result, str):
        passed.problems[i] = problem or ("worker_failed", str(result))
        for part in (passed.tokens, passed.last, passed.means, passed.last_means):
            part.append(none)
        return
    turns = len(sequence.turns)
    n = sum(len(t.tokens) for t in sequence.turns)
    passed.tokens.append(result.tokens[:n])
    passed.last.append(result.tokens[n : n + turns])
    passed.means.append(result.means[:turns])
    passed.last_means.append(result.means[turns : 2 * turns])
    at = n + turns
    for j, (key, branch) in enumerate(branches):
        passed.own[key] = _own(result.tokens[at : at + len(branch.ids)], result.means[2 * turns + j])
        at += len(branch.ids)


def _own(tokens: Float32, probes: Float32) -> Own:
    """tokens (n, k), of the own answer alone."""
    return Own(segments(tokens, np.array([0, len(tokens)], dtype=np.int64))[0], trimmed_mean(tokens), probes)


def segments(tokens: Float32, offsets: npt.NDArray[np.int64]) -> Float32:
    """(s, k): the mean of each run of rows."""
    means: Float32 = segment_means(torch.from_numpy(np.ascontiguousarray(tokens)), torch.from_numpy(offsets)).numpy()
    return means


def _lengths(lengths: Sequence[int]) -> Ids:
    return np.array(lengths, dtype=np.int32)


def _all_finite(results: Sequence[Measured | str]) -> bool:
    """Whether every item came out well: one look at them all, as nearly always they did."""
    arrays = [r for r in results if not isinstance(r, str)]
    return len(arrays) == len(results) and all(
        not parts or bool(np.isfinite(np.concatenate(parts)).all())
        for parts in ([r.tokens for r in arrays], [r.means for r in arrays])
    )


def _problem(result: Measured | str) -> tuple[str, str] | None:
    if isinstance(result, str):
        return "worker_failed", f"the model failed on this row alone: {result}"
    if not (np.isfinite(result.tokens).all() and np.isfinite(result.means).all()):
        return "not_finite", "the model's hidden states are not finite on this row; try --dtype float32"
    return None
