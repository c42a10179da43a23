"""Which prompts the model has to answer, and how long that takes here: batches as a run would make them, as many as
the time allows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from screen.analysis.estimate.census import Census, prompts_in
from screen.baselines.kind import Baseline, Ids
from screen.model.generate import eos_ids, planned
from screen.progress import Silent
from screen.scan.instruments import Instruments
from screen.spec import ScanSpec

_PROBE = 8  # tokens that tell how long one takes


@dataclass(frozen=True)
class Wanted:
    """calls: prompts of the sample, as a run asks for them; answers: prompts of the dataset that the model has to
    answer; kept: how many more are in the cache."""

    calls: tuple[Sequence[Ids], ...] = ()
    answers: int = 0
    kept: int = 0


@dataclass(frozen=True)
class AnsweringPace:
    """`seconds` a batch and `tokens` an answer, measured on so many whole `batches`; with none, as if every answer
    reached its length limit. `a_prompt`: batches for each prompt, as not all are full."""

    seconds: float
    tokens: float
    batches: int
    a_prompt: float


def wanted_answers(spec: ScanSpec, census: Census, baseline: Baseline, instruments: Instruments, cache: Path) -> Wanted:
    """What is to be answered for a kind of baseline that generates; the cache is read, not written."""
    distinct = census.distinct_prompts()
    most = min(spec.calibrate_on, distinct) if baseline.calibrates else distinct
    identity = instruments.identity(spec)["model"]
    responses = instruments.responses(identity, cache, lambda _done, _of, _new: None, Silent(), read_only=True)
    prompts = census.prompts()
    known = responses.known(list(prompts.values()))
    left = {key: prompt for (key, prompt), kept in zip(prompts.items(), known, strict=True) if not kept}
    kept = round(most * (len(prompts) - len(left)) / max(len(prompts), 1))
    if baseline.calibrates:  # one call, before the first shard
        return Wanted((list(left.values())[: most - kept],), most - kept, kept)
    return Wanted(_by_shard(census, left, spec.shard_rows), most - kept, kept)


def _by_shard(census: Census, left: dict[bytes, Ids], rows: int) -> tuple[Sequence[Ids], ...]:
    """A call a shard, for what no earlier one has asked. A sample's rows stand for shards in their random order."""
    ordered = sorted(census.looked, key=lambda row: row.row) if census.whole else list(census.looked)
    calls: dict[int, list[Ids]] = {}
    asked = set[bytes]()
    for place, row in enumerate(ordered):
        for prompt in prompts_in(row):
            key = prompt.tobytes()
            if key in left and key not in asked:
                asked.add(key)
                calls.setdefault((row.row if census.whole else place) // rows, []).append(prompt)
    return tuple(calls.values())


def measure_answering(
    calls: Sequence[Sequence[Ids]], instruments: Instruments, a_token: float, until: float, by_model: bool
) -> AnsweringPace | None:
    """Answer batches until the clock (time.monotonic) says `until`.

    calls    the prompts of each call of the generator, as the run will make them
    a_token  seconds a token in a forward pass
    None where another program answers, or where not even a few tokens can be made in time.
    """
    sampling, context = instruments.sampling, instruments.model.context
    rows = sampling.rows or 1
    batches = [[call[i] for i in batch] for call in calls for batch in planned([len(p) for p in call], rows, context)]
    if not batches:
        return AnsweringPace(0.0, 0.0, 0, 0.0)
    order = np.random.default_rng(sampling.seed).permutation(len(batches))
    a_prompt = len(batches) / sum(map(len, calls))
    if not by_model or a_token * rows * len(batches[order[0]][0]) > (until - time.monotonic()) / 2:
        return None
    eos = eos_ids(instruments.model, instruments.tokenizer.hf.eos_token_id)
    batch_of = _Batches(instruments, eos)
    first = batch_of(batches[order[0]], 1)  # for the prompts, and what is done but once
    few = batch_of(batches[order[0]], 1 + _PROBE)
    a_step = max(few.seconds - first.seconds, 0.1 * few.seconds) / _PROBE
    whole: list[_Batch] = []
    longest = few.seconds + a_step * (sampling.max_new_tokens - 1 - _PROBE)
    for i in order:
        room = int((until - time.monotonic() - first.seconds) / a_step)
        if room < max(_PROBE, *(b.steps for b in whole), 0):
            break
        made = batch_of(batches[i], min(room, sampling.max_new_tokens))
        if not made.whole:
            longest = made.seconds / made.steps * sampling.max_new_tokens
            break
        whole.append(made)
        a_step = max(made.seconds - first.seconds, 0.1 * made.seconds) / made.steps
    if not whole:
        return AnsweringPace(longest, float(sampling.max_new_tokens), 0, a_prompt)
    tokens = [n for b in whole for n in b.tokens]
    return AnsweringPace(
        float(np.mean([b.seconds for b in whole])), float(np.mean(tokens or [0])), len(whole), a_prompt
    )


@dataclass(frozen=True)
class _Batch:
    """`whole`: every answer came to its end, or to the length limit of a run. `steps`: tokens of the longest."""

    seconds: float
    tokens: tuple[int, ...]
    whole: bool

    @property
    def steps(self) -> int:
        return max(self.tokens, default=0) + 1


class _Batches:
    """Answers a batch, with a length limit of its own."""

    def __init__(self, instruments: Instruments, eos: frozenset[int]) -> None:
        self._instruments, self._eos = instruments, eos

    def __call__(self, prompts: Sequence[Ids], most: int) -> _Batch:
        sampling = self._instruments.sampling
        generator = self._instruments.host.generator(self._eos, replace(sampling, max_new_tokens=most))
        began = time.monotonic()
        answers = [answer for answer in generator.answer(prompts) if answer is not None]
        seconds = time.monotonic() - began
        ended = most >= sampling.max_new_tokens or not any(answer.truncated for answer in answers)
        return _Batch(seconds, tuple(len(answer.ids) for answer in answers), ended)
