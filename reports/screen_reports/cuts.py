"""The what-if curve of a trait as lines of a table, and the command of its suggestion. Knows nothing of terminals."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from screen.analysis.curve import CutCurve, CutPoint, RefusedApart
from screen.analysis.like_length import LikeLength
from screen.experiment.cuts import MeasuredCut, MeasuredCuts
from screen_reports.text import plural

NAMES = ("drop above", "rows lost", "%", "tokens lost", "%", "mean left")
MEASURED = ("drop above", "rows lost", "mean left", "shift", "95 %", "of 100", "95 %")
LIKE_LENGTH = ("tokens", "rows", "mean", "flagged", "threshold", "above", "both")
LEGEND = (
    "measured after fine-tuning on what is left: the shift along the vector, in the score's unit, and what the judge"
    " finds, of 100"
)


def lines(curve: CutCurve, most: int = 10) -> list[list[str]]:
    """A line a point, some `most` of them and those with a name, which stands last ("" for the others)."""
    named = {p.rows: name for p, name in ((curve.flagged, "flagged"), (curve.suggested, "suggested")) if p is not None}
    shown = {p.rows: p for p in (*_few(curve.points, most), curve.flagged, curve.suggested) if p is not None}
    return [[*_cells(shown[n], curve), named.get(n, "")] for n in sorted(shown)]


def measured(curve: CutCurve, cuts: MeasuredCuts, points: Sequence[CutPoint], most: int = 6) -> list[list[str]]:
    """The same, less what is lost of tokens, with what was measured at `points`, which are where `cuts` stand."""
    named = {p.rows: name for p, name in ((curve.flagged, "flagged"), (curve.suggested, "suggested")) if p is not None}
    there = {p.rows for p in points}
    others = {p.rows: p for p in (*_few(curve.points, most), curve.flagged, curve.suggested) if p is not None}
    lines = [(p, None) for n, p in others.items() if n not in there] + list(zip(points, cuts.points, strict=True))
    made = []
    for point, one in sorted(lines, key=lambda line: line[0].rows):
        above, lost, _, _, _, mean = _cells(point, curve)
        made.append([above, lost, mean, *_found(one), named.get(point.rows, "")])
    return made


def by_length(found: LikeLength) -> list[list[str]]:
    """A line a bin of answers' lengths."""
    return [
        [
            f"{b.low:,}-{b.high:,}", f"{b.rows:,}", f"{b.mean:+.2f}", f"{b.flagged:,}", f"{b.threshold:+.2f}",
            f"{b.above:,}", f"{b.both:,}",
        ]
        for b in found.bins
    ]  # fmt: skip


def apart_said(trait: str, apart: RefusedApart) -> list[str]:
    """Rows whose prompt the base model refused beside the others; nothing where it refused none."""
    if not apart.refused or apart.refused_mean is None:
        return []
    others = (
        "" if apart.answered_mean is None else f"; of {plural(apart.answered, 'other row')} {apart.answered_mean:+.2f}"
    )
    unknown = f"; {plural(apart.unknown, 'row')} without a baseline response in neither" if apart.unknown else ""
    return [
        f"{trait}: the mean of {plural(apart.refused, 'row')} whose prompt the base model refused or asked back is"
        f" {apart.refused_mean:+.2f}{others}{unknown} (--refused only, --refused without)"
    ]


def _found(one: MeasuredCut | None) -> list[str]:
    if one is None:
        return [""] * 4
    shift, shown = one.shift, one.shown
    ends = (f"{shift.low:+.2f} to {shift.high:+.2f}", f"{shown.low:.1f}-{shown.high:.1f}")
    return [f"{shift.value:+.2f}", ends[0], f"{shown.value:.1f}", ends[1]]


def command(curve: CutCurve, run: str) -> str:
    """The copy without the rows that the suggestion drops; "" where nothing is suggested. `run` is quoted already."""
    if curve.suggested is None:
        return ""
    drop = shlex.quote(curve.expression.format(repr(curve.suggested.threshold)))
    return f"screen filter {run} --drop {drop} -o clean.jsonl"


def _cells(point: CutPoint, curve: CutCurve) -> list[str]:
    mean = "-" if point.mean != point.mean else f"{point.mean:+.2f}"
    share, of_tokens = 100 * point.rows / curve.rows, 100 * point.tokens / max(curve.tokens, 1)
    lost = [f"{point.rows:,}", f"{share:.1f}", f"{point.tokens:,}", f"{of_tokens:.1f}"]
    return [f"{point.threshold:+.2f}", *lost, mean]


def _few(points: tuple[CutPoint, ...], most: int) -> list[CutPoint]:
    """About `most` of the points, the last left out where others are there: it drops everything."""
    kept = points[:-1] or points
    step = max(1, -(-len(kept) // most))
    return list(kept[::step])
