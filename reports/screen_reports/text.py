"""Text from the data, made safe to look at. Knows nothing of tables, runs or terminals.

A training example may hold escape sequences that move the cursor, marks that reverse the reading order and
characters without width that hide text. None of them is printed: each is shown as an escape such as \\x1b.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Control, format, fillers that look blank, variation selectors, surrogates, separators, tags.
_HIDDEN = (
    "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{_HIDDEN}]")
_SPACES = re.compile(r"\s+")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def visible(text: str) -> str:
    """`text` with everything that does not show as itself escaped; newlines and tabs stay."""
    return _INVISIBLE.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """`text` on one line, safe to print: any run of white space is one space."""
    return visible(_SPACES.sub(" ", text)).strip()


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def spreadsheet(value: object) -> object:
    """A cell for CSV: text that a spreadsheet would run as a formula gets a leading apostrophe."""
    if not isinstance(value, str):
        return value
    shown = visible(value)
    return f"'{shown}" if shown.lstrip(" ").startswith(_FORMULA) else shown


def count(number: int) -> str:
    """1234567 -> "1,234,567"."""
    return f"{number:,}"


def rounded(number: float) -> str:
    """Two digits, as nothing finer is known: 25466 -> "25 k"; 1234567 -> "1.2 M"; 87 -> "87"."""
    value = float(f"{number:.2g}")
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def plural(number: int, noun: str, many: str = "") -> str:
    """(1, "row") -> "1 row"; (3, "row") -> "3 rows"."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


def share(part: int, whole: int) -> str:
    """A share for people: "2.1 %"; never "0.0 %" or "100.0 %" for what is not."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if part and percent < 0.05:
        return "<0.1 %"
    if part < whole and percent >= 99.95:
        return ">99.9 %"
    return f"{percent:.1f} %"


def digits(values: Iterable[float | None]) -> int:
    """Decimals for scores that stand together: by the largest, since units differ from model to model."""
    largest = max((abs(v) for v in values if v is not None and v == v), default=0.0)
    return 4 if 0 < largest < 0.1 else 3 if largest < 1 else 2 if largest < 100 else 1


def score(value: float | None, decimals: int | None = None) -> str:
    """A score with its sign: differences have a direction."""
    if value is None or value != value:
        return "-"
    if isinstance(value, int):
        return count(value)
    places = digits([value]) if decimals is None else decimals
    return f"{round(value, places) + 0.0:+.{places}f}"  # no minus before a zero


def duration(seconds: float) -> str:
    """90 -> "1 min 30 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 1 or not seconds else "<1 s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
