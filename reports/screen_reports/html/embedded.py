"""Data inside the page: JSON that no parser takes for markup, squeezed where that is shorter."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from typing import NamedTuple

from screen_reports.text import visible

_ESCAPED = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


class Embedded(NamedTuple):
    """The content of a script element, and whether it is base64 of gzip of the JSON."""

    text: str
    squeezed: bool


def dumped(value: object) -> str:
    """JSON in one line. Every string in it, keys too, shows as itself: control and bidi characters are written out."""
    return json.dumps(_shown(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_ESCAPED)


def embedded(parts: Mapping[str, str]) -> Embedded:
    """One object of `parts`, name -> JSON as `dumped` gives it. Squeezed where that saves a fifth: the page need not be
    unpacked for less."""
    text = "{" + ",".join(f"{dumped(name)}:{part}" for name, part in parts.items()) + "}"
    packed = squeezed(text)
    return Embedded(packed, True) if len(packed) < 0.8 * len(text.encode()) else Embedded(text, False)


def squeezed(text: str) -> str:
    """Base64 of gzip; equal texts give equal bytes."""
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def fits(data: str, most: int) -> bool:
    """Whether it takes at most so many bytes of the page."""
    size = len(data.encode())
    return size <= most or (size <= 5 * most and len(squeezed(data)) <= most)


def _shown(value: object) -> object:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(key)): _shown(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(inner) for inner in value]
    return value
