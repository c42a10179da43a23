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

_PROBE = 8  # tokens of the first answers, after their first


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
    longest = _longest(batches[order[0]], instruments, eos)
    generator = instruments.host.generator(eos, sampling)
    spent: list[float] = []
    tokens: list[int] = []
    for i in order:
        if time.monotonic() + max(spent or [longest]) > until:
            break
        began = time.monotonic()
        answers = generator.answer(batches[i])
        spent.append(time.monotonic() - began)
        tokens += [len(answer.ids) for answer in answers if answer is not None]
    if not spent:
        return AnsweringPace(longest, float(sampling.max_new_tokens), 0, a_prompt)
    return AnsweringPace(float(np.mean(spent)), float(np.mean(tokens or [0])), len(spent), a_prompt)


def _longest(batch: Sequence[Ids], instruments: Instruments, eos: frozenset[int]) -> float:
    """Seconds of a batch whose answers reach their length limit, from the first tokens of one."""
    sampling = instruments.sampling
    seconds = []
    for most in (1, 1 + _PROBE):  # the first for the prompts and what is done but once, then the tokens of answers
        generator = instruments.host.generator(eos, replace(sampling, max_new_tokens=most))
        began = time.monotonic()
        generator.answer(batch)
        seconds.append(time.monotonic() - began)
    return seconds[1] + max(0.0, seconds[1] - seconds[0]) / _PROBE * (sampling.max_new_tokens - 1 - _PROBE)
