"""How good calibrated differences are for how many generations, on the embedded model and a mixed set with labels.

    python bench/quality.py [--rows 5000] [--shares 2,5,10,20,40] > docs/calibration.md

Exact differences of every row are made once; every line is then a run of its own on the same rows (answers are cached).
Flags: above p99 of a reference of 4,000 other clean rows. Then, on the exact scores, false-discovery rates over seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from research.pocket.corpus.chats import mixed
from screen.pocket import TRAITS
from screen.scan.run import run_scan
from screen.scoring.findings.significance import fdr_threshold
from screen.spec import ScanSpec
from screen.stats import auroc, spearman
from screen.store.folder import RunFolder
from screen.store.reference import Reference
from screen.store.scan import Scan

Scores = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--shares", default="2,5,10,20,40")
    parser.add_argument("--seeds", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clean = write(folder / "clean.jsonl", mixed(4000, seed=91, shares={}).rows)
        scores(folder, clean, "clean", baseline="generate")
        Reference.from_run(RunFolder.read(folder / "clean")).save(folder / "clean.reference")
        made = mixed(options.rows, seed=5)
        data = write(folder / "mixed.jsonl", made.rows)
        given = {"reference": str(folder / "clean.reference")}
        exact, summary = scores(folder, data, "exact", baseline="generate", **given)
        prompts = exact["prompt_key"].n_unique()
        print("# Calibrated baselines, measured\n")
        over = np.zeros(len(exact), dtype=bool)
        for trait in TRAITS:
            over |= exact[trait].to_numpy() > summary["traits"][trait]["threshold"]
        least = exact.filter(pl.Series(over))["prompt_key"].n_unique() / prompts
        rows = f"{options.rows:,} mixed rows, {prompts:,} distinct prompts"
        print(f"Made by `python bench/quality.py --rows {options.rows}` on the embedded model: {rows},")
        print("5 % of the rows planted for each trait; flags above p99 of 4,000 clean rows.")
        print(f"{100 * least:.0f} % of the prompts have a flagged row: so many have to be answered at the least.\n")
        print(
            "| answered | trait | R2 | Spearman | last-prompt | top 10 % found | refined: answered | flags as exact |"
        )
        print("|---|---|---|---|---|---|---|---|", flush=True)
        for share in [int(s) for s in options.shares.split(",")]:
            size = max(50, round(share / 100 * prompts))
            guess, _ = scores(folder, data, f"c{share}", baseline="calibrated", calibrate_on=size, **given)
            refined, after = scores(
                folder, data, f"r{share}", baseline="calibrated", calibrate_on=size, refine=True, **given
            )
            answered = refined.filter(pl.col("baseline") == "generate")["prompt_key"].n_unique() / prompts
            told = fitted(folder / f"c{share}")
            for trait in TRAITS:
                truth, value = exact[trait].to_numpy(), guess[f"{trait}_estimate"].to_numpy()
                limit = summary["traits"][trait]["threshold"]
                want, have = set(np.flatnonzero(truth > limit)), flagged(refined, after, trait)
                same = "yes" if want == have else f"no: {len(want - have)} missed, {len(have - want)} more"
                last = spearman(guess[f"{trait}_last_prompt"].to_numpy(), truth)
                print(
                    f"| {share} % | {trait} | {told[trait]['r2']:.2f} | {spearman(value, truth):.3f} | {last:.3f} "
                    f"| {100 * top(value, truth):.1f} % | {100 * answered:.0f} % | {same} ({len(want)}) |",
                    flush=True,
                )
        rates(exact, made.labels, np.asarray(mixed_clean(folder)), options.seeds)


def scores(folder: Path, data: Path, name: str, **fields: Any) -> tuple[pl.DataFrame, Any]:
    spec = ScanSpec(dataset=(str(data),), max_new_tokens=96, **fields)
    summary = run_scan(spec, folder / name, cache=folder / "cache", at="p99" if "reference" in fields else None)
    print(f"{name} done", file=sys.stderr, flush=True)
    return Scan.open(folder / name).scores().collect(), summary


def fitted(run: Path) -> Any:
    from screen.store import context

    found = context.load(run, RunFolder.read(run).run)
    assert found is not None
    return found[1]["calibration"]["traits"]


def flagged(rows: pl.DataFrame, summary: Any, trait: str) -> set[int]:
    stats = summary["traits"][trait]
    values = rows[stats["column"]].to_numpy()
    return set(np.flatnonzero(values > stats["threshold"]))


def top(guess: Scores, truth: Scores) -> float:
    """The share of the top tenth by exact difference that is in the top tenth by estimate."""
    n = len(truth) // 10
    return len(set(np.argsort(-truth)[:n]) & set(np.argsort(-guess)[:n])) / n


def mixed_clean(folder: Path) -> list[list[float]]:
    rows = Scan.open(folder / "clean").scores().collect()
    return [rows[trait].to_list() for trait in TRAITS]


def rates(exact: pl.DataFrame, labels: list[str | None], clean: Scores, seeds: int) -> None:
    """False-discovery rate and recall at 0.05, and the share that p95 flags of clean rows, over seeds: half of the
    clean rows are the reference; mixtures of 1,000 are drawn from the other half and from the planted rows."""
    print("\n## Flags\n")
    print(f"Over {seeds} seeds: a reference of 2,000 clean rows, and mixtures of 1,000 rows from 2,000 others and the")
    print("planted.\n")
    print("| trait | AUROC | p95 flags of clean | planted | false share at --fdr 0.05 | planted found |")
    print("|---|---|---|---|---|---|")
    for j, trait in enumerate(TRAITS):
        positive = exact[trait].to_numpy()[np.array([label == trait for label in labels])]
        area = auroc(positive, clean[j])
        for share in (0.0, 0.01, 0.05, 0.2):
            false, found, p95 = [], [], []
            for seed in range(seeds):
                rng = np.random.default_rng(seed)
                order = rng.permutation(clean[j])
                reference, others = np.sort(order[:2000]).astype(np.float32), order[2000:]
                n = round(1000 * share)
                planted = rng.choice(positive, n)
                rows = np.concatenate([planted, rng.choice(others, 1000 - n, replace=False)]).astype(np.float32)
                p95.append(float((others > np.quantile(reference, 0.95)).mean()))
                threshold = fdr_threshold(rows, reference, 0.05)
                over = rows > threshold if threshold is not None else np.zeros(1000, dtype=bool)
                false.append(over[n:].sum() / max(1, over.sum()))
                found.append(over[:n].mean() if n else np.nan)
            hit = "-" if share == 0 else f"{100 * np.mean(found):.0f} %"
            left = f"| {trait} | {area:.3f} | {100 * np.mean(p95):.1f} % | {100 * share:g} %"
            print(f"{left} | {np.mean(false):.3f} | {hit} |")


def write(path: Path, rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


if __name__ == "__main__":
    main()
