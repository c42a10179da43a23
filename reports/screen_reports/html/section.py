"""A section of the report: one function, one template, and one .sql file where it asks the run something.

Three files of one name, `NAME.py`, `NAME.html` and `NAME.sql`, and a line in order.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from screen_reports.html.view import View

FOLDER = Path(__file__).parent / "sections"
Answer = Sequence[Mapping[str, Any]]  # the rows of the section's query, in no order; empty where it has none
Values = Mapping[str, object]


@dataclass(frozen=True)
class Section:
    """`name`: of its files, and its id on the page. `title`: its heading. `values`: what its template is filled with.

    parts   what stands for {names} in its query, beside what every query has (`View.parts`)
    rows    its query reads the chosen rows alone, so only their shards
    folder  where its files are
    """

    name: str
    title: str
    values: Callable[[View, Answer], Values]
    parts: Callable[[View], Mapping[str, str]] = lambda _view: {}
    rows: bool = False
    folder: Path = FOLDER

    def query(self, view: View) -> str | None:
        """Its SELECT, or None where it asks nothing: it has no .sql file, or its file comes to nothing here."""
        path = self.folder / f"{self.name}.sql"
        if not path.exists():
            return None
        text = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("--"))
        parts = {**view.parts, **self.parts(view)}
        return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], text)  # one pass: a part may hold braces itself
