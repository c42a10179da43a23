"""Texts cut to a length, their windows kept and marked: what a row opens to.

A text is a list of pieces: a string; a number, so many characters left out; or [string, [[trait, rank], ...]], which
lies in a window of these traits (numbers from 0; rank 0 is a trait's highest).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

Piece = str | int | list[Any]
Known = Mapping[int, str]  # first character -> what is known of the text from there on
Windows = Sequence[Sequence[tuple[int, int]]]  # trait -> its windows, the highest first


def beginning(text: str | None, length: int | None, most: int) -> list[Piece] | None:
    """The first `most` characters of a text of `length`, of which `text` is the beginning."""
    if text is None or length is None:
        return None
    shown = text if length <= most else text[: min(most, len(text))]
    return [shown, length - len(shown)] if length > len(shown) else [shown]


def marked(known: Known, length: int, windows: Windows, most: int) -> list[Piece]:
    """A text of `length` characters with its windows marked, of some `most` characters: its beginning, and what lies
    around each trait's highest window."""
    pieces: list[Piece] = []
    at = 0
    for start, text in _shown(known, length, windows, most):
        if start > at:
            pieces.append(start - at)
        pieces += _cut_at(start, text, windows)
        at = start + len(text)
    return [*pieces, length - at] if length > at else pieces


def _shown(known: Known, length: int, windows: Windows, most: int) -> list[tuple[int, str]]:
    """(first character, text) of what is shown, in order, none touching another."""
    whole = _joined(known)
    if length <= most:
        return whole
    around = max(most // (2 * max(len(windows), 1)), 40)
    wanted = [(0, max(most // 4, 80))]
    for spans in windows:
        wanted += [(max(start - around // 2, 0), min(end, start + around) + around // 2) for start, end in spans[:1]]
    merged: list[list[int]] = []
    for start, end in sorted(wanted):
        if merged and start <= merged[-1][1] + 20:  # a gap of a few characters is no gap worth a note
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return [
        (max(at, start), text[max(start - at, 0) : end - at])
        for at, text in whole
        for start, end in merged
        if start < at + len(text) and end > at
    ]


def _joined(known: Known) -> list[tuple[int, str]]:
    """Parts that overlap or touch, as one."""
    joined: list[tuple[int, str]] = []
    for at in sorted(known):
        text = known[at]
        if joined and at <= joined[-1][0] + len(joined[-1][1]):
            first, before = joined[-1]
            joined[-1] = (first, before + text[max(first + len(before) - at, 0) :])
        elif text:
            joined.append((at, text))
    return joined


def _cut_at(start: int, text: str, windows: Windows) -> list[Piece]:
    """The text in pieces that lie in a window or do not."""
    end = start + len(text)
    inside = [(trait, rank, *span) for trait, spans in enumerate(windows) for rank, span in enumerate(spans)]
    edges = sorted({start, end} | {edge for *_, low, high in inside for edge in (low, high) if start < edge < end})
    pieces: list[Piece] = []
    for low, high in pairwise(edges):
        marks = [[trait, rank] for trait, rank, first, last in inside if first <= low and high <= last]
        part = text[low - start : high - start]
        pieces.append([part, marks] if marks else part)
    return pieces
