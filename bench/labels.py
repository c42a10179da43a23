"""How often the intervals of precision at a cut cover the truth, and how wide they are: the tables of docs/labels.md.

    screen run examples/support-chats.jsonl --out /tmp/support.screen
    python -m bench.labels /tmp/support.screen examples/support-chats.labels.jsonl --seeds 1000

The run's own draws, labelled from the side file, seed by seed; then, without chance, every outcome of a draw from made
populations, weighted by its probability.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from screen.disk import scratch_folder
from screen.select.labels import LabelGiven, add
from screen.select.precision import DropShare, StratumCounts, precision, share_of
from screen.select.sampling import draw
from screen.store.labels.file import LABELS
from screen.store.scan import Scan

SHARES = (0.0, 0.004, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 1.0)
DESIGNS = {  # ((rows, drawn) a stratum)
    "10 + 10 of 17 + 18": ((17, 10), (18, 10)),
    "6 + 14 of 35 + 230": ((35, 6), (230, 14)),
    "10 + 10 of 500 + 500": ((500, 10), (500, 10)),
    "6 + 14 of 1,000 + 99,000": ((1000, 6), (99_000, 14)),
    "3 + 3 of 6 + 6": ((6, 3), (6, 3)),
}


def seeds(run: Path, bad: list[bool], trait: str, count: int) -> Iterator[tuple[bool, float, bool, float]]:
    """Seed by seed, of the rows above the cut and of the others: whether the interval covers, and its width."""
    scan = Scan.open(run)
    found = scan.sql(f"select \"row\" from flagged where list_contains(flags, '{trait}')")
    flagged = set(found["row"].to_pylist())
    above, below = [bad[r] for r in flagged], [b for r, b in enumerate(bad) if r not in flagged]
    for seed in range(count):
        (run / LABELS).unlink(missing_ok=True)
        rows = draw(scan, trait, 40, seed).rows
        add(scan, [LabelGiven(row, None, "drop" if bad[row] else "keep") for row in rows])
        found = precision(scan, trait)
        assert found.flagged is not None
        assert found.unflagged is not None
        yield *_covers(found.flagged, sum(above) / len(above)), *_covers(found.unflagged, sum(below) / len(below))


def _covers(side: DropShare, true: float) -> tuple[bool, float]:
    assert side.share is not None
    return side.share.low - 1e-9 <= true <= side.share.high + 1e-9, side.share.high - side.share.low


def exact(design: tuple[tuple[int, int], ...]) -> tuple[float, float, float]:
    """Over populations: the least and the mean coverage, the mean width."""
    covered, widths = [], []
    for having in itertools.product(*({round(rows * share) for share in SHARES} for rows, _ in design)):
        cover = width = 0.0
        for seen in itertools.product(*(range(drawn + 1) for _, drawn in design)):
            parts = zip(seen, having, design, strict=True)
            chance = math.prod(_chance(k, drawn, m, rows) for k, m, (rows, drawn) in parts)
            if chance < 1e-12:
                continue
            share = share_of([StratumCounts(rows, drawn, k) for k, (rows, drawn) in zip(seen, design, strict=True)])
            assert share is not None
            total = sum(rows for rows, _ in design)
            cover += chance * (share.low * total - 1e-6 <= sum(having) <= share.high * total + 1e-6)
            width += chance * (share.high - share.low)
        covered.append(cover)
        widths.append(width)
    return min(covered), float(np.mean(covered)), float(np.mean(widths))


def _chance(k: int, drawn: int, having: int, rows: int) -> float:
    return math.comb(having, k) * math.comb(rows - having, drawn - k) / math.comb(rows, drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--seeds", type=int, default=1000)
    options = parser.parse_args()
    truth = [json.loads(line)["trait"] for line in options.truth.read_text().splitlines()]
    print("| 40 labels on the example set | precision covered | mean width | missed covered | mean width |")
    print("|---|---|---|---|---|")
    with scratch_folder("labels-") as folder:
        run = folder / "run"
        shutil.copytree(options.run, run)
        for trait in Scan.open(run).traits:
            for name, bad in ((trait, [t == trait for t in truth]), ("any trait", [t is not None for t in truth])):
                found = np.array(list(seeds(run, bad, trait, options.seeds))).mean(axis=0)
                shares = (f"{found[0]:.3f}", f"{found[1]:.3f}", f"{found[2]:.3f}", f"{found[3]:.3f}")
                print(f"| drawn for {trait}, to be dropped for {name} | {' | '.join(shares)} |", flush=True)
    print("\n| drawn of rows, a stratum each | least coverage | mean | mean width |\n|---|---|---|---|")
    for name, design in DESIGNS.items():
        least, mean, width = exact(design)
        print(f"| {name} | {least:.3f} | {mean:.3f} | {width:.3f} |", flush=True)


if __name__ == "__main__":
    main()
