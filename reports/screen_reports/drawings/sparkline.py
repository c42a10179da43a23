"""A distribution in a line of text, of block characters. Knows nothing of terminals."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"


def sparkline(counts: Sequence[float]) -> str:
    """A character a count: a space for none, and the lowest block for any, so that single rows are seen."""
    top = max((count for count in counts if count == count), default=0)
    if top <= 0:
        return " " * len(counts)
    return "".join(_block(count / top) for count in counts)


def _block(part: float) -> str:
    if not part > 0:
        return " "
    return BLOCKS[min(int(part * len(BLOCKS)), len(BLOCKS) - 1)]
