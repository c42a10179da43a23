"""The terminal that reports print on: width-aware, colour only where wanted, every text taken as data.

Knows nothing of runs. Texts come in as rich `Text`, never as markup: a sample may hold what looks like some.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import IO, Literal, NoReturn

from rich.console import Console
from rich.text import Text

from screen_reports.notes import LABEL, hanging
from screen_reports.text import one_line, visible

Align = Literal["left", "right", "fill"]
Head = tuple[str, Align]
MARK = "black on yellow"
_GAP = 2
_FILL = 12  # columns that a text has at least


def in_terminal(file: IO[str]) -> bool:
    """Whether a person reads it, and not a program or a file."""
    return file.isatty()


class Terminal(Console):
    """A rich console that leaves a closed pipe to its caller.

    `cutting`: texts are cut to the line; only in a terminal, since what goes into a pipe is read by a program.
    `narrow`: the line's width is known, so that a table may not be wider.
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        self.cutting = in_terminal(file or sys.stdout)
        self.narrow = self.cutting or "COLUMNS" in os.environ
        width = None if self.narrow else 80
        super().__init__(file=file, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError

    @property
    def plain(self) -> bool:
        """True where only ASCII can be printed."""
        return self.options.ascii_only

    @property
    def coloured(self) -> bool:
        return self.color_system is not None and not self.no_color

    def marked(self, pieces: Iterable[tuple[str, bool]]) -> Text:
        """Text with some pieces marked: by colour, or by brackets where there is none."""
        before, after = ("", "") if self.coloured else ("[[", "]]") if self.plain else ("\u27e6", "\u27e7")
        line = Text()
        for text, marked in pieces:
            shown = visible(text)
            line.append(f"{before}{shown}{after}" if marked else shown, style=MARK if marked and self.coloured else "")
        return line

    def block(self, text: str | Text, style: str = "") -> None:
        """A text of many lines, indented and wrapped."""
        body = Text(visible(text), style=style) if isinstance(text, str) else text
        body.expand_tabs(4)
        for line in body.wrap(self, max(self.width - 2, 20)):
            line.rstrip()
            self.print(Text.assemble("  ", line) if line else Text(), soft_wrap=True)

    def cut(self, text: str, cells: int) -> str:
        """`text` on one line, in a terminal of at most `cells` columns."""
        if not self.cutting:
            return one_line(text)
        shown = Text(one_line(text[: 8 * cells]))
        if self.plain and shown.cell_len > cells > 3:
            shown.truncate(cells - 3)
            return f"{shown.plain}..."
        shown.truncate(cells, overflow="ellipsis")
        return shown.plain

    def put(self, text: str = "", style: str = "") -> None:
        """One paragraph, folded between words; a path that is longer than the line stays whole."""
        width = max(self.width, 40)
        folded = textwrap.wrap(one_line(text), width, break_long_words=False, break_on_hyphens=False)
        self.print(Text("\n".join(folded), style=style), soft_wrap=True)

    def fact(self, label: str, text: str) -> None:
        """A labelled paragraph, folded so that its later lines stand under the first."""
        lines = hanging(label, one_line(text), self.width)
        body = Text("\n".join(lines))
        body.stylize("yellow" if label == "warning" else "bold", 0, LABEL)
        self.print(body, soft_wrap=True)

    def table(self, heads: Sequence[Head], rows: Sequence[Sequence[str | Text]], shown: bool = True) -> None:
        """Columns as wide as they need to be; a column "fill" gets what is left of the line, its cells cut to it.

        Where the line is too short, heads take two lines, then columns stand closer, then each row becomes a block.
        """
        cells = [[cell if isinstance(cell, Text) else Text(one_line(cell)) for cell in row] for row in rows]
        names = [head for head, _ in heads] if shown else [""] * len(heads)
        aligns = [align for _, align in heads]
        for split, gap in ((False, _GAP), (True, _GAP), (True, 1)):
            titles = [_two_lines(name) if split else ("", name) for name in names]
            widths = _widths(titles, cells)
            taken = sum(w + gap for w, align in zip(widths, aligns, strict=True) if align != "fill")
            least = taken + _FILL if "fill" in aligns else taken - gap
            if least <= self.width or not self.narrow:
                break
        else:
            self._blocks(names, cells)
            return
        for line in zip(*titles, strict=True) if shown else ():
            if any(line):
                self._row([Text(title, style="bold") for title in line], aligns, widths, gap)
        for row in cells:
            self._row(row, aligns, widths, gap)

    def _row(self, row: Sequence[Text], aligns: Sequence[Align], widths: Sequence[int], gap: int) -> None:
        taken = sum(w + gap for w, align in zip(widths, aligns, strict=True) if align != "fill")
        line = Text()
        for cell, align, width in zip(row, aligns, widths, strict=True):
            if align == "fill":
                line.append(self.cut(cell.plain, max(self.width - taken, _FILL)), style=cell.style)
            else:
                pad = " " * (width - cell.cell_len)
                line.append_text(Text.assemble(pad, cell) if align == "right" else Text.assemble(cell, pad))
            line.append(" " * gap)
        line.rstrip()
        self.print(line, no_wrap=True, overflow="ignore", crop=False)

    def _blocks(self, names: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
        """A row in several lines, its first cell over the others."""
        label = max((len(name) for name in names[1:]), default=0)
        for row in rows:
            self.print(Text.assemble(row[0], style="bold"), soft_wrap=True)
            for name, cell in zip(names[1:], row[1:], strict=True):
                room = max(self.width - label - 2 * _GAP, _FILL)
                shown = Text(self.cut(cell.plain, room), style=cell.style)
                self.print(Text.assemble(" " * _GAP, name.ljust(label), " " * _GAP, shown), soft_wrap=True)


def _two_lines(head: str) -> tuple[str, str]:
    """A head cut at the space that leaves the longer part shortest."""
    words = head.split(" ")
    cuts = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(len(words))]
    return min(cuts, key=lambda cut: max(map(len, cut)))


def _widths(titles: Sequence[tuple[str, str]], rows: Sequence[Sequence[Text]]) -> list[int]:
    return [
        max(*(Text(part).cell_len for part in title), max((row[at].cell_len for row in rows), default=0))
        for at, title in enumerate(titles)
    ]
