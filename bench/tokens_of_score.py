"""Does a mean over tokens detect best? Means, trimmed means, medians, and means without delimiters, on labelled sets.

    python -m bench.tokens_of_score [--rows 1000] [--seeds 5] > docs/tokens.md

Each seed is a mixed set of the embedded model's corpus, 5 % of the rows planted for each trait; every way is taken of
the answer's token projections and of the baseline response's, and the second is subtracted from the first.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from research.pocket.corpus.chats import mixed
from screen.analysis.rescore import reopen
from screen.model.forward.items import Branch, Item
from screen.pocket import TRAITS
from screen.scan.run import run_scan
from screen.scoring.concentration import LEAST_TOKENS, MOST, carried, extremes, trimmed_mean
from screen.spec import ScanSpec
from screen.stats import auroc, auroc_interval
from screen.store.scan import Scan

Floats = npt.NDArray[np.float64]
DRAWS = 400


class Tokens(NamedTuple):
    """(n, traits) projections, and whether each token is a delimiter: no letter and no digit in it."""

    values: npt.NDArray[np.float32]
    delimiter: npt.NDArray[np.bool_]


def words(tokens: Tokens) -> Floats:
    """The mean without delimiters; of all tokens where there is nothing else."""
    kept = tokens.values[~tokens.delimiter]
    return np.asarray((kept if len(kept) else tokens.values).mean(axis=0, dtype=np.float64))


def fifth(tokens: Tokens) -> Floats:
    """As `concentration.trimmed_mean`, a fifth at either end."""
    ordered, cut = np.sort(tokens.values, axis=0), len(tokens.values) // 5
    return np.asarray(ordered[cut : len(ordered) - cut].mean(axis=0, dtype=np.float64))


WAYS: Mapping[str, Callable[[Tokens], Floats]] = {
    "mean": lambda t: np.asarray(t.values.mean(axis=0, dtype=np.float64)),
    "trimmed, a tenth": lambda t: trimmed_mean(t.values).astype(np.float64),
    "trimmed, a fifth": fifth,
    "median": lambda t: np.median(t.values.astype(np.float64), axis=0),
    "without delimiters": words,
}


class Labelled(NamedTuple):
    """Rows of all seeds: a (n, traits) score a way, the share on two tokens (n, traits), tokens (n,), labels (n,)."""

    scores: dict[str, Floats]
    top2: Floats
    tokens: npt.NDArray[np.int64]
    labels: npt.NDArray[np.str_]


def measured(folder: Path, rows: int, seed: int) -> Labelled:
    """One mixed set, scored token by token."""
    made = mixed(rows, seed=seed)
    path = folder / f"{seed}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in made.rows))
    spec = ScanSpec(dataset=(str(path),), baseline="generate", max_new_tokens=96, traits=TRAITS)
    run_scan(spec, folder / f"{seed}.screen", cache=folder / "cache")
    again = reopen(Scan.open(folder / f"{seed}.screen"), cache=folder / "cache", answering=True)
    samples = again.shard(range(rows)).samples
    sequences = [rendered.sequences[0] for _, rendered in samples]
    at = [s.turns[0].tokens for s in sequences]
    prompts = [s.ids[: int(p[0])] for s, p in zip(sequences, at, strict=True)]
    assert again.scorer.responses is not None
    own = [np.array(a.ids, dtype=np.int32) for a in again.scorer.responses.baseline_responses(prompts) if a is not None]
    items = [
        Item(s.ids[: int(p[-1]) + 1], p, branches=(Branch(int(p[0]), o),) if len(o) else ())
        for s, p, o in zip(sequences, at, own, strict=True)
    ]
    scores: dict[str, list[Floats]] = {way: [] for way in WAYS}
    shares, labels = [], []
    decode = again.instruments.tokenizer.decode
    kinds = np.array([not any(c.isalnum() for c in decode([i])) for i in range(again.instruments.model.vocab_size)])
    for item, result, (sample, _) in zip(items, again.scorer.projector.measure(items), samples, strict=True):
        assert not isinstance(result, str)
        if not item.branches:  # a baseline response of no tokens: the row has no score
            continue
        n, answer = len(item.positions), item.branches[0].ids
        given = Tokens(result.tokens[:n], kinds[item.ids[item.positions]])
        base = Tokens(result.tokens[n:], kinds[answer])
        for way, of in WAYS.items():
            scores[way].append(of(given) - of(base))
        ends = np.array([0, n])
        centre = base.values.mean(axis=0, keepdims=True)
        shares.append(carried(given.values, ends, extremes(given.values, ends)[1], centre, np.array([0, 1]))[0])
        labels.append(made.labels[sample.row] or "")
    print(f"seed {seed} done", file=sys.stderr, flush=True)
    lengths = np.array([len(i.positions) for i in items if i.branches])
    return Labelled({way: np.array(v) for way, v in scores.items()}, np.array(shares), lengths, np.array(labels))


def joined(parts: list[Labelled]) -> Labelled:
    scores = {way: np.concatenate([p.scores[way] for p in parts]) for way in WAYS}
    return Labelled(scores, *(np.concatenate([p[i] for p in parts]) for i in (1, 2, 3)))


def better(rows: Labelled, way: str, j: int, planted: npt.NDArray[np.bool_], clean: npt.NDArray[np.bool_]) -> str:
    """How much higher the AUROC is than the mean's, with a 95 % bootstrap interval over rows."""
    ours, plain = rows.scores[way][:, j], rows.scores["mean"][:, j]
    yes, no = np.flatnonzero(planted), np.flatnonzero(clean)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        a, b = rng.choice(yes, len(yes)), rng.choice(no, len(no))
        drawn.append(auroc(ours[a], ours[b]) - auroc(plain[a], plain[b]))
    value = auroc(ours[yes], ours[no]) - auroc(plain[yes], plain[no])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f})"


