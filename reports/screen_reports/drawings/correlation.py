"""Trait x trait: which traits rise together over the rows of a run."""

from __future__ import annotations

from collections.abc import Sequence

from screen_reports.drawings.axes import drawable
from screen_reports.drawings.plot import LINE, Key, bar, empty, key
from screen_reports.drawings.svg import CLEAN, RUN, SIZE, WIDTH, drawing, element, label, left_out, shortened, width_of

MOST = 12  # traits of one drawing
_NAME = 130  # room of a trait's name
_LARGEST = 44  # of a cell


def correlation_matrix(title: str, traits: Sequence[str], values: Sequence[Sequence[float | None]]) -> str:
    """`values`: (n, n) correlations from -1 to 1, None or nan where there is none. The first MOST traits are drawn.

    Raises ValueError where the matrix is not of the traits.
    """
    if len(values) != len(traits) or any(len(row) != len(traits) for row in values):
        raise ValueError("a matrix needs a row and a column a trait")
    if not traits:
        name, words, parts = empty(title, "There is no trait.")
        return drawing(LINE, name, words, parts)
    drawn = len(traits[:MOST])
    rest = left_out(len(traits) - drawn, "more trait")
    parts, top = key([Key(bar(RUN), "rise together"), Key(bar(CLEAN), "one rises where the other falls")])
    names = [f"{at + 1} {trait}" for at, trait in enumerate(traits[:MOST])]
    left = min(_NAME, max(width_of(shortened(name, _NAME)) for name in names)) + 8
    cell = min(_LARGEST, (WIDTH - left) / drawn)
    first = top + LINE
    for at in range(drawn):
        parts.append(label(left + cell * (at + 0.5), top + 12, str(at + 1), "middle"))
        parts.append(label(0, first + cell * (at + 0.5) + 4, shortened(names[at], _NAME)))
    parts += _cells([row[:MOST] for row in values[:MOST]], left, first, cell)
    below = first + cell * drawn + 6
    parts += [label(0, below + 13, sentence) for sentence in rest]
    return drawing(below + LINE * len(rest), title, [*_words(traits[:MOST], values), *rest], parts)


def _cells(values: Sequence[Sequence[float | None]], left: float, first: float, cell: float) -> list[str]:
    """Filled by size, which their numbers say too."""
    filled: dict[str, list[str]] = {RUN: [], CLEAN: []}
    numbers = []
    side, size = cell - 1, SIZE if cell > 36 else 10
    for at, row in enumerate(values):
        for other, value in enumerate(row):
            x, y = left + cell * other, first + cell * at
            numbers.append(label(x + side / 2, y + cell / 2 + size / 3, _shown(value)))
            if drawable(value) and value:
                much = round(0.6 * min(abs(value), 1), 2)
                colour = RUN if value > 0 else CLEAN
                filled[colour].append(element("rect", x=x, y=y, width=side, height=side, fill_opacity=much))
    groups = [element("g", "".join(cells), fill=colour) for colour, cells in filled.items() if cells]
    return [*groups, element("g", "".join(numbers), text_anchor="middle", font_size=size)]


def _shown(value: float | None) -> str:
    """ "0.87" as ".87", as tables of correlations have it."""
    if not drawable(value):
        return "-"
    text = f"{value + 0.0:.2f}"
    return text if text in ("1.00", "-1.00") else text.replace("0.", ".", 1).replace("-.00", ".00")


def _words(traits: Sequence[str], values: Sequence[Sequence[float | None]]) -> list[str]:
    """Every pair, the strongest first."""
    pairs = [
        (value, traits[a], traits[b]) for a in range(len(traits)) for b in range(a) if drawable(value := values[a][b])
    ]
    pairs.sort(key=lambda pair: -abs(pair[0]))
    return [f"{one[:200]} and {other[:200]} {_shown(value)}." for value, one, other in pairs] or ["No pair is known."]
