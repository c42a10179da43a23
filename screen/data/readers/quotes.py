"""Whether a record of CSV goes on in the next line, told without holding it: for one that is over the cap."""

from __future__ import annotations

import re
from typing import Literal

_QUOTE = ord('"')
_INSIDE = re.compile(rb'[^"]*+(?:""[^"]*+)*+')  # a quote that stands twice is one of the text


class QuoteState:
    """Where in a record its bytes, given part by part, leave off; as the csv module's strict reader goes through them.

    `behind`: behind a quote that closes the field unless another follows. `over`: nothing can open a quote any more
    before the line ends, as behind a carriage return or a fault.
    """

    def __init__(self, delimiter: str) -> None:
        self._delimiter = ord(delimiter)
        end = re.escape(delimiter.encode())
        self._fields = re.compile(
            rb'(?:(?:[^"\r%b][^\r%b]*+)?%b|"[^"]*+(?:""[^"]*+)*+"%b)*+' % (end, end, end, end)
        )  # whole ones; without it, millions of empty fields take minutes
        self._at: Literal["field", "unquoted", "quoted", "behind", "over"] = "field"

    @property
    def quoted(self) -> bool:
        """Inside a quoted field: a line that ends here does not end the record."""
        return self._at == "quoted"

    def take(self, part: bytes) -> None:
        position = 0
        while position < len(part) and self._at != "over":
            position = self._step(part, position)

    def _step(self, part: bytes, position: int) -> int:
        if self._at == "field":
            position = self._fields.match(part, position).end()  # type: ignore[union-attr]  # it matches nothing as well
            if position < len(part):
                self._at = "quoted" if part[position] == _QUOTE else "unquoted"
                position += self._at == "quoted"
            return position
        if self._at == "quoted":
            position = _INSIDE.match(part, position).end()  # type: ignore[union-attr]
            self._at = "quoted" if position == len(part) else "behind"
            return position + 1
        if self._at == "behind":
            byte = part[position]
            self._at = "quoted" if byte == _QUOTE else "field" if byte == self._delimiter else "over"
            return position + 1
        end = part.find(self._delimiter, position)
        over = part.find(b"\r", position, end if end >= 0 else len(part)) >= 0
        self._at = "over" if over else "unquoted" if end < 0 else "field"
        return len(part) if end < 0 else end + 1