def tables(rows: Labelled, seeds: list[Labelled]) -> list[str]:
    lines = [
        "| trait | way | AUROC | lowest and highest seed | above the mean's by | found at 1 % false |",
        "|---|---|---|---|---|---|",
    ]
    clean = rows.labels == ""
    for j, trait in enumerate(TRAITS):
        planted = rows.labels == trait
        for way in WAYS:
            values = rows.scores[way][:, j]
            low, high = auroc_interval(values[planted], values[clean])
            each = [auroc(s.scores[way][s.labels == trait, j], s.scores[way][s.labels == "", j]) for s in seeds]
            found = (values[planted] > np.quantile(values[clean], 0.99)).mean()
            over = "" if way == "mean" else better(rows, way, j, planted, clean)
            lines.append(
                f"| {trait} | {way} | {auroc(values[planted], values[clean]):.4f} ({low:.4f} to {high:.4f}) "
                f"| {min(each):.4f}, {max(each):.4f} | {over} | {100 * found:.0f} % |"
            )
    lines += [
        "",
        "## What two tokens carry",
        "",
        "| trait | rows | median share | more than half |",
        "|---|---|---|---|",
    ]
    long = rows.tokens >= LEAST_TOKENS
    for j, trait in enumerate(TRAITS):
        flagged = clean & (rows.scores["mean"][:, j] > np.quantile(rows.scores["mean"][clean, j], 0.99))
        kinds = (("planted", rows.labels == trait), ("clean", clean), ("clean, the highest 1 %", flagged))
        for name, chosen in kinds:
            share = rows.top2[chosen & long, j]
            share = share[~np.isnan(share)]
            lines.append(f"| {trait} | {name} | {np.median(share):.2f} | {100 * (share > MOST).mean():.0f} % |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        seeds = [measured(Path(name), options.rows, seed) for seed in range(20, 20 + options.seeds)]
    rows = joined(seeds)
    counts = " / ".join(str((rows.labels == trait).sum()) for trait in TRAITS)
    print("# Which mean over tokens detects best\n")
    print(f"Made by `python -m bench.tokens_of_score --rows {options.rows} --seeds {options.seeds}` on the embedded")
    clean = f"{int((rows.labels == '').sum()):,} clean rows"
    print(f"model: {options.seeds} mixed sets, {clean}, {counts} planted ({' / '.join(TRAITS)}).")
    print("Intervals are of 95 %: of an AUROC as in [scores.md](scores.md), of its difference a bootstrap over rows.\n")
    print("\n".join(tables(rows, seeds)))


if __name__ == "__main__":
    main()
