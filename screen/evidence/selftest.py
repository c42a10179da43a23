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
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from screen.data.dataset import Dataset, open_dataset
from screen.data.sample import RawRow, Sample, Skip, Turn
from screen.errors import InputError, VectorError
from screen.model.generate import Generator, Sampling, eos_ids
from screen.progress import Progress, Silent
from screen.scan import run_scan
from screen.scoring.schema import RANDOM, score_column
from screen.setup import Engine, load_engine
from screen.spec import ScanSpec
from screen.store.folder import RunFolder
from screen.vectors.measure import auroc

SHARE, LEAST = 0.01, 20
FOUND = 0.9  # the AUROC from which a screen is said to find the trait ...
CHANCE = 0.1  # ... if no more than this share of random directions does as well
Floats = npt.NDArray[np.float32]


def selftest(
    spec: ScanSpec, folder: Path, *, cache: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Plant, score, and say what was found. `folder` (empty) takes the copies and their runs.

    Returns rows (of the copy), and by trait: planted, auroc (planted against all other rows), recall at 1 % false
    positives, cut (the score at that point), the random directions' mean and highest AUROC and the share that do as
    well, the layer-0 direction's AUROC, the answers' length's, found, and verdict (a sentence).

    Raises InputError for a dataset into which nothing can be planted, VectorError for a card without system prompts.
    """
    progress = progress or Silent()
    dataset = _dataset(spec)
    engine = load_engine(dataclasses.replace(spec, baseline="generate", answer_by="model"), dataset.shape, progress)
    told: dict[str, Any] = {}
    total = 0
    for vector in engine.vectors.vectors:
        progress.note("selftest", {"trait": vector.trait})
        copy = folder / f"{len(told)}.jsonl"
        planted, total = plant(dataset, engine, vector.trait, vector.card.get("prompts"), copy, spec.seed)
        alone = dataclasses.replace(
            spec, dataset=(str(copy),), traits=(vector.trait,), limit=(0, None), refine=False, reference=None,
            format=dataset.format, max_new_tokens=spec.max_new_tokens,
        )  # fmt: skip
        run = folder / f"{len(told)}.screen"
        run_scan(alone, run, cache=cache, progress=progress)
        told[vector.trait] = {"planted": len(planted), **_measure(RunFolder.read(run), vector.trait, planted)}
    return {"rows": total, "model": spec.model, "traits": told}


def plant(dataset: Dataset, engine: Engine, trait: str, prompts: Any, copy: Path, seed: int) -> tuple[set[int], int]:
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
        found = _place(dataset, entries[i])
        if found is not None:
            asked.append((i, *found))
        if len(asked) == wanted:
            break
    if len(asked) < LEAST:
        raise InputError(
            f"only {len(asked)} of {len(entries):,} rows can take another answer, and a self-test needs {LEAST}",
            "give a dataset of chats, or of prompts with answers, with more rows",
        )
    answers = _written(engine, asked, pairs)
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


def _written(engine: Engine, asked: Sequence[tuple[int, Sample, int]], pairs: Sequence[str]) -> list[str | None]:
    """The model's greedy answers to the rows' prompts under the trait's system prompts, which take turns."""
    under = []
    for n, (_, sample, turn) in enumerate(asked):
        before = tuple(dataclasses.replace(t, scored=False) for t in sample.turns[:turn] if t.role != "system")
        system = Turn("system", pairs[n % len(pairs)])
        under.append(dataclasses.replace(sample, turns=(system, *before, dataclasses.replace(sample.turns[turn]))))
    rendered = engine.renderer.render(under)
    eos = eos_ids(engine.model, engine.tokenizer.hf.eos_token_id)
    generator = Generator(engine.model, eos, Sampling(engine.sampling.max_new_tokens, rows=engine.sampling.rows))
    ready = [(i, r.sequences[-1]) for i, r in enumerate(rendered) if not isinstance(r, Skip)]
    made = generator.answer([s.ids[: int(s.turns[-1].tokens[0])] for _, s in ready])
    out: list[str | None] = [None] * len(asked)
    for (i, _), answer in zip(ready, made, strict=True):
        out[i] = engine.tokenizer.decode(answer.ids) if answer is not None and answer.ids else None
    return out


def _count(value: Any, text: str) -> int:
    if isinstance(value, str):
        return int(value == text)
    if isinstance(value, dict):
        return sum(_count(v, text) for v in value.values())
    return sum(_count(v, text) for v in value) if isinstance(value, list) else 0


def _put(value: Any, text: str, new: str) -> Any:
    if isinstance(value, str):
        return new if value == text else value
    if isinstance(value, dict):
        return {k: _put(v, text, new) for k, v in value.items()}
    return [_put(v, text, new) for v in value] if isinstance(value, list) else value


def _measure(folder: RunFolder, trait: str, planted: set[int]) -> dict[str, Any]:
    column = score_column(trait, folder.facts["baseline"])
    names = ["row", column, f"{trait}_layer0", "answer_tokens"]
    table = pa.concat_tables([pq.read_table(f, columns=names) for f in folder.tables("scores")])
    random = pa.concat_tables([pq.read_table(f, columns=["random"]) for f in folder.tables("controls")])["random"]
    controls = random.combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, RANDOM)
    score = table[column].to_numpy(zero_copy_only=False)
    there = np.asarray(pc.is_valid(table[column]))
    mine = np.isin(table["row"].to_numpy(), list(planted))
    high, low = mine & there, ~mine & there
    if high.sum() < 2 or low.sum() < 2:
        raise InputError(f"too few rows of the copy have a score for {trait}", "give more rows")

    def area(values: npt.NDArray[Any]) -> float:
        return auroc(values[high], values[low])

    cut = float(np.quantile(score[low], 0.99))
    own, chance = area(score), np.array([area(controls[:, j]) for j in range(RANDOM)])
    chance = np.maximum(chance, 1 - chance)
    words = table[f"{trait}_layer0"].to_numpy(zero_copy_only=False)
    as_well = float((chance >= own).mean())
    found = own >= FOUND and as_well <= CHANCE
    recall = float((score[high] > cut).mean())
    verdict = f"would have found it: {100 * recall:.0f} % of the planted rows at 1 % false positives"
    if not found:
        why = f"AUROC {own:.2f}"
        why += f", and {100 * as_well:.0f} % of random directions do as well" if as_well > CHANCE else ""
        verdict = f"would not have found it ({why})"
    return {
        "auroc": own,
        "recall": recall,
        "cut": cut,
        "random": float(chance.mean()),
        "random_highest": float(chance.max()),
        "random_as_well": as_well,
        "layer0": None if np.isnan(words[there]).any() else area(words),
        "length": area(table["answer_tokens"].to_numpy()),
        "found": found,
        "verdict": verdict,
    }


def _dataset(spec: ScanSpec) -> Dataset:
    return open_dataset(
        spec.dataset,
        format=spec.format,
        map=spec.map,
        limit=spec.limit,
        train_on=spec.train_on,
        config=Path(spec.config) if spec.config else None,
    )
