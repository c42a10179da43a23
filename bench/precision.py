"""Rank correlation of bfloat16 scores with float32 scores of one dataset, by trait: both in one run.

    python bench/precision.py FILE [--limit 1500] [--model MODEL --vectors FILE] [--device cpu]

Answers are projected, and the prompt's last token is the baseline: no answer is generated, and nothing differs but the
arithmetic. The goal is a Spearman correlation of 0.999. Needs neither polars nor duckdb.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from screen.baselines.last_prompt import LastPrompt
from screen.data.dataset import open_dataset
from screen.progress import Silent
from screen.scan.instruments import load_instruments
from screen.scan.read import read_window
from screen.scoring.shard import score_shard
from screen.spec import ScanSpec
from screen.stats import spearman

COLUMNS = {"the answer's projection": "{}_projection", "less the prompt's last token": "{}_last_prompt"}


def scores(spec: ScanSpec) -> dict[str, npt.NDArray[np.float64]]:
    """Each column of `COLUMNS` for each trait, rows in order."""
    dataset = open_dataset(spec.dataset, limit=spec.limit)
    instruments = load_instruments(spec, LastPrompt(), Silent())
    found: dict[str, list[npt.NDArray[np.float64]]] = {}
    for window in dataset.windows(spec.shard_rows):
        shard = read_window(window, dataset, instruments.renderer)
        table = score_shard(shard, instruments.traits, instruments.projector, None, LastPrompt())["scores"]
        for trait in instruments.traits:
            for name in COLUMNS.values():
                column = name.format(trait)
                found.setdefault(column, []).append(table[column].to_numpy(zero_copy_only=False).astype(np.float64))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--limit", type=int, default=1500)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--vectors", action="append", default=[])
    parser.add_argument("--device", default="cpu")
    o = parser.parse_args()
    spec = ScanSpec(
        dataset=(o.file,), model=o.model, vectors=tuple(o.vectors), baseline="last-prompt", limit=(0, o.limit),
        device=o.device,
    )  # fmt: skip
    exact, rounded = scores(spec), scores(replace(spec, dtype="bfloat16"))
    print(f"{len(next(iter(exact.values()))):,} samples, {o.model}, {o.device}")
    for label, column in COLUMNS.items():
        for name in (n for n in exact if n.endswith(column.format(""))):
            both = np.isfinite(exact[name]) & np.isfinite(rounded[name])
            gap = np.sqrt(((exact[name] - rounded[name])[both] ** 2).mean()) / exact[name][both].std()
            print(
                f"{name.removesuffix(column.format('')):<16}{label:<30} Spearman "
                f"{spearman(exact[name][both], rounded[name][both]):.5f}, difference {gap:.1%} of the spread"
            )


if __name__ == "__main__":
    main()
