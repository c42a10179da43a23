"""What if they are dropped: rows and tokens lost against the mean of what is left, and a suggestion."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote

from screen.analysis.curve import CutCurve, curve, samples
from screen.errors import UsageError
from screen_reports import cuts
from screen_reports.drawings import of_run
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
        "drawing": svg(of_run.curve_of(found)),
        "lines": cuts.lines(found),
        "names": cuts.NAMES,
        "suggested": "" if found.suggested is None else f"drop above {found.suggested.threshold:g}",
        "reason": found.reason,
        "command": cuts.command(found, quote(view.name)),
    }


SECTION = Section("cut", "What if they are dropped?", values)
