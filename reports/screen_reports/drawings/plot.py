"""What drawings with two axes share: the key above, grid lines with their labels, and the names of the axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from screen_reports.drawings.axes import Axis, tick_labels, ticks
from screen_reports.drawings.svg import INK, SIZE, WIDTH, element, label, shortened, width_of

LINE = 20  # from one line of text to the next
_MARK = 26  # width of a mark in the key, with the space behind it

Mark = Callable[[float, float], str]  # drawn at (x, y), the middle of its left side, 18 wide


@dataclass(frozen=True, slots=True)
class Key:
    """A line of the key: how something is drawn, and what it is."""

    mark: Mark
    text: str


def key(keys: Sequence[Key]) -> tuple[list[str], float]:
    """(the lines, how high they are)"""
    parts = []
    for row, one in enumerate(keys):
        middle = LINE * row + LINE / 2
        parts.append(one.mark(0, middle))
        parts.append(label(_MARK, middle + 4, shortened(one.text, WIDTH - _MARK)))
    return parts, LINE * len(keys) + (8 if keys else 0)


@dataclass(frozen=True, slots=True)
class Ticks:
    """Where an axis has its labels."""

    values: Sequence[float]
    labels: Sequence[str]

    @classmethod
    def of(cls, low: float, high: float, most: int, percent: bool = False) -> Ticks:
        values = ticks(low, high, most)
        return cls(values, tick_labels(values, percent))


@dataclass(frozen=True, slots=True)
class Frame:
    """The inner rectangle of a plot. `below`: where the next thing under the plot begins."""

    left: float
    top: float
    right: float
    bottom: float
    below: float


def frame(top: float, high: float, up: Ticks, name: str) -> Frame:
    """A plot `high` units high, the name of its vertical axis on a line above it, under whatever ends at `top`."""
    left = max((width_of(text) for text in up.labels), default=0.0) + 8
    first = top + (LINE if name else 8)
    return Frame(left, first, WIDTH - 10, first + high, first + high + 2 * LINE + 6)


def vertical(frame: Frame, axis: Axis, marks: Ticks, name: str) -> list[str]:
    """Grid lines, their labels, and the axis' name above them."""
    parts = [label(0, frame.top - LINE + 11, shortened(name, WIDTH))] if name else []
    for value, text in zip(marks.values, marks.labels, strict=True):
        y = axis.at(value)
        parts.append(element("path", d=f"M{frame.left:g} {y:.1f}H{frame.right:g}", stroke=INK, stroke_opacity=0.2))
        parts.append(label(frame.left - 6, y + 4, text, "end"))
    return parts


def horizontal(frame: Frame, axis: Axis, marks: Ticks, name: str, lines: bool = False) -> list[str]:
    """Labels below the plot where they have room, ticks or lines at each value, and the axis' name under them."""
    parts, taken = [], -1e9
    for value, text in zip(marks.values, marks.labels, strict=True):
        x, half = axis.at(value), width_of(text) / 2
        middle = min(max(x, half), WIDTH - half)
        if middle - half < taken:
            continue
        taken = middle + half + 6
        rise = f"V{frame.top:g}" if lines else "v5"
        parts.append(
            element("path", d=f"M{x:.1f} {frame.bottom:g}{rise}", stroke=INK, stroke_opacity=0.2 if lines else 1)
        )
        parts.append(label(middle, frame.bottom + 6 + SIZE, text, "middle"))
    parts.append(label((frame.left + frame.right) / 2, frame.bottom + 2 * LINE + 1, name, "middle"))
    return parts


def bar(colour: str, opacity: float = 0.55) -> Mark:
    return lambda x, y: element("rect", x=x, y=y - 6, width=18, height=12, fill=colour, fill_opacity=opacity)


def stroke(colour: str, dashes: str = "", thick: float = 2) -> Mark:
    return lambda x, y: element(
        "path", d=f"M{x:g} {y:g}h18", stroke=colour, stroke_width=thick, stroke_dasharray=dashes or "none"
    )


def dot(colour: str, radius: float = 4) -> Mark:
    return lambda x, y: element("circle", cx=x + 9, cy=y, r=radius, fill=colour)


def diamond(colour: str) -> Mark:
    """An outline that leaves what is under it to be seen."""
    return lambda x, y: element(
        "path", d=f"M{x + 9:g} {y - 7:g}l7 7l-7 7l-7 -7z", fill="none", stroke=colour, stroke_width=2
    )


def empty(title: str, why: str) -> tuple[str, list[str], list[str]]:
    """Title, words and parts of a drawing that has nothing to show, and says why."""
    return title, [why], [label(0, SIZE + 3, shortened(why, WIDTH))]
