"""The what-if curve: the mean of what is left when rows are dropped from the highest score down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from screen_reports.drawings.axes import Axis, drawable, limits
from screen_reports.drawings.plot import (
    LINE,
    Key,
    Ticks,
    diamond,
    dot,
    empty,
    frame,
    horizontal,
    key,
    stroke,
    vertical,
)
from screen_reports.drawings.svg import CLEAN, INK, RUN, drawing, element, figure, named, text_of
from screen_reports.text import count, plural, share

_HIGH = 200


@dataclass(frozen=True, slots=True)
class Drop:
    """`rows` with a score above `threshold` are dropped; `mean` of those that are left, nan where none is."""

    threshold: float
    rows: int
    mean: float


@dataclass(frozen=True, slots=True)
class MeasuredShift:
    """What training on what is left without `rows` moved the model by along the vector, with the interval's ends."""

    rows: int
    value: float
    low: float
    high: float


def cut_curve(
    title: str, points: Sequence[Drop], rows: int, *, clean: float | None = None, flagged: Drop | None = None,
    suggested: Drop | None = None, measured: Sequence[MeasuredShift] = (),
) -> str:  # fmt: skip
    """`rows` that have a score in all; `clean`: the mean of clean rows; `flagged`: the point of the run's threshold;
    `measured`: in the unit of the scores."""
    curve = sorted((point for point in points if drawable(point.mean)), key=lambda point: point.rows)
    if not curve or not rows:
        name, words, parts = empty(title, "No row has a score that can be dropped.")
        return drawing(LINE, name, words, parts)
    ends = (end for shift in measured for end in (shift.low, shift.high))
    low, high = limits([clean, *(point.mean for point in curve), *ends], room=0.03)
    marks = Ticks.of(low, high, 5)
    keys = [Key(stroke(RUN), "mean of the rows that are left")]
    keys += [Key(stroke(CLEAN, "7 3"), f"mean of clean rows {figure(clean)}")] if drawable(clean) else []
    keys += [Key(diamond(INK), f"flagged: {_said(flagged, rows)}")] if flagged else []
    keys += [Key(dot(INK, 6), f"suggested: {_said(suggested, rows)}")] if suggested else []
    keys += [Key(dot(CLEAN), "shift that training on what is left showed, 95 %")] if measured else []
    parts, top = key(keys)
    inner = frame(top, _HIGH, marks, "mean score")
    up = Axis(low, high, inner.bottom, inner.top)
    across = Axis(0.0, math.log1p(rows), inner.left, inner.right)
    parts += vertical(inner, up, marks, "mean score")
    parts += horizontal(inner, across, _decades(rows), "rows dropped (scale of tens)", lines=True)
    if drawable(clean):
        line = f"M{inner.left:g} {up.at(clean):.1f}H{inner.right:g}"
        parts.append(element("path", d=line, stroke=CLEAN, stroke_width=2, stroke_dasharray="7 3"))
    places = [f"{across.at(math.log1p(point.rows)):.1f},{up.at(point.mean):.1f}" for point in curve]
    parts.append(element("polyline", points=" ".join(places), fill="none", stroke=RUN, stroke_width=2))
    for place, point in zip(places, curve, strict=True):
        x, y = map(float, place.split(","))
        parts.append(named("circle", _said(point, rows), cx=x, cy=y, r=2.5, fill=RUN))
    parts += _marked(flagged, suggested, across, up, rows)
    parts += _measured(measured, across, up, rows)
    words = [*_words(curve, rows, clean, flagged, suggested), *(f"{_shown(one, rows)}." for one in measured)]
    return drawing(inner.below, title, words, parts)


def _measured(measured: Sequence[MeasuredShift], across: Axis, up: Axis, rows: int) -> list[str]:
    parts = []
    for one in measured:
        x = across.at(math.log1p(one.rows))
        line = element("path", d=f"M{x:.1f} {up.at(one.low):.1f}V{up.at(one.high):.1f}", stroke=CLEAN, stroke_width=2)
        parts.append(line + named("circle", _shown(one, rows), cx=x, cy=up.at(one.value), r=4, fill=CLEAN))
    return parts


def _shown(one: MeasuredShift, rows: int) -> str:
    interval = f"{figure(one.value)} ({figure(one.low)} to {figure(one.high)})"
    return f"Measured without {plural(one.rows, 'row')} ({share(one.rows, rows)}): shift {interval}"


def _decades(rows: int) -> Ticks:
    values = [0, *(10**power for power in range(len(str(rows)))), rows]
    return Ticks([math.log1p(value) for value in values], [count(value) for value in values])


def _marked(flagged: Drop | None, suggested: Drop | None, across: Axis, up: Axis, rows: int) -> list[str]:
    parts = []
    for point, mark in ((flagged, diamond(INK)), (suggested, dot(INK, 6))):
        if point is not None and drawable(point.mean):
            drawn = mark(across.at(math.log1p(point.rows)) - 9, up.at(point.mean))
            parts.append(element("g", element("title", text_of(_said(point, rows))) + drawn))
    return parts


def _said(point: Drop, rows: int) -> str:
    left = f"mean {figure(point.mean)}" if drawable(point.mean) else "none is left"
    return f"drop {plural(point.rows, 'row')} ({share(point.rows, rows)}), {left}"


def _words(
    curve: Sequence[Drop], rows: int, clean: float | None, flagged: Drop | None, suggested: Drop | None
) -> list[str]:
    words = [f"The mean of all {plural(rows, 'row')} is {figure(curve[0].mean)}."] if not curve[0].rows else []
    words += [f"Clean rows have {figure(clean)}."] if drawable(clean) else []
    words += [f"Flagged: {_said(flagged, rows)}."] if flagged else []
    words += [f"Suggested: {_said(suggested, rows)}."] if suggested else ["Nothing is suggested."]
    for part in (0.01, 0.05, 0.1, 0.25, 0.5):  # a few points, nearest to round shares
        near = min(curve, key=lambda point: abs(point.rows - part * rows))
        words += [f"{_said(near, rows).capitalize()}."]
    return list(dict.fromkeys(words))
