"""Rows like a row, by their traits' projections; and rows that hold copies of one answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from screen.errors import UsageError
from screen.scoring.findings import signs
from screen.stats import robust_z
from screen.store.scan import Scan

SHINGLE = 5  # words
_PERMUTATIONS, _BANDS, _SEED = 128, 16, 1
_WORD = re.compile(r"\w+")


def neighbours(scan: Scan, row: int, count: int = 10) -> list[dict[str, object]]:
    """The `count` samples nearest to a row: row, variant, distance, and the scores of each trait.

    The distance is Euclidean over all traits' scores and highest windows, each in robust standard deviations of the
    run; a score that is null counts as the run's median. Raises UsageError where the row has no scores.
    """
    columns = [c for t in scan.traits for c in (_column(scan, t), f"{t}_window")]
    files = scan.folder.tables("scores")
    if not files:
        raise UsageError(f"{scan.path} holds no rows yet", "wait for its first shard, or see screen status")
    table = pa.concat_tables([pq.read_table(f, columns=["row", "variant", *columns]) for f in files])
    values = np.stack([table[c].to_numpy(zero_copy_only=False).astype(np.float64) for c in columns], axis=1)
    place = _standard(values)
    rows = table["row"].to_numpy()
    at = np.flatnonzero(rows == row)
    if not len(at):
        raise UsageError(f"row {row} has no scores in this run", "give the number of a scored row, as `rank` prints it")
    distance = np.sqrt(((place - place[at[0]]) ** 2).sum(axis=1))
    near = [i for i in np.argsort(distance, kind="stable").tolist() if rows[i] != row][:count]
    variants = table["variant"].to_pylist()
    return [
        {
            "row": int(rows[i]),
            "variant": variants[i],
            "distance": float(distance[i]),
            "scores": {t: _known(values[i, 2 * j]) for j, t in enumerate(scan.traits)},
        }
        for i in near
    ]


def copies(scan: Scan, threshold: float = 0.8) -> list[dict[str, object]]:
    """Groups of at least two rows whose answers are near-duplicates (`alike`), the largest first: rows (all of them),
    text (of the first), flagged (how many are flagged, a trait)."""
    rows, texts = _answers(scan)
    flags = _flagged(scan)
    groups = [g for g in alike(texts, threshold) if len({rows[i] for i in g}) > 1]
    groups.sort(key=lambda g: (-len(g), rows[g[0]]))
    return [
        {
            "rows": sorted({rows[i] for i in group}),
            "text": texts[group[0]],
            "flagged": dict(Counter(t for r in {rows[i] for i in group} for t in flags.get(r, ()))),
        }
        for group in groups
    ]


def alike(texts: Sequence[str], threshold: float = 0.8) -> list[list[int]]:
    """Groups of at least two texts that are near-duplicates, as their numbers from 0, ascending.

    Texts are compared as sets of five-word shingles by MinHash (128 permutations, 16 bands; Broder 1997): pairs above
    `threshold` of estimated Jaccard similarity are joined to groups. A text without words is like no other.
    """
    from rensa import RMinHash, RMinHashLSH

    exact: dict[str, int] = {}
    index = RMinHashLSH(threshold, _PERMUTATIONS, _BANDS)
    marks: dict[int, RMinHash] = {}
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, text in enumerate(texts):
        words = [w.lower() for w in _WORD.findall(text)]
        if not words:
            continue
        plain = " ".join(words)
        if plain in exact:
            parent[i] = root(exact[plain])
            continue
        exact[plain] = i
        mark = RMinHash(_PERMUTATIONS, _SEED)
        mark.update(sorted({" ".join(words[j : j + SHINGLE]) for j in range(max(1, len(words) - SHINGLE + 1))}))
        for other in index.query(mark):
            if marks[other].jaccard(mark) >= threshold:
                a, b = root(i), root(other)
                parent[max(a, b)] = min(a, b)
        marks[i] = mark
        index.insert(i, mark)
    members: dict[int, list[int]] = {}
    for i in range(len(texts)):
        members.setdefault(root(i), []).append(i)
    return [group for group in members.values() if len(group) > 1]


def _answers(scan: Scan) -> tuple[list[int], list[str]]:
    """Row and scored text of every turn, in row order."""
    rows: list[int] = []
    texts: list[str] = []
    for file in scan.folder.tables("turns"):
        table = pq.read_table(file, columns=["row", "text"])
        rows += table["row"].to_pylist()
        texts += table["text"].to_pylist()
    return rows, texts


def _flagged(scan: Scan) -> dict[int, set[str]]:
    """Row -> the traits it is flagged for; empty for a run that has not finished."""
    traits_of: dict[int, set[str]] = {}
    limits = {t: f for t, f in scan.flags.items() if f.get("threshold") is not None}
    for file in scan.folder.tables("scores"):
        table = pq.read_table(file, columns=["row", "sign", *(f["column"] for f in limits.values())])
        rows, sign = table["row"].to_numpy(), table["sign"].to_numpy()
        for trait, flag in limits.items():
            scores = table[flag["column"]].to_numpy(zero_copy_only=False)
            over = signs.flagged(scores, sign, flag["threshold"], flag.get("threshold_away"))
            for row in rows[over].tolist():
                traits_of.setdefault(row, set()).add(trait)
    return traits_of


def _column(scan: Scan, trait: str) -> str:
    return scan.folder.baseline.column(trait)  # of a refined run the estimates: every row has one


def _standard(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    out = np.zeros_like(values)
    for j in range(values.shape[1]):
        scored = ~np.isnan(values[:, j])
        if scored.any():
            out[scored, j] = robust_z(values[scored, j])
    return out


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
