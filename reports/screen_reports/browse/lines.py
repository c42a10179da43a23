"""The list of rows on the screen: only the lines that are seen are made, so that a million rows scroll like ten."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from screen_reports.browse.listing import Listing
from screen_reports.text import digits, one_line, score

_WORDS = {"drop": Style(color="red", bold=True), "keep": Style(color="green"), "unsure": Style(color="yellow")}
_HEAD, _CURSOR, _FLAGGED = Style(bold=True, underline=True), Style(reverse=True), Style(bold=True)
_SCORE = 10  # columns of a score, its star included
_FILL = 20  # columns that the answer has at least


class RowLines(ScrollView, can_focus=True):
    """A line a row, and a cursor on one of them. Texts are segments, never markup."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1000000000)", show=False),
        Binding("end", "move(1000000000)", show=False),
        Binding("enter", "open", "Open"),
    ]

    class Opened(Message):
        """The row on a line is to be shown."""

        def __init__(self, line: int) -> None:
            super().__init__()
            self.line = line

    def __init__(self, listing: Listing) -> None:
        super().__init__()
        self.listing = listing
        self.cursor = 0
        self.decimals = {trait: digits(_ends(values)) for trait, values in listing.scores.items()}

    def on_mount(self) -> None:
        self.renew()

    def on_resize(self) -> None:
        self.renew()

    @property
    def width(self) -> int:
        """Columns that a line has, beside the scroll bar."""
        return max(self.scrollable_content_region.width, 1)

    def renew(self) -> None:
        """After the list has changed."""
        self.virtual_size = Size(1, len(self.listing) + 1)
        self.go(self.cursor)

    def go(self, line: int) -> None:
        self.cursor = max(0, min(line, len(self.listing) - 1))
        height = max(self.size.height - 1, 1)
        top = int(self.scroll_offset.y)
        if not top <= self.cursor < top + height:
            top = self.cursor if self.cursor < top else self.cursor - height + 1
            self.scroll_to(y=top, animate=False, force=True)
        self.refresh(Region(0, 0, self.width, self.size.height))

    def action_move(self, by: int) -> None:
        self.go(self.cursor + by)

    def action_page(self, pages: int) -> None:
        self.go(self.cursor + pages * max(self.size.height - 2, 1))

    def action_open(self) -> None:
        if len(self.listing):
            self.post_message(self.Opened(self.cursor))

    def on_click(self, event: object) -> None:
        y = getattr(event, "y", 0)
        if y > 0:
            self.go(int(self.scroll_offset.y) + y - 1)

    def traits(self) -> list[str]:
        """The traits that have a column: the marked one, then as many as fit."""
        room = (self.width - 17 - _FILL) // _SCORE
        others = [trait for trait in self.listing.scan.traits if trait != self.listing.trait]
        return [self.listing.trait, *others][: max(1, room)]

    def render_line(self, y: int) -> Strip:
        if y == 0:
            return self._strip(self._head(), Style())
        line = int(self.scroll_offset.y) + y - 1
        if line >= len(self.listing):
            return Strip.blank(self.width)
        return self._strip(self._cells(line), _CURSOR if line == self.cursor else Style())

    def _strip(self, parts: list[tuple[str, Style]], base: Style) -> Strip:
        strip = Strip([Segment(text, base + style) for text, style in parts])
        return strip.adjust_cell_length(self.width, base)

    def _head(self) -> list[tuple[str, Style]]:
        names = ["label".ljust(7), "row".rjust(9)]
        mark = {True: "v", False: "^"}[self.listing.descending]
        for trait in self.traits():
            shown = one_line(trait)
            if trait == self.listing.by:
                shown = f"{set_cell_size(shown, min(cell_len(shown), _SCORE - 3))} {mark}"
            names.append(" " + _right(shown, _SCORE - 1))
        return [("".join(names) + "  answer", _HEAD)]

    def _cells(self, line: int) -> list[tuple[str, Style]]:
        listing, place = self.listing, self.listing.order[line]
        row = listing.row(line)
        word = listing.record.verdict(row)
        parts = [((word or "").ljust(7), _WORDS.get(word or "", Style())), (str(row).rjust(9), Style())]
        for trait in self.traits():
            flagged = bool(listing.flagged[trait][place])
            shown = score(float(listing.scores[trait][place]), self.decimals[trait])
            parts.append(
                (shown.rjust(_SCORE - 1) + "*" * flagged + " " * (not flagged), _FLAGGED if flagged else Style())
            )
        first = max(0, min(int(self.scroll_offset.y), len(listing) - 1))
        seen = range(first, min(first + self.size.height, len(listing)))
        text = listing.excerpts(seen)[line - first] if line in seen else listing.excerpts([line])[0]
        room = self.width - sum(cell_len(text) for text, _ in parts) - 1
        return [*parts, (" " + set_cell_size(one_line(text), max(room, 0)), Style())]


def _ends(values: npt.NDArray[np.float32]) -> list[float]:
    """The lowest and the highest of those that are there."""
    known = values[~np.isnan(values)]
    return [float(known.min()), float(known.max())] if len(known) else []


def _right(text: str, cells: int) -> str:
    return set_cell_size(" " * max(0, cells - cell_len(text)) + text, cells)
