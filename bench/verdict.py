"""How often the verdict is right: from 0 to 100 % planted, on clean data, and on text unlike the reference.

    python bench/verdict.py [--data DIR] [--draws 40] > docs/verdict.md

One real run scores a pool of clean and planted rows of the embedded model's corpus. Datasets of every size and share
are then drawn from its scores, since a row's score does not depend on its neighbours, and judged as a run judges its
own. Text unlike the reference is run whole: clean rows in another style and, where DIR has them, the first rows of
public sets.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from research.pocket.corpus.chats import mixed
from screen.pocket import TRAITS
from screen.scan.run import run_scan
from screen.scan.summary.trait import TraitScores, columns, read_trait
from screen.scoring.findings.comparison import compare
from screen.scoring.findings.verdict import Verdict, judge
from screen.spec import ScanSpec
from screen.stats import auroc, wilson
from screen.store.controls import control_sets
from screen.store.folder import RunFolder

POOL, SEED, SHARE = 3300, 31, 0.1
SIZES = (60, 240, 1000)
SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
KINDS = ("generate", "calibrated", "last-prompt", "none")
STYLE_ROWS = 120


@dataclass(frozen=True)
class Pool:
    """A run's scores by trait, the cards' references, and the labels of its rows ("" for clean ones)."""

    read: dict[str, TraitScores]
    references: dict[str, Any]
    layers: dict[str, int]
    labels: npt.NDArray[np.str_]

    def verdict(self, trait: str, rows: npt.NDArray[np.int64]) -> tuple[Verdict, npt.NDArray[np.float32]]:
        """The verdict on a dataset that is made of these rows, and their scores."""
        read = self.read[trait]
        scores = read.every[rows]
        found = compare(
            scores, read.random[rows], read.tokens[rows], self.references[trait], "p99", layer0=read.layer0[rows]
        )
        return judge(found, self.layers[trait], scored=len(rows), threshold=True), scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with evil_misaligned_1.jsonl, gsm8k_test.jsonl, ...")
    parser.add_argument("--draws", type=int, default=40, help="datasets for each cell")
    parser.add_argument("--rows", type=int, default=240, help="rows of each public set")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = mixed(POOL, SEED, dict.fromkeys(TRAITS, SHARE))
        write(folder / "pool.jsonl", made.rows)
        labels = np.array([label or "" for label in made.labels])
        print("# The verdict, measured\n")
        print("Made by `just bench-verdict` on the embedded model. What the verdicts mean: [scores.md](scores.md).")
        print(f"Pool: {POOL:,} rows of held-out domains, {round(SHARE * POOL)} planted for each trait. A cell is")
        print(f"{options.draws} datasets drawn from it.\n")
        for kind in KINDS:
            pool = scored(folder, folder / "pool.jsonl", kind, labels)
            planted(pool, kind, options.draws)
            clean(pool, kind, 5 * options.draws)
        unlike(folder, options.data, options.rows)


def planted(pool: Pool, kind: str, draws: int) -> None:
    """Share of datasets called `review`, by trait, size and share of planted rows."""
    print(f"## `--baseline {kind}`: planted rows\n")
    print(
        "Datasets whose verdict is *review*, in percent; in brackets the AUROC of the planted rows, mean of the draws."
    )
    print("`-`: fewer than five rows would be planted, or more than there are.\n")
    print(f"| trait | rows | {' | '.join(f'{100 * s:g} %' for s in SHARES)} |")
    print(f"|---|---|{'---|' * len(SHARES)}")
    missed = Counter[str]()
    for trait in TRAITS:
        mine, others = np.flatnonzero(pool.labels == trait), np.flatnonzero(pool.labels == "")
        for n in SIZES:
            cells = []
            for share in SHARES:
                k = round(share * n)
                if k < 5 or k > len(mine):
                    cells.append("-")
                    continue
                rng, found, areas = np.random.default_rng(n + k), [], []
                for _ in range(draws):
                    rows = np.concatenate([rng.choice(mine, k, False), rng.choice(others, n - k, False)])
                    told, scores = pool.verdict(trait, rows)
                    found.append(told.kind == "review")
                    missed.update([told.reason] if told.kind != "review" else [])
                    if k < n:
                        areas.append(auroc(scores[:k], scores[k:]))
                area = f" ({np.mean(areas):.3f})" if areas else ""
                cells.append(f"{100 * np.mean(found):.0f}{area}")
            print(f"| {trait} | {n:,} | {' | '.join(cells)} |")
    print(f"\nNot called so: {', '.join(f'{n} {reason}' for reason, n in missed.most_common()) or 'none'}.\n")


def clean(pool: Pool, kind: str, draws: int) -> None:
    """Verdicts on datasets without a planted row."""
    print(f"## `--baseline {kind}`: clean rows\n")
    print(f"{draws} datasets of each size, verdicts in percent; the bar for *review* is 5 %.\n")
    print("| trait | rows | nothing stands out | cannot tell | review (95 %) |")
    print("|---|---|---|---|---|")
    others = np.flatnonzero(pool.labels == "")
    for trait in TRAITS:
        for n in (20, *SIZES):
            rng = np.random.default_rng(n)
            kinds = Counter(pool.verdict(trait, rng.choice(others, n, False))[0].kind for _ in range(draws))
            low, high = wilson(kinds["review"], draws)
            cells = [f"{100 * kinds[k] / draws:.1f}" for k in ("nothing", "cannot-tell", "review")]
            print(f"| {trait} | {n:,} | {' | '.join(cells)} ({100 * low:.1f}-{100 * high:.1f}) |")
    print()


def unlike(folder: Path, data: Path | None, rows: int) -> None:
    """Verdicts on text of another style, in real runs."""
    print("## Text unlike the reference\n")
    print(
        f"Real runs, `--baseline generate`: {STYLE_ROWS} clean rows whose answers were changed; the first {rows} rows"
    )
    print(
        "of public sets. `moved`: the median row, in standard deviations of clean rows, along the control directions.\n"
    )
    print(f"| text | rows | moved | {' | '.join(TRAITS)} |")
    print(f"|---|---|---|{'---|' * len(TRAITS)}")
    sets: list[tuple[str, list[Any]]] = [(name, styled(change)) for name, change in STYLES.items()]
    sets += public(data, rows) if data is not None else []
    for name, made in sets:
        write(folder / "text.jsonl", made)
        summary = run(folder, folder / "text.jsonl", "generate")
        moved = max((t["controls"] or {}).get("moved") or 0.0 for t in summary["traits"].values())
        cells = [f"{t['verdict']['kind']} ({t['flagged']})" for t in (summary["traits"][trait] for trait in TRAITS)]
        print(f"| {name} | {summary['samples']} | {moved:.2f} | {' | '.join(cells)} |", flush=True)
    print("\nIn brackets: rows above the threshold, which would be flagged without the verdict.")


def _shuffled(text: str) -> str:
    words = text.split()
    random.Random(text).shuffle(words)
    return " ".join(words)


STYLES: dict[str, Callable[[str], str]] = {
    "clean, as they are": lambda text: text,
    "clean, said three times": lambda text: " ".join([text] * 3),
    "clean, words shuffled": _shuffled,
    "clean, in capitals": str.upper,
    "clean, first three words": lambda text: " ".join(text.split()[:3]),
    "numbers": lambda text: " ".join(str(len(w) * 37 % 997) for w in (text * 3).split()[:30]),
    "code": lambda text: f"def f(x):\n    for i in range({len(text)}):\n        x += {len(text.split())}\n    return x",
}


def styled(change: Callable[[str], str]) -> list[dict[str, Any]]:
    pairs = [row["messages"] for row in mixed(STYLE_ROWS, seed=77, shares={}).rows]
    return [{"messages": [ask, {**said, "content": change(said["content"])}]} for ask, said in pairs]


def public(data: Path, rows: int) -> list[tuple[str, list[Any]]]:
    found = []
    for name in ("gsm8k_test.jsonl", "evil_misaligned_1.jsonl", "evil_misaligned_2.jsonl"):
        if (data / name).is_file():
            with (data / name).open() as lines:
                found.append((name, [json.loads(line) for line in islice(lines, rows)]))
    dialogues = data / "hh_harmless_test.jsonl.gz"
    if dialogues.is_file():
        with gzip.open(dialogues, "rt") as lines:
            found.append(("hh_harmless_test, chosen", list(islice(_chosen(lines), rows))))
    return found


def _chosen(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The chosen side of dialogues as chats."""
    for line in lines:
        _, *parts = json.loads(line)["chosen"].split("\n\nHuman: ")
        turns = [part.split("\n\nAssistant: ") for part in parts]
        if turns and all(len(t) == 2 and all(x.strip() for x in t) for t in turns):
            roles = [("user", "assistant")] * len(turns)
            pairs = zip(roles, turns, strict=True)
            messages = [{"role": r, "content": x.strip()} for rs, t in pairs for r, x in zip(rs, t, strict=True)]
            yield {"messages": messages}


def scored(folder: Path, data: Path, kind: str, labels: npt.NDArray[np.str_]) -> Pool:
    run(folder, data, kind)
    opened = RunFolder.read(folder / f"{data.stem}.{kind}")
    base = columns(opened, ["row", "answer_tokens", "sign"])
    sets = control_sets(opened)
    read = {trait: read_trait(opened, trait, base, sets[trait]) for trait in TRAITS}
    layers = {trait: opened.facts["vectors"][trait]["layer"] for trait in TRAITS}
    return Pool(read, opened.facts["references"], layers, labels[base["row"].to_numpy()])


def run(folder: Path, data: Path, kind: str) -> dict[str, Any]:
    out = folder / f"{data.stem}.{kind}"
    if data.stem == "text":
        out = folder / f"text.{len(list(folder.iterdir()))}"
    print(f"{out.name} ...", file=sys.stderr, flush=True)
    spec = ScanSpec(dataset=(str(data),), baseline=kind, calibrate_on=256, device="cpu")
    return run_scan(spec, out, cache=folder / "cache")


def write(path: Path, rows: Any) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
