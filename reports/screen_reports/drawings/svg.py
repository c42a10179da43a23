"""SVG as text: elements, labels that fit, and the drawing around them. Knows nothing of axes or of what is drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from html import escape

from screen_reports.text import one_line, plural, score

WIDTH = 400  # of a drawing, in its own units: labels of SIZE stay readable on a phone 390 px wide
SIZE = 13  # of its text
RUN = "var(--drawing-run, #0072b2)"  # of the run: filled
CLEAN = "var(--drawing-clean, #d55e00)"  # of the clean reference: outlines and dashes
INK = "currentColor"

_NARROW, _BROAD = frozenset(" !'()*,-./:;I[]`fijlrt{|}"), frozenset("%@ABCDGHKMNOQRUVWXYmw&+<=>~")


def text_of(label: str) -> str:
    """A label from the data as text of an element or an attribute: escaped, on one line, nothing hidden in it."""
    return escape(one_line(label))


def figure(value: float) -> str:
    """A score for people, with its sign: "+3.49"; "+2e+09" where it has too many digits."""
    if not value:
        return "0"
    return score(value) if 1e-4 <= abs(value) < 1e7 else f"{value:+.3g}"


def element(name: str, inside: str = "", /, **attributes: str | float) -> str:
    """`inside` is SVG already. An attribute `stroke_width` is `stroke-width`; numbers have two decimals at most."""
    given = "".join(f' {key.replace("_", "-")}="{_value(value)}"' for key, value in attributes.items())
    return f"<{name}{given}>{inside}</{name}>" if inside else f"<{name}{given}/>"


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else number(value)


def number(value: float) -> str:
    """A coordinate or a share: two decimals at most."""
    return f"{round(value, 2) + 0.0:g}"  # no minus before a zero


def label(x: float, y: float, text: str, anchor: str = "start", **attributes: str | float) -> str:
    """`text` as it is: escaped, and made visible."""
    place = {} if anchor == "start" else {"text_anchor": anchor}
    return element("text", text_of(text), x=x, y=y, **place, **attributes)


def named(name: str, text: str, /, **attributes: str | float) -> str:
    """An element that says `text` when pointed at."""
    return element(name, element("title", text_of(text)), **attributes)


def drawing(height: float, title: str, words: Iterable[str], parts: Iterable[str]) -> str:
    """The whole, for a page of HTML: `title` names it and `words`, sentences, say its figures to who cannot see it."""
    about = element("title", text_of(title)) + element("desc", text_of(" ".join(words)))
    around: Mapping[str, str | float] = {
        "class": "drawing",
        "role": "img",
        "viewBox": f"0 0 {WIDTH} {number(height)}",
        "width": WIDTH,
        "font-family": "system-ui, sans-serif",
        "font-size": SIZE,
        "font-variant": "tabular-nums",
        "direction": "ltr",
        "fill": INK,
    }
    return element("svg", "\n".join(["", about, *parts, ""]), **around) + "\n"


def width_of(text: str, size: float = SIZE) -> float:
    """About how wide `text` is drawn; rather too wide than too narrow, since fonts differ."""
    return size * sum(map(_em, text))


def _em(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF" or ord(character) > 0x2FFF:
        return 1.1
    if character in _NARROW:
        return 0.4
    return 0.85 if character in _BROAD or not character.isascii() else 0.62


def shortened(text: str, room: float, size: float = SIZE) -> str:
    """`text` on one line, cut with dots where it is wider than `room`."""
    shown = one_line(text[:200])
    if width_of(shown, size) <= room and len(text) <= 200:
        return shown
    room -= width_of("\u2026", size)
    wide = 0.0
    for at, character in enumerate(shown):
        wide += width_of(character, size)
        if wide > room:
            return shown[:at].rstrip() + "\u2026"
    return shown + "\u2026"


def left_out(many: int, noun: str, plural_noun: str = "") -> list[str]:
    """A sentence on what is not drawn; none where all is."""
    return [f"Not drawn: {plural(many, noun, plural_noun)}."] if many else []
