"""What if they are dropped: rows and tokens lost against the mean of what is left, and a suggestion."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote

from screen.analysis.curve import CutCurve, curve, points_at, samples
from screen.errors import ScreenError, UsageError
from screen.experiment.results import FOLDER, cuts_of
from screen_reports import cuts
from screen_reports.drawings import of_run
from screen_reports.drawings.cuts import MeasuredShift
from screen_reports.html.parts import svg
from screen_reports.html.section import Answer, Section, Values
from screen_reports.html.view import View
from screen_reports.text import plural, score


def values(view: View, _answer: Answer) -> Values:
    """A curve a trait; `reason` says why there is none."""
    if not view.finished:
        return {"curves": [], "reason": "The curve is drawn when the run is finished."}
    curves, read = [], samples(view.scan, view.shown)
    for trait in view.shown:
        try:
            found = curve(view.scan, trait, read)
        except UsageError:  # no row has a score of it
            continue
        curves.append(_shown(view, found))
    return {"curves": curves, "reason": "" if curves else "No row has a score, so there is none to drop."}


def _shown(view: View, found: CutCurve) -> Mapping[str, object]:
    clean = "" if found.reference_mean is None else f"; clean rows\u2019 mean is {score(found.reference_mean, 2)}"
    return {
        "trait": found.trait,
        "rows": f"{plural(found.rows, 'row')} by score{clean}.",
        "drawing": svg(of_run.curve_of(found, _measured(view, found.trait))),
        "lines": cuts.lines(found),
        "names": cuts.NAMES,
        "suggested": "" if found.suggested is None else f"drop above {found.suggested.threshold:g}",
        "reason": found.reason,
        "command": cuts.command(found, quote(view.name)),
    }


def _measured(view: View, trait: str) -> list[MeasuredShift]:
    """What `screen validate` measured of this run's cuts, where that stands beside the run."""
    try:
        cuts_measured = cuts_of(view.scan, view.scan.path.with_suffix(FOLDER), trait).points
    except ScreenError:  # there is none, or it is of something else: `screen cut --measured` says which
        return []
    points = points_at(view.scan, trait, [point.above for point in cuts_measured])
    return [MeasuredShift(point.rows, *one.shift) for point, one in zip(points, cuts_measured, strict=True)]


SECTION = Section("cut", "What if they are dropped?", values)
