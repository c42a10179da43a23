"""A shard's passes over the model: sequences with the baseline responses as branches, and what comes back.

Prompt, answer and baseline response share one pass (PERFORMANCE: prefix sharing). Where an item fails, its parts
are run one by one, so that a poison baseline response is told from a poison row and costs nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from screen_kernels import segment_means

from screen.model.forward.items import NO_SEGMENTS, Branch, Item, Measured, parts_of
from screen.model.forward.projector import Step
from screen.rendering.rendered import ScoredTurn
from screen.rendering.rendered import Sequence as TokenSequence
from screen.scoring.concentration import trimmed_mean

Float32 = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]


class Measures(Protocol):
    def measure(self, items: Sequence[Item], step: Step = ...) -> Sequence[Measured | str]:
        """Token projections and segment means an item, or why the model fails on it."""
        ...


class TurnStates(NamedTuple):
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
        return self.sequence.ids[: self.scored.prompt_end]


class Own(NamedTuple):
    """Of a baseline response: (k,) mean and trimmed mean of its tokens' projections, (p,) control means, and the
    (k,) mean of its thought's tokens. NaN where it has no thought, or nothing but one."""

    mean: Float32
    trimmed: Float32
    extra: Float32
    thought: Float32


@dataclass
class Passed:
    """What the passes gave. A problem is (code, message); rows and prompts with one have no values.

    tokens  a sequence: (tokens of its turns, k) projections; last: (turns, k) of the last prompt tokens
    means   a sequence: (turns, p) means of its answers along control directions and features; last_means: (turns, p) of
            the last prompt tokens
    thought a sequence: (turns, k) mean projections of its thoughts, NaN where a turn has none
    own     prompt key -> what came of the baseline response
    """

    tokens: list[Float32]
    last: list[Float32]
    means: list[Float32]
    last_means: list[Float32]
    thought: list[Float32] = field(default_factory=list)
    problems: dict[int, tuple[str, str]] = field(default_factory=dict)
    own: dict[bytes, Own] = field(default_factory=dict)
    own_problems: dict[bytes, tuple[str, str]] = field(default_factory=dict)


def run(
    sequences: Sequence[TokenSequence],
    branches: Mapping[int, Sequence[tuple[bytes, Branch]]],
    measures: Measures,
    step: Step,
    first: int = 0,
) -> Passed:
    """Run every sequence once, the branches of each with it. `branches`: sequence -> (prompt key, branch). `first`: so
    many sequences share no batch with the others."""
    items = [item_of(s, [b for _, b in branches.get(i, ())]) for i, s in enumerate(sequences)]
    results = [r for some in (items[:first], items[first:]) if some for r in measures.measure(some, step)]
    passed = Passed([], [], [], [])
    clean = _all_finite(results)
    for i, (sequence, result) in enumerate(zip(sequences, results, strict=True)):
        problem = None if clean else _problem(result)
        # the responses' fault, perhaps: each is run by itself, then the row alone
        if problem is not None and branches.get(i):
            own(branches[i], sequence, measures, step, passed)
            [result] = measures.measure([item_of(sequence)], step)
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
    """Baseline responses to prompts of one sequence, each run by itself: prompt and answer together."""
    given([(key, [(sequence.ids[: b.at], b)]) for key, b in branches], measures, step, passed)


def given(
    answers: Sequence[tuple[bytes, Sequence[tuple[Ids, Branch]]]],
    measures: Measures,
    step: Step,
    passed: Passed,
) -> None:
    """Answers as (prompt, what follows it), several a key allowed: their means are averaged."""
    flat = [(key, ids, branch) for key, several in answers for ids, branch in several]
    items = [parts_of(Item(ids, NO_SEGMENTS, NO_SEGMENTS, (branch,)))[1] for _, ids, branch in flat]
    sums: dict[bytes, list[Own]] = {}
    for (key, _, branch), result in zip(flat, measures.measure(items, step), strict=True):
        problem = _problem(result)
        if problem is not None:
            passed.own_problems[key] = problem
        elif not isinstance(result, str):
            sums.setdefault(key, []).append(_own(branch, result.tokens, result.means))
    for key, parts in sums.items():
        if key not in passed.own_problems:
            means = [_mean_of(several) for several in zip(*parts, strict=True)]
            passed.own[key] = Own(*means)


def _mean_of(several: Sequence[Float32]) -> Float32:
    """(k,): the mean of those that are there."""
    known = [one for one in several if not np.isnan(one).any()]
    mean: Float32 = np.stack(known or several).mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def item_of(sequence: TokenSequence, branches: Sequence[Branch] = ()) -> Item:
    """Its answers, last prompt tokens and thoughts, a segment each. Only tokens
    up to the last scored one are run: what comes after cannot change them."""
    turns = sequence.turns
    before = np.array([t.prompt_end - 1 for t in turns], dtype=np.int32)
    thoughts = [t.thought_tokens for t in turns if len(t.thought_tokens)]
    positions = np.concatenate([*(t.tokens for t in turns), before, *thoughts])
    lengths = _lengths([*(len(t.tokens) for t in turns), *([1] * len(turns)), *map(len, thoughts)])
    return Item(sequence.ids[: int(positions.max()) + 1], positions, lengths, tuple(branches))


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
        for part in (passed.tokens, passed.last, passed.means, passed.last_means, passed.thought):
            part.append(none)
        return
    turns = len(sequence.turns)
    n = sum(len(t.tokens) for t in sequence.turns)
    passed.tokens.append(result.tokens[:n])
    passed.last.append(result.tokens[n : n + turns])
    passed.means.append(result.means[:turns])
    passed.last_means.append(result.means[turns : 2 * turns])
    thoughts, at = _thoughts(sequence, result.tokens, n + turns)
    passed.thought.append(thoughts)
    row = 2 * turns + sum(len(t.thought_tokens) > 0 for t in sequence.turns)
    for key, branch in branches:
        size, rows = sum(branch.lengths), len(branch.lengths)
        passed.own[key] = _own(branch, result.tokens[at : at + size], result.means[row : row + rows])
        at, row = at + size, row + rows


def _thoughts(sequence: TokenSequence, tokens: Float32, at: int) -> tuple[Float32, int]:
    """(turns, k) mean projections of the thoughts, whose tokens stand from `at`; and where they end."""
    means = np.full((len(sequence.turns), tokens.shape[1]), np.nan, dtype=np.float32)
    for i, turn in enumerate(sequence.turns):
        if size := len(turn.thought_tokens):
            means[i] = _mean(tokens[at : at + size])
            at += size
    return means, at


def _own(branch: Branch, tokens: Float32, extra: Float32) -> Own:
    """tokens (n, k), of the baseline response alone, its thought first; extra (parts, p)."""
    thinking = branch.thought[1] - branch.thought[0]
    thought, said = tokens[:thinking], tokens[thinking:]
    none = np.full(tokens.shape[1], np.nan, dtype=np.float32)
    # parts are the thought, where there is one, then the answer
    own_extra = extra[-1] if len(said) else np.full(extra.shape[1], np.nan, dtype=np.float32)
    trimmed = trimmed_mean(said) if len(said) else none
    return Own(_mean(said) if len(said) else none, trimmed, own_extra, _mean(thought) if thinking else none)


def _mean(tokens: Float32) -> Float32:
    """(k,): the mean over tokens."""
    mean: Float32 = segments(tokens, np.array([0, len(tokens)], dtype=np.int64))[0]
    return mean


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
