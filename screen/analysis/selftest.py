"""Would this screen have found it, in this data? Known trait rows, planted into a copy of the user's own dataset.

The rows are the user's: their prompts, their shape; the answers are the base model's own under the trait's positive
system prompts, which do not stand in the planted row. One row in a hundred is planted, at least 20.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from screen.analysis.recovery import RunThreshold, recovery
from screen.data.dataset import Dataset
from screen.data.from_spec import dataset_of
from screen.data.sample import RawRow, Sample, Skip, Turn
from screen.errors import InputError, VectorError
from screen.foreign import JsonObject
from screen.model.generate import Generator, Sampling, eos_ids
from screen.progress import Progress, Silent
from screen.scan.instruments import Instruments, load_instruments
from screen.scan.run import run_scan
from screen.scoring.findings.flags import DEFAULT_AT
from screen.scoring.schema import RANDOM
from screen.spec import ScanSpec
from screen.store.folder import RunFolder

SHARE, LEAST = 0.01, 20


def selftest(
    spec: ScanSpec, folder: Path, *, at: str | None = None, cache: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Plant, score, and say what was found. `folder` (empty) takes the copies and their runs.

    at  the percentile of the reference that the run is to flag above, as in `run_scan`

    Returns rows (of the copy), and by trait what `Recovery` has.

    Raises InputError for a dataset into which nothing can be planted, VectorError for a card without system prompts.
    """
    progress = progress or Silent()
    dataset = dataset_of(spec)
    instruments = load_instruments(dataclasses.replace(spec, answer_by="model"), None, progress)
    results: dict[str, Any] = {}
    total = 0
    for vector in instruments.vectors.vectors:
        progress.note("selftest", {"trait": vector.trait})
        copy = folder / f"{len(results)}.jsonl"
        planted, total = plant(dataset, instruments, vector.trait, vector.card.get("prompts"), copy, spec.seed)
        alone = dataclasses.replace(
            spec, dataset=(str(copy),), traits=(vector.trait,), limit=(0, None), refine=False, format=dataset.format,
            since=None,
        )  # fmt: skip
        run = folder / f"{len(results)}.screen"
        summary = run_scan(alone, run, cache=cache, progress=progress, at=at)
        threshold = _threshold(summary["traits"][vector.trait], at or DEFAULT_AT)
        results[vector.trait] = _measure(RunFolder.read(run), vector.trait, planted, threshold)
    return {"rows": total, "model": spec.model, "traits": results}


def plant(
    dataset: Dataset, instruments: Instruments, trait: str, prompts: Any, copy: Path, seed: int
) -> tuple[set[int], int]:
    """Write a copy of the dataset as JSON lines with planted rows; returns (their row numbers, rows)."""
    pairs = [str(p[0]) for p in prompts or () if len(p) == 2]
    if not pairs:
        raise VectorError(
            f"the card of {trait} has no system prompts to write trait rows with",
            "build the vector with `screen vectors build`, or leave the trait out with --traits",
        )
    entries = [e for w in dataset.windows(2048) for e in w.entries if isinstance(e, RawRow)]
    rng = np.random.default_rng(seed)
    wanted = max(LEAST, round(SHARE * len(entries)))
    asked: list[tuple[int, Sample, int]] = []
    for i in rng.permutation(len(entries)).tolist():
        place = _place(dataset, entries[i])
        if place is not None:
            asked.append((i, *place))
        if len(asked) == wanted:
            break
    if len(asked) < LEAST:
        raise InputError(
            f"only {len(asked)} of {len(entries):,} rows can take another answer, and a self-test needs {LEAST}",
            "give a dataset of chats, or of prompts with answers, with more rows",
        )
    answers = _written(instruments, asked, pairs)
    planted: set[int] = set()
    with copy.open("w", encoding="utf-8") as out:
        new = {i: text for (i, _, _), text in zip(asked, answers, strict=True) if text}
        places = {i: (sample, turn) for i, sample, turn in asked}
        for i, entry in enumerate(entries):
            value = entry.value
            if i in new:
                sample, turn = places[i]
                value = _put(value, sample.turns[turn].content, new[i])
                planted.add(i)
            out.write(json.dumps(value) + "\n")
    if not planted:
        raise InputError(f"the model wrote nothing under the prompts of {trait}", "check the model and its template")
    return planted, len(entries)


