"""The mean of every group with its interval, beside the mean of the whole and of clean rows."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from screen_reports.drawings.axes import Axis, drawable, limits
from screen_reports.drawings.plot import LINE, Frame, Key, Ticks, dot, empty, horizontal, key, stroke
from screen_reports.drawings.svg import (
    CLEAN,
    INK,
    RUN,
    WIDTH,
    drawing,
    element,
    figure,
    label,
    left_out,
    named,
    shortened,
    width_of,
)
from screen_reports.text import count, plural

MOST = 20  # groups of one drawing
_ROW = 24
_NAME = 150  # room of a group's name
_OVERALL, _CLEAN = "mean of the run", "mean of clean rows"


@dataclass(frozen=True, slots=True)
class MeanOfGroup:
    """A group's rows, mean and 95 % interval; None where there are too few rows for one."""

    name: str
    rows: int
    mean: float | None
    low: float | None = None
    high: float | None = None


def group_means(
    title: str, groups: Iterable[MeanOfGroup], *, overall: float | None = None, clean: float | None = None,
    most: int = MOST,
) -> str:  # fmt: skip
    """The `most` groups with the highest means, highest first; how many others there are is said."""
    shown, rest = _highest(groups, most)
    if not shown:
        name, words, parts = empty(title, "No group has a mean.")
        return drawing(LINE, name, [*words, *rest], parts)
    beside = [
        (text, value, colour, dashes)
        for text, value, colour, dashes in ((_OVERALL, overall, INK, "2 3"), (_CLEAN, clean, CLEAN, "7 3"))
        if drawable(value)
    ]
    keys = [Key(dot(RUN), "mean of a group, 95 % interval; rows at the right")]
    keys += [Key(stroke(colour, dashes), f"{text} {figure(value)}") for text, value, colour, dashes in beside]
    parts, top = key(keys)
    inner = _inner(shown, top)
    low, high = limits([x for g in shown for x in (g.mean, g.low, g.high)] + [overall, clean], room=0.03)
    axis = Axis(low, high, inner.left, inner.right)
    parts += horizontal(inner, axis, Ticks.of(low, high, 5), "mean score", lines=True)
    for _, value, colour, dashes in beside:
        line = f"M{axis.at(value):.1f} {inner.top:g}V{inner.bottom:g}"
        parts.append(element("path", d=line, stroke=colour, stroke_width=2, stroke_dasharray=dashes))
    for row, group in enumerate(shown):
        parts += _group(group, axis, top + _ROW * row + _ROW / 2)
    parts += [label(0, inner.below + LINE * (row + 1), sentence) for row, sentence in enumerate(rest)]
    words = [*map(_said, shown), *(f"{text.capitalize()}: {figure(value)}." for text, value, _, _ in beside), *rest]
    return drawing(inner.below + LINE * len(rest) + 8, title, words, parts)


def _highest(groups: Iterable[MeanOfGroup], most: int) -> tuple[list[MeanOfGroup], list[str]]:
    """(the groups with the highest means, sentences on the others)"""
    known, few = [], 0
    for group in groups:
        if drawable(group.mean):
            known.append((group.mean, group))
        else:
            few += 1
    shown = [group for _, group in heapq.nlargest(most, known, key=lambda pair: pair[0])]
    more = len(known) - len(shown)
    lower = left_out(more, "group with a lower mean", "groups with lower means")
    return shown, lower + left_out(few, "group without a mean", "groups without a mean")


def _inner(shown: Sequence[MeanOfGroup], top: float) -> Frame:
    left = min(_NAME, max(width_of(shortened(group.name, _NAME)) for group in shown)) + 12
    right = WIDTH - max(width_of(count(group.rows)) for group in shown) - 10
    bottom = top + _ROW * len(shown)
    return Frame(left, top, right, bottom, bottom + 2 * LINE + 6)


def _group(group: MeanOfGroup, axis: Axis, y: float) -> list[str]:
    assert group.mean is not None
    parts = [label(0, y + 4, shortened(group.name, _NAME)), label(WIDTH, y + 4, count(group.rows), "end")]
    if drawable(group.low) and drawable(group.high):
        low, high = axis.at(group.low), axis.at(group.high)
        ends = f"M{low:.1f} {y:g}H{high:.1f}M{low:.1f} {y - 4:g}v8M{high:.1f} {y - 4:g}v8"
        parts.append(element("path", d=ends, stroke=RUN, stroke_width=2))
    return [*parts, named("circle", _said(group), cx=axis.at(group.mean), cy=y, r=5, fill=RUN)]


def _said(group: MeanOfGroup) -> str:
    between = f" ({figure(group.low)} to {figure(group.high)})" if drawable(group.low) and drawable(group.high) else ""
    return f"{group.name[:200]}: mean {figure(group.mean or 0.0)}{between}, {plural(group.rows, 'row')}."
