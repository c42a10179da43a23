"""How often exact scores lie within 1.96 standard errors of estimates, before and after the tails are allowed for.

    python -m bench.coverage [--rows 2000] [--answers 60,120,250,500] [--cache DIR]

On a mixed set of the embedded model's corpus, 5 % planted for each trait; rows whose prompts were answered are left
out. The threshold is p99 of the card's reference.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from research.pocket.corpus.chats import mixed
from screen.baselines.estimates.calibration import tail_factors
from screen.pocket import TRAITS
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.stats import wilson
from screen.store import context
from screen.store.folder import RunFolder
from screen.store.scan import Scan

Bools = npt.NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--answers", default="60,120,250,500")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = options.cache or folder / "cache"
        data = folder / "mixed.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in mixed(options.rows, seed=5).rows))
        exact = run(folder / "exact", data, cache, baseline="generate")
        truth, thresholds = exact.scores().collect(), {t: exact.summary["traits"][t]["threshold"] for t in TRAITS}
        print(
            "| answered | trait | factor | all | estimate above the threshold | exact above the threshold"
            " | refine would miss |"
        )
        print("|---|---|---|---|---|---|---|", flush=True)
        for answers in (int(n) for n in options.answers.split(",")):
            guessed = run(folder / str(answers), data, cache, baseline="calibrated", calibrate_on=answers)
            found = guessed.scores().collect()
            for trait in TRAITS:
                factor = tail_factor(guessed, trait)
                columns = (truth[trait], found[f"{trait}_estimate"], found[f"{trait}_se"])
                new = found["baseline"].to_numpy() == "none"
                e, g, se = (c.to_numpy()[new].astype(np.float64) for c in columns)
                there = ~np.isnan(e)
                print(line(answers, trait, factor, e[there], g[there], se[there], thresholds[trait]), flush=True)
        if options.draws:
            redrawn(truth, found, {t: tail_factor(guessed, t) for t in TRAITS}, thresholds, options.draws)


def redrawn(truth: Any, found: Any, factors: dict[str, float], thresholds: dict[str, float], draws: int) -> None:
    """The same averaged over which prompts say how heavy the tail is, drawn anew; the fit stays."""
    keys = found["prompt_key"].to_numpy()
    print(f"\nOver {draws} draws of the prompts whose errors give the factor, the fit as it is:\n")
    print("| prompts | trait | factor | all | exact above the threshold |")
    print("|---|---|---|---|---|", flush=True)
    for prompts in (100, 250, 500, 1000):
        for trait in TRAITS:
            columns = (truth[trait], found[f"{trait}_estimate"], found[f"{trait}_se"])
            e, g, se = (c.to_numpy().astype(np.float64) for c in columns)
            there, over, plain = ~np.isnan(e), e > thresholds[trait], se / factors[trait]
            made = []
            for seed in range(draws):
                drawn = np.random.default_rng(seed).choice(np.unique(keys[there]), prompts, replace=False)
                inside = np.isin(keys, drawn) & there
                first = np.flatnonzero(inside)[np.unique(keys[inside], return_index=True)[1]]
                sides = (e[first, None], g[first, None], plain[first, None])
                [factor] = tail_factors(*sides, np.array([over[first].sum()]))
                rest = there & ~inside
                covered = np.abs(e - g)[:, None] < 1.96 * plain[:, None] * np.array([1.0, factor])
                made.append([factor, *covered[rest].mean(axis=0), *covered[rest & over].mean(axis=0)])
            f, *shares = np.mean(made, axis=0)
            a, b, c, d = (100 * s for s in shares)
            print(f"| {prompts} | {trait} | {f:.2f} | {a:.1f} -> {b:.1f} % | {c:.1f} -> {d:.1f} % |", flush=True)


def run(out: Path, data: Path, cache: Path, **fields: Any) -> Scan:
    run_scan(ScanSpec(dataset=(str(data),), max_new_tokens=96, **fields), out, cache=cache)
    return Scan.open(out)


def tail_factor(scan: Scan, trait: str) -> float:
    found = context.load(scan.path, RunFolder.read(scan.path).run)
    assert found is not None
    return float(found[1]["calibration"]["traits"][trait]["tail_factor"])


def line(answers: int, trait: str, factor: float, exact: Any, guess: Any, se: Any, threshold: float) -> str:
    def covered(rows: Bools) -> str:
        before, after = (int((np.abs(exact - guess)[rows] < 1.96 * (se / f)[rows]).sum()) for f in (factor, 1.0))
        n = int(rows.sum())
        low, high = wilson(after, n)
        return f"{100 * before / n:.1f} -> {100 * after / n:.1f} % ({100 * low:.0f} to {100 * high:.0f}; {n})"

    over = exact > threshold
    missed = [int((over & (guess + 2.0 * se / f < threshold)).sum()) for f in (factor, 1.0)]
    cells = [covered(np.ones(len(exact), dtype=bool)), covered(guess > threshold), covered(over)]
    return f"| {answers} | {trait} | {factor:.2f} | {' | '.join(cells)} | {missed[0]} -> {missed[1]} |"


if __name__ == "__main__":
    main()