def _place(dataset: Dataset, entry: RawRow) -> tuple[Sample, int] | None:
    """A row's last scored turn, where its text stands once in the row, so that it can be put in place of."""
    read = dataset.samples(entry)
    if isinstance(read, Skip) or len(read) != 1 or read[0].layout != "chat":
        return None
    scored = [i for i, t in enumerate(read[0].turns) if t.scored and t.content.strip()]
    if not scored or _count(entry.value, read[0].turns[scored[-1]].content) != 1:
        return None
    return read[0], scored[-1]


def _written(
    instruments: Instruments, asked: Sequence[tuple[int, Sample, int]], pairs: Sequence[str]
) -> list[str | None]:
    """The model's greedy answers to the rows' prompts under the trait's system prompts, which take turns."""
    under = []
    for n, (_, sample, turn) in enumerate(asked):
        before = tuple(t._replace(scored=False) for t in sample.turns[:turn] if t.role != "system")
        system = Turn("system", pairs[n % len(pairs)])
        under.append(dataclasses.replace(sample, turns=(system, *before, sample.turns[turn])))
    rendered = instruments.renderer.render(under)
    eos = eos_ids(instruments.model, instruments.tokenizer.hf.eos_token_id)
    generator = Generator(
        instruments.model, eos, Sampling(instruments.sampling.max_new_tokens, rows=instruments.sampling.rows)
    )
    ready = [(i, r.sequences[-1]) for i, r in enumerate(rendered) if not isinstance(r, Skip)]
    responses = generator.answer([s.ids[: s.turns[-1].prompt_end] for _, s in ready])
    out: list[str | None] = [None] * len(asked)
    for (i, _), answer in zip(ready, responses, strict=True):
        out[i] = instruments.tokenizer.decode(answer.ids) if answer is not None and answer.ids else None
    return out


def _count(value: Any, text: str) -> int:
    if isinstance(value, str):
        return int(value == text)
    if isinstance(value, dict):
        return sum(_count(v, text) for v in value.values())
    return sum(_count(v, text) for v in value) if isinstance(value, list) else 0


def _put(value: Any, text: str, new: str) -> object:
    if isinstance(value, str):
        return new if value == text else value
    if isinstance(value, dict):
        return {k: _put(v, text, new) for k, v in value.items()}
    return [_put(v, text, new) for v in value] if isinstance(value, list) else value


def _measure(folder: RunFolder, trait: str, planted: set[int], threshold: RunThreshold) -> dict[str, object]:
    column = folder.baseline.column(trait)
    names = ["row", column, f"{trait}_layer0", "answer_tokens"]
    table = pa.concat_tables([pq.read_table(f, columns=names) for f in folder.tables("scores")])
    lists = pa.concat_tables([pq.read_table(f, columns=["random"]) for f in folder.tables("controls")])["random"]
    random = lists.combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, RANDOM)
    scored = np.asarray(pc.is_valid(table[column]))
    mine = np.isin(table["row"].to_numpy(), list(planted))[scored]
    if min(mine.sum(), (~mine).sum()) < 2:
        raise InputError(f"too few rows of the copy have a score for {trait}", "give more rows")
    score, words, tokens = (table[c].to_numpy(zero_copy_only=False)[scored] for c in names[1:])
    return recovery(score, mine, threshold, random[scored], None if np.isnan(words).any() else words, tokens).to_json()


def _threshold(stats: JsonObject, at: str) -> RunThreshold:
    """The run's own threshold, and the share of clean rows above it by the name of its percentile."""
    digits = at.removeprefix("p")
    share = int(digits) / 10 ** len(digits) if len(digits) > 1 else int(digits) / 100
    return RunThreshold(stats["threshold"], stats["rule"], round(1.0 - share, 6) if stats["reference"] else None)
