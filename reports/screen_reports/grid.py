"""Any table for people: columns shared out over the line's width, and a row a block where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from screen_reports.console import Head, Terminal
from screen_reports.text import one_line

_LEAST = 6  # columns of a cell below which rows are shown as blocks


def print_grid(
    terminal: Terminal, names: Sequence[str], numbers: Sequence[bool], rows: Sequence[Sequence[object]]
) -> None:
    """`numbers`: which columns hold numbers, and stand to the right. Into a pipe each row is one line, whole."""
    cells = [[cell(value) for value in row] for row in rows]
    natural = [_width(name, [row[at] for row in cells]) for at, name in enumerate(names)]
    widths = fit(natural, terminal.width) if terminal.cutting else natural
    if widths is None:
        _blocks(terminal, names, cells)
        return
    heads: list[Head] = [
        (terminal.cut(n, w), "right" if number else "left") for n, number, w in zip(names, numbers, widths, strict=True)
    ]
    terminal.narrow = terminal.cutting  # the widths are settled
    terminal.table(heads, [[Text(terminal.cut(c, w)) for c, w in zip(row, widths, strict=True)] for row in cells])


def cell(value: object) -> str:
    """One value as text; floats with six digits at most."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return one_line(str(value))


def fit(wanted: Sequence[int], width: int) -> list[int] | None:
    """Widths that fit the line, the widest columns shortened first; None where too little is left for each."""
    room = width - 2 * (len(wanted) - 1)
    widths = list(wanted)
    while sum(widths) > room:
        widest = max(range(len(widths)), key=lambda at: widths[at])
        others = sum(w for at, w in enumerate(widths) if at != widest)
        second = max((w for at, w in enumerate(widths) if at != widest), default=0)
        lower = max(room - others, min(second, widths[widest] - 1), _LEAST)
        if lower >= widths[widest]:
            return None
        widths[widest] = lower
    return widths


def _width(name: str, column: Sequence[str]) -> int:
    return max(Text(one_line(name)).cell_len, *(Text(c).cell_len for c in column), 1) if column else len(name) or 1


def _blocks(terminal: Terminal, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    label = min(max(len(name) for name in names), 30)
    for number, row in enumerate(rows):
        if number:
            terminal.put()
        for name, value in zip(names, row, strict=True):
            shown = terminal.cut(value, max(terminal.width - label - 2, 12))
            terminal.print(Text.assemble((terminal.cut(name, label).ljust(label), "bold"), "  ", shown), soft_wrap=True)
