"""How good estimates of baselines are: every estimate against the exact value of the same prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from screen_reports.drawings.axes import Axis, drawable, limits
from screen_reports.drawings.plot import LINE, Key, Ticks, dot, empty, frame, horizontal, key, stroke, vertical
from screen_reports.drawings.svg import INK, RUN, drawing, element, figure, left_out
from screen_reports.text import plural

MOST = 500  # points of one drawing, evenly spaced over all
_HIGH = 260


def calibration(title: str, exact: Sequence[float], estimates: Sequence[float], most: int = MOST) -> str:
    """`exact` and `estimates`, (n,) each, of the same prompts. Raises ValueError where their numbers differ."""
    pairs = [(x, y) for x, y in zip(exact, estimates, strict=True) if drawable(x) and drawable(y)]
    rest = left_out(len(exact) - len(pairs), "pair that is not finite", "pairs that are not finite")
    if not pairs:
        name, words, parts = empty(title, "No prompt has both an estimate and an exact value.")
        return drawing(LINE, name, [*words, *rest], parts)
    shown = [pairs[at] for at in np.unique(np.linspace(0, len(pairs) - 1, min(most, len(pairs))).round().astype(int))]
    low, high = limits([value for pair in pairs for value in pair], room=0.03)
    marks = Ticks.of(low, high, 6)
    keys = [
        Key(dot(RUN), _prompts(len(pairs), len(shown))),
        Key(stroke(INK, "5 4", 1.5), "where estimate and exact value are equal"),
    ]
    parts, top = key(keys)
    inner = frame(top, _HIGH, marks, "estimate")
    across, up = Axis(low, high, inner.left, inner.right), Axis(low, high, inner.bottom, inner.top)
    parts += vertical(inner, up, marks, "estimate")
    parts += horizontal(inner, across, marks, "exact", lines=True)
    equal = f"M{inner.left:g} {inner.bottom:g}L{inner.right:g} {inner.top:g}"
    parts.append(element("path", d=equal, stroke=INK, stroke_width=1.5, stroke_dasharray="5 4"))
    points = "".join(f"M{across.at(x):.1f} {up.at(y):.1f}h0" for x, y in shown)
    parts.append(element("path", d=points, stroke=RUN, stroke_width=5, stroke_linecap="round", stroke_opacity=0.6))
    return drawing(inner.below, title, [*_quality(pairs), *rest], parts)


def _prompts(known: int, shown: int) -> str:
    return plural(known, "prompt") if shown == known else f"{shown:,} of {plural(known, 'prompt')}, evenly chosen"


def _quality(pairs: Sequence[tuple[float, float]]) -> list[str]:
    """Correlation and typical error of all pairs, in words."""
    x, y = np.array(pairs, dtype=np.float64).T
    scale = float(max(np.abs(x).max(), np.abs(y).max())) or 1.0
    error = scale * float(np.sqrt(np.mean(((y - x) / scale) ** 2)))
    words = [
        f"{plural(len(pairs), 'prompt')}; estimates are off by {figure(error).removeprefix('+')} (root mean square)."
    ]
    spread = np.std(x / scale), np.std(y / scale)
    if min(spread) > 1e-9:
        words.append(f"Correlation {np.corrcoef(x / scale, y / scale)[0, 1]:.2f}.")
    return words
