"""A run's drawings: what its summary and its scores give to the others of this folder, which know of no run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from rich.text import Text

from screen.scoring.findings.flags import TraitReference
from screen.select.scores import score_values
from screen.store.scan import Scan
from screen_reports.console import Terminal
from screen_reports.drawings.bins import Bins
from screen_reports.drawings.correlation import correlation_matrix
from screen_reports.drawings.cuts import Drop, MeasuredShift, cut_curve
from screen_reports.drawings.groups import MeanOfGroup, group_means
from screen_reports.drawings.histogram import histogram
from screen_reports.drawings.sparkline import distribution

if TYPE_CHECKING:
    from screen.analysis.curve import CutCurve, CutPoint

LEAST = 20  # scores: fewer are read one by one
_WIDTH = 32  # of a distribution in a terminal


def scores_of(trait: str, values: npt.NDArray[np.float32], cut: float | None, reference: TraitReference | None) -> str:
    """The (n,) scores of a trait beside the quantiles of clean rows; nan is a row without one."""
    known = values[~np.isnan(values)].astype(np.float64)
    quantiles = None if reference is None else reference["quantiles"]
    above = None if cut is None else int((known > cut).sum())
    return histogram(f"Scores of {trait}", Bins.of(known), quantiles=quantiles, cut=cut, above=above)


def groups_of(trait: str, whole: Mapping[str, Any], reference: TraitReference | None) -> str | None:
    """The mean of every group; None where there are no two groups with one. `whole`: "dataset" of a trait's summary."""
    known = whole.get("groups", ())
    if sum(g.get("mean") is not None for g in known) < 2:
        return None
    groups = (MeanOfGroup(g["group"], g["rows"], g.get("mean"), g.get("low"), g.get("high")) for g in known)
    clean = None if reference is None else reference.get("mean")
    return group_means(f"Mean of {trait} by group", groups, overall=whole.get("mean"), clean=clean)


def curve_of(found: CutCurve, measured: Sequence[MeasuredShift] = ()) -> str:
    """What is left when rows are dropped, and what training on it showed."""
    return cut_curve(
        f"Dropping rows by {found.trait}",
        [_drop(point) for point in found.points],
        found.rows,
        clean=found.reference_mean,
        flagged=None if found.flagged is None else _drop(found.flagged),
        suggested=None if found.suggested is None else _drop(found.suggested),
        measured=measured,
    )


def _drop(point: CutPoint) -> Drop:
    return Drop(point.threshold, point.rows, point.mean)


def correlations_of(known: Mapping[str, Mapping[str, float | None]], among: Sequence[str]) -> str | None:
    """Trait by trait, of those `among`; None for one trait."""
    traits = [trait for trait in among if trait in known]
    if len(traits) < 2:
        return None
    values = [[known[a].get(b) for b in traits] for a in traits]
    return correlation_matrix("Correlation of the traits", traits, values)


def print_distribution(terminal: Terminal, scan: Scan, column: str, cut: float | None) -> None:
    """The scores of a column in a line, where a person reads it: what goes into a pipe is read by a program."""
    values = score_values(scan, column) if terminal.cutting else np.empty(0, np.float32)
    if (values == values).sum() < LEAST:
        return
    name = terminal.cut(column, 24)
    width = max(8, min(_WIDTH, terminal.width - len(name) - 24))
    line = distribution(values, cut, width, terminal.plain)
    terminal.print(Text(f"{name}: {line}", style="dim"), soft_wrap=True)
