"""A run's scores against clean rows': overlaid histograms, each of shares of its own rows, with the cut drawn in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from screen_reports.drawings.axes import Axis, drawable, limits
from screen_reports.drawings.bins import Bins
from screen_reports.drawings.plot import LINE, Key, Ticks, bar, empty, frame, horizontal, key, stroke, vertical
from screen_reports.drawings.svg import CLEAN, INK, RUN, drawing, element, figure, left_out, named
from screen_reports.text import plural, share

_HIGH = 180
_LEAST = 1.5  # units: a bar of few rows is seen, since these are the rows that are looked for
_UNSEEN = ("score that is not finite", "scores that are not finite")
_RAIL = ("p01", "p05", "p25", "p50", "p75", "p95", "p99")  # quantiles that a rail shows


def histogram(
    title: str, run: Bins, clean: Bins | None = None, *, quantiles: Mapping[str, float] | None = None,
    cut: float | None = None, above: int | None = None, clean_name: str = "clean rows",
) -> str:  # fmt: skip
    """Shares of rows by score. Rows of the run are filled, clean rows a line; `quantiles` of clean rows ("p50": score)
    are marked on a rail where nothing else is known of them. `above`: scores above `cut`.

    Raises ValueError for clean bins with other edges than the run's: shares would not compare.
    """
    if clean is not None and tuple(clean.edges) != tuple(run.edges):
        raise ValueError("both histograms need the same edges")
    if not run.total:
        name, words, parts = empty(title, "No row has a score that can be drawn.")
        return drawing(LINE, name, [*words, *left_out(run.unseen, *_UNSEEN)], parts)
    rail = {name: quantiles[name] for name in _RAIL if quantiles and drawable(quantiles.get(name))}
    seen = _Seen(run, clean, rail, cut if drawable(cut) else None, above, clean_name)
    tallest = max(max(_shares(bins), default=0.0) for bins in (run, clean or run)) or 1.0
    up = Ticks.of(0.0, tallest, 4, percent=True)
    parts, top = key(seen.keys())
    inner = frame(top, _HIGH, up, "share of rows")
    across = Axis(*seen.domain(), inner.left, inner.right)
    height = Axis(0.0, tallest, inner.bottom, inner.top)
    parts += vertical(inner, height, up, "share of rows") + _bars(run, across, height, cut)
    parts += _outline(clean, across, height) if clean is not None else []
    if cut is not None and seen.near(cut):
        line = f"M{across.at(cut):.1f} {inner.top:g}V{inner.bottom:g}"
        parts.append(element("path", d=line, stroke=INK, stroke_width=2))
    if rail:
        parts += _rail(rail, across, inner.bottom + 10)
        inner = replace(inner, bottom=inner.bottom + 18, below=inner.below + 18)
    parts += horizontal(inner, across, Ticks.of(across.low, across.high, 7), "score")
    return drawing(inner.below, title, seen.words(), parts)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one histogram shows, in words: its key and its description."""

    run: Bins
    clean: Bins | None
    rail: Mapping[str, float]
    cut: float | None
    above: int | None
    clean_name: str

    def near(self, value: float) -> bool:
        """Whether a mark is drawn: one far from all scores would leave them no room."""
        low, high = self.run.edges[0], self.run.edges[-1]
        return low - (high - low) <= value <= high + (high - low)

    def domain(self) -> tuple[float, float]:
        marks = [*self.rail.values(), *([] if self.cut is None else [self.cut])]
        return limits([self.run.edges[0], self.run.edges[-1], *filter(self.near, marks)])

    def keys(self) -> list[Key]:
        keys = [Key(bar(RUN), f"this run, {plural(self.run.total, 'score')}")]
        if self.clean is not None:
            keys.append(Key(stroke(CLEAN), f"{self.clean_name}, {plural(self.clean.total, 'score')}"))
        if self.rail:
            keys.append(Key(stroke(CLEAN, thick=6), f"{self.clean_name}: {', '.join(self.rail)}"))
        if self.cut is not None:
            keys.append(Key(stroke(INK), self._cut(self.cut)))
        if self.run.below or self.run.above:
            keys.append(Key(lambda x, y: "", self._beyond()))
        return keys

    def _cut(self, cut: float) -> str:
        above = self.above
        many = "" if above is None else f": {plural(above, 'score')} above it, {share(above, self.run.total)}"
        return f"cut at {figure(cut)}{many}{'' if self.near(cut) else ' (outside this drawing)'}"

    def _beyond(self) -> str:
        run = self.run
        sides = [(run.below, "below", run.edges[0]), (run.above, "above", run.edges[-1])]
        return "not drawn: " + ", ".join(f"{plural(n, 'score')} {side} {figure(at)}" for n, side, at in sides if n)

    def words(self) -> list[str]:
        words = []
        if self.run.counted:
            words.append(f"{plural(sum(self.run.counts), 'score')} from {' to '.join(map(figure, self.run.reach()))}.")
            words.append(f"The highest bar: {self.run.highest()}.")
        if self.clean is not None and self.clean.counted:
            words.append(f"Of {self.clean_name}: {self.clean.highest()}.")
        if self.rail:
            words.append(f"Of {self.clean_name}: {', '.join(f'{n} {figure(v)}' for n, v in self.rail.items())}.")
        if self.cut is not None:
            words.append(_sentence(self._cut(self.cut)))
        if self.run.below or self.run.above:
            words.append(_sentence(self._beyond()))
        return words + left_out(self.run.unseen, *_UNSEEN)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _shares(bins: Bins) -> list[float]:
    return [count / bins.total for count in bins.counts] if bins.total else []


