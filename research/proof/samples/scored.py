"""The columns of a run, a group of rows at a time: what a row could be ranked by, and controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

from research.proof.subject import Subject
from research.proof.tables import interval
from screen.analysis.lift import lifts
from screen.analysis.rescore import open_whole
from screen.foreign import JsonObject
from screen.pocket import TRAITS
from screen.stats import area, auroc, auroc_difference
from screen.store.scan import Scan

Floats = npt.NDArray[np.float64]
SCORES: Final = {
    "score": "{}",
    "window": "{}_window",
    "highest turn": "{}_max",
    "trimmed": "{}_trimmed",
    "raw projection": "{}_projection",
    "last prompt": "{}_last_prompt",
    "length alone": "answer_tokens",
    "embedding layer": "{}_layer0",
}
RANDOM: Final = 8
LIFTED: Final = 30  # rows of a group that have a lift: each costs two passes a trait
LIFTED_CLEAN: Final = 100


class Scored:
    """Scores by group: the part of a row's id before `#`. A row that was not scored raises ValueError."""

    def __init__(self, scan: Scan, subject: Subject, rows: int) -> None:
        if scan.summary["scored"] != rows:
            raise ValueError(f"{scan.summary['scored']} of {rows} rows are scored in {scan.path}")
        self.scan = scan
        self._layers = {trait: subject.axes[trait].layer for trait in TRAITS}
        frame = scan.scores().with_columns(pl.col("id").str.split("#").list.first().alias("of")).sort("row").collect()
        self._groups = {str(name): part for (name,), part in frame.group_by("of", maintain_order=True)}
        self._random = _random(scan)
        self._whole = open_whole(scan, None)
        self._lifts: dict[tuple[str, str], Floats] = {}

    def values(self, group: str, column: str) -> Floats:
        return self._groups[group][column].to_numpy().astype(np.float64)

    def rows(self, group: str) -> list[int]:
        return [int(row) for row in self._groups[group]["row"]]

    def random(self, group: str, trait: str) -> Floats:
        """(rows, 8) scores along control directions of the trait's layer."""
        of = self._random[self._layers[trait]]
        return np.stack([of[row][:RANDOM] for row in self.rows(group)])

    def lift(self, group: str, trait: str, most: int) -> Floats:
        """Of the group's first rows, nats a token."""
        if (group, trait) in self._lifts:
            return self._lifts[group, trait]
        instruments = self._whole.instruments
        card = next(v.card for v in instruments.vectors.vectors if v.trait == trait)
        prompts = [(str(high), str(low)) for high, low in card["prompts"][:1]]
        samples = self._whole.shard(self.rows(group)[:most]).samples
        found = lifts(instruments.model, instruments.renderer.render, samples, prompts)
        values = np.array([value for value in found if value is not None])
        return self._lifts.setdefault((group, trait), values)

    def told_apart(self, trait: str, planted: str, clean: str) -> JsonObject:
        """AUROC of every column with its interval; how much more than the score's the two maxima have; and controls."""
        sides = {
            name: (self.values(planted, column.format(trait)), self.values(clean, column.format(trait)))
            for name, column in SCORES.items()
        }
        lift = (self.lift(planted, trait, LIFTED), self.lift(clean, trait, LIFTED_CLEAN))
        chance = zip(self.random(planted, trait).T, self.random(clean, trait).T, strict=True)
        return {
            "planted": len(sides["score"][0]),
            "clean": len(sides["score"][1]),
            "auroc": {name: interval(area(*side)) for name, side in {**sides, "lift": lift}.items()},
            "more_than_score": {
                name: [round(end, 3) for end in auroc_difference(sides[name], sides["score"])]
                for name in ("window", "highest turn", "trimmed", "raw projection", "last prompt")
            },
            "lifted": [len(side) for side in lift],
            "random": [round(auroc(high, low), 3) for high, low in chance],
        }


def _random(scan: Scan) -> Mapping[int, Mapping[int, Sequence[float]]]:
    """Layer -> row -> scores along the control directions."""
    found: dict[int, dict[int, Sequence[float]]] = {}
    for file in scan.folder.tables("controls"):
        table = pq.read_table(file, columns=["row", "layer", "random"])
        for row, layer, scores in zip(*(table[name].to_pylist() for name in table.column_names), strict=True):
            found.setdefault(layer, {})[row] = scores
    return found


def average_precision(planted: Floats, clean: Floats) -> float:
    """Mean over the planted of the share of planted rows among all with a score at least as high."""
    high, low = np.sort(planted), np.sort(clean)
    above = len(high) - np.searchsorted(high, high, side="left")
    others = len(low) - np.searchsorted(low, high, side="left")
    return float(np.mean(above / (above + others)))


def precision_at_share(planted: Floats, clean: Floats, share: float, rows: int, draws: int, seed: int) -> JsonObject:
    """Average precision in sets of `rows` rows with this share planted, drawn with replacement: the mean, and between
    which values 95 % of the sets lie."""
    rng = np.random.default_rng(seed)
    count = max(1, round(share * rows))
    found = np.array(
        [average_precision(rng.choice(planted, count), rng.choice(clean, rows - count)) for _ in range(draws)]
    )
    low, high = np.quantile(found, [0.025, 0.975])
    return {"value": round(float(found.mean()), 3), "low": round(float(low), 3), "high": round(float(high), 3)}
