"""A distribution in a line of text, for terminals: blocks, or ASCII where a terminal has no more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from screen_reports.drawings.axes import LARGEST, limits
from screen_reports.drawings.svg import figure

BLOCKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
ASCII = ".:-=+*#%"


def sparkline(counts: Sequence[float], levels: str = BLOCKS) -> str:
    """A character a count: a space for none, and the lowest level for any, so that single rows are seen."""
    top = max((count for count in counts if count == count), default=0)
    return "".join(_level(count / top, levels) if top > 0 else " " for count in counts)


def _level(part: float, levels: str) -> str:
    return levels[min(int(part * len(levels)), len(levels) - 1)] if part > 0 else " "


def distribution(values: npt.NDArray[np.floating], cut: float | None, width: int, plain: bool = False) -> str:
    """ "-9.30 ▁▃█▅▂│▁ ▁ +37.8": (n,) scores in `width` bins from the lowest to the highest, a bar where the cut is.

    "" where no score is finite. `plain`: ASCII alone.
    """
    known = values.astype(np.float64)
    known = known[np.abs(known) < LARGEST]
    if not len(known):
        return ""
    low, high = limits((float(known.min()), float(known.max())))
    counts, edges = np.histogram(known, np.linspace(low, high, width + 1))
    line = sparkline(counts.tolist(), ASCII if plain else BLOCKS)
    if cut is not None and low <= cut <= high:
        at = int(np.searchsorted(edges, cut))
        line = line[:at] + ("|" if plain else "\u2502") + line[at:]
    return f"{figure(float(known.min()))} {line} {figure(float(known.max()))}"
