"""Drawings of the page: points with intervals over two axes, and lines through points. SVG text from figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from screen_reports.drawings.axes import Axis, limits
from screen_reports.drawings.plot import Key, Ticks, dot, frame, horizontal, key, vertical
from screen_reports.drawings.svg import drawing, element, named

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#8c6d00", "#5b3a8c", "#777777")
_HIGH: Final = 240


@dataclass(frozen=True, slots=True)
class PlotPoint:
    """(x, y) with the ends of y's interval; `kind`: of which key; `name`: told when it is pointed at."""

    x: float
    y: float
    low: float
    high: float
    kind: str
    name: str


def scatter(title: str, points: Sequence[PlotPoint], across: str, up: str, joined: bool = False) -> str:
    """A file of its own: every point with its interval, a colour a kind; `joined`: by a line, in their order."""
    kinds = list(dict.fromkeys(p.kind for p in points))
    colour = {kind: COLOURS[number % len(COLOURS)] for number, kind in enumerate(kinds)}
    parts, top = key([Key(dot(colour[kind]), kind) for kind in kinds])
    low, high = limits([v for p in points for v in (p.low, p.high)], room=0.04)
    left, right = limits([p.x for p in points], room=0.04)
    marks, below = Ticks.of(low, high, 6), Ticks.of(left, right, 6)
    inner = frame(top, _HIGH, marks, up)
    xs, ys = Axis(left, right, inner.left, inner.right), Axis(low, high, inner.bottom, inner.top)
    parts += vertical(inner, ys, marks, up)
    parts += horizontal(inner, xs, below, across, lines=True)
    for kind in kinds if joined else ():
        line = "L".join(f"{xs.at(p.x):.1f} {ys.at(p.y):.1f}" for p in points if p.kind == kind)
        parts.append(element("path", d=f"M{line}", stroke=colour[kind], stroke_width=1.5, fill="none"))
    for p in points:
        x = xs.at(p.x)
        bar = f"M{x:.1f} {ys.at(p.low):.1f}V{ys.at(p.high):.1f}"
        parts.append(element("path", d=bar, stroke=colour[p.kind], stroke_width=1.5, stroke_opacity=0.6))
        said = f"{p.name}: {p.x:.2f}, {p.y:.2f} ({p.low:.2f} to {p.high:.2f})"
        parts.append(named("circle", said, cx=x, cy=ys.at(p.y), r=4, fill=colour[p.kind]))
    svg = drawing(inner.below, title, [f"{len(points)} points, with 95 % intervals."], parts)
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" style="background:#fff;color:#222" ', 1)


def point(x: float, y: Mapping[str, float], kind: str, name: str) -> PlotPoint:
    return PlotPoint(x, y["value"], y["low"], y["high"], kind, name)
