"""Text that others wrote, in Markdown and YAML: it stays text, whatever stands in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import yaml
from screen_reports.text import one_line

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}  # not every renderer takes a backslash before these
_MARKS = re.compile(r"[\\`*_{}\[\]#|~!$^@&<>]")
_LINKS = re.compile(r"www\.|:(?=//)", re.IGNORECASE)


def plain(text: str) -> str:
    """On one line, with no character left that would be markup, a link, HTML or the border of a cell."""
    marked = _MARKS.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), one_line(text))
    return _LINKS.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", marked)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """`heads` as they are; cells are escaped."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(plain(cell) or '-' for cell in row)} |" for row in rows]
    return "\n".join(lines)


def front_matter(fields: Mapping[str, object], remark: str) -> str:
    """The YAML block that a hub reads, with a remark in it."""
    body = yaml.safe_dump(dict(fields), sort_keys=False, default_flow_style=False, width=120)
    return f"---\n# {remark}\n{body}---\n"