def _bars(run: Bins, across: Axis, height: Axis, cut: float | None) -> list[str]:
    """A bar a bin; those that lie above the cut are darker."""
    parts = []
    for at, (count, part) in enumerate(zip(run.counts, _shares(run), strict=True)):
        if not count:
            continue
        left, right = across.at(run.edges[at]), across.at(run.edges[at + 1])
        top = min(height.at(part), height.start - _LEAST)
        wide = max(right - left - (0.5 if right - left > 2 else 0), 0.3)
        dark = 1.0 if cut is not None and run.edges[at] >= cut else 0.5
        size = {"x": left, "y": top, "width": wide, "height": height.start - top}
        parts.append(named("rect", run.said(at), fill=RUN, fill_opacity=dark, **size))
    return parts


def _outline(clean: Bins, across: Axis, height: Axis) -> list[str]:
    steps = [f"M{across.at(clean.edges[0]):.1f} {height.start:g}"]
    for high, part in zip(clean.edges[1:], _shares(clean), strict=False):
        steps.append(f"V{height.at(part):.1f}H{across.at(high):.1f}")
    steps.append(f"V{height.start:g}")
    return [element("path", d="".join(steps), fill="none", stroke=CLEAN, stroke_width=2)]


def _rail(rail: Mapping[str, float], across: Axis, y: float) -> list[str]:
    """The quantiles of clean rows under the bars: a line, thick in the middle half, with a tick at each."""

    def line(low: float, high: float, thick: float) -> str:
        return element("path", d=f"M{across.at(low):.1f} {y:g}H{across.at(high):.1f}", stroke=CLEAN, stroke_width=thick)

    parts = [line(min(rail.values()), max(rail.values()), 2)]
    if "p25" in rail and "p75" in rail:
        parts.append(line(rail["p25"], rail["p75"], 6))
    for name, value in rail.items():
        tall = 8 if name == "p50" else 5
        tick = f"M{across.at(value):.1f} {y - tall:g}v{2 * tall}"
        parts.append(named("path", f"{name} of clean rows: {figure(value)}", d=tick, stroke=CLEAN, stroke_width=2))
    return parts
