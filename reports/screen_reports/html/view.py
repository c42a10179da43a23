"""A run as the report's sections look at it: scores in memory, texts not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from screen.baselines.kind import Baseline
from screen.baselines.table import kind_of
from screen.scoring.findings.flags import Flagging, TraitReference
from screen.scoring.findings.signs import flagged
from screen.select.scores import thresholds_of
from screen.store import index, liftfile
from screen.store.labels.file import read as labelled
from screen.store.labels.record import Label
from screen.store.scan import Scan
from screen.store.sql.views import literal, quoted
from screen_reports import summary, verdicts
from screen_reports.html.chosen import Chosen, choose

Float32 = npt.NDArray[np.float32]
TRAITS = 24  # that are shown one by one
LABELLED = 200  # rows that are shown for their labels alone


@dataclass(frozen=True)
class View:
    """`name`: the run's folder as the user names it. `top`, `sample`: how many rows are shown, of each kind, at most.

    scan   a run, finished or not
    """

    scan: Scan
    name: str
    top: int = 200
    sample: int = 100

    @property
    def traits(self) -> tuple[str, ...]:
        return self.scan.traits

    @cached_property
    def finished(self) -> bool:
        return self.scan.folder.finished

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """What summary.json holds; {} of a run that is not finished."""
        return self.scan.summary if self.finished else {}

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.scan.folder.facts

    @property
    def baseline(self) -> Baseline:
        return kind_of(self.facts.get("baseline"))

    @cached_property
    def flags(self) -> dict[str, Flagging]:
        """Thresholds by trait; of a run that is not finished, those that its rows have so far."""
        return self.scan.flags if self.finished else thresholds_of(self.scan)

    def reference(self, trait: str) -> TraitReference | None:
        found: TraitReference | None = self.facts.get("references", {}).get(trait)
        return found

    @cached_property
    def table(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8], dict[str, Float32]]:
        """Of every sample in row order: (n,) rows, (n,) signs, and trait -> (n,) the score it is ranked by, nan without
        one."""
        column = {trait: self.scan.folder.score_column(trait) for trait in self.traits}
        known = self.scan.index
        if known is not None:
            return known.rows, known.signs, {trait: known.scores[name] for trait, name in column.items()}
        names = sorted(set(column.values()))
        read = index.read(self.scan.folder, ["row", "sign", *names])
        scores = {n: read[n].to_numpy(zero_copy_only=False).astype(np.float32) for n in names}
        signs = read["sign"].fill_null(1).to_numpy().astype(np.int8)
        return read["row"].to_numpy(), signs, {trait: scores[name] for trait, name in column.items()}

    @property
    def scores(self) -> Mapping[str, Float32]:
        return self.table[2]

    def over(self, trait: str) -> npt.NDArray[np.bool_]:
        """(n,) which samples are flagged for a trait."""
        flag = self.flags[trait]
        return flagged(self.scores[trait], self.table[1], flag["threshold"], flag["threshold_away"])

    @cached_property
    def leading(self) -> str:
        """The trait that rows are shown by first: of those to review the one that stands out most, else the first."""
        if not self.finished:
            return self.traits[0]
        return summary.leading(self.summary["traits"], verdicts.reviewed(self.summary)) or self.traits[0]

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The traits that rows and pictures are shown for: the leading one, those to review, then the others."""
        review = verdicts.reviewed(self.summary) if self.finished else []
        return tuple(dict.fromkeys((self.leading, *review, *self.traits)))[:TRAITS]

    @cached_property
    def chosen(self) -> Chosen:
        rows, signs, scores = self.table
        return choose(rows, signs, {trait: scores[trait] for trait in self.shown}, self.top, self.sample)

    @cached_property
    def chosen_rows(self) -> Sequence[int]:
        """And those with a label, as far as there is room."""
        chosen = (*self.chosen.top, *self.chosen.sample)
        return (*chosen, *[row for row in self.labels if row not in set(chosen)][:LABELLED])

    @cached_property
    def labels(self) -> Mapping[int, Sequence[Label]]:
        """What people said of rows: row -> the labels that count."""
        said: dict[int, list[Label]] = {}
        for label in labelled(self.scan.folder).listed():
            said.setdefault(label.row, []).append(label)
        return said

    @cached_property
    def lifted(self) -> bool:
        """Whether `screen lift` has been run over it."""
        return liftfile.find(self.scan.folder) is not None

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """What {names} in a section's query stand for.

        long    a table of every sample and trait: row, variant, sign, group, file, answer_tokens, trait, score, flagged
        rows    the chosen rows' numbers, with commas between
        """
        legs = []
        for trait in self.traits:
            score, flag = quoted(self.scan.folder.score_column(trait)), self.flags[trait]
            tests = [
                f"sign {sign} 0 AND {score} {sign} CAST({float(limit)!r} AS DOUBLE)"
                for sign, limit in ((">", flag["threshold"]), ("<", flag["threshold_away"]))
                if limit is not None
            ]
            over = f"coalesce({' OR '.join(tests) or 'false'}, false)"
            legs.append(f"{{'trait': {literal(trait)}, 'score': {score}, 'flagged': {over}}}")
        own = 'row, variant, sign, "group", file, answer_tokens'
        of = f"SELECT {own}, unnest([{', '.join(legs)}]) AS of FROM scores"
        listed = ", ".join(str(row) for row in self.chosen_rows) or "-1"
        return {"long": f"(SELECT {own}, of.trait, of.score, of.flagged FROM ({of}))", "rows": listed}
