"""What the sections ask of the run, in one statement, since each costs a process of its own.

Sections that read the chosen rows alone are asked apart where the run has other shards than theirs, at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from screen.store.sql.sandbox import Limits
from screen.store.sql.views import quoted
from screen_reports.html.section import Answer, Section
from screen_reports.html.view import View

LIMITS = Limits(seconds=120.0)


def answers(view: View, sections: Sequence[Section]) -> dict[str, Answer]:
    """Section name -> the rows of its query, in no order; empty for one without a query."""
    texts = {section: text for section in sections if (text := section.query(view)) is not None}
    folder, chosen = view.scan.folder, view.chosen_rows
    apart = len(folder.files("scores", chosen)) < len(folder.files("scores"))
    whole = {s.name: text for s, text in texts.items() if not (apart and s.rows)}
    few = {s.name: text for s, text in texts.items() if apart and s.rows}
    with ThreadPoolExecutor(2) as pool:
        parts = [pool.submit(_ask, view, whole, None), pool.submit(_ask, view, few, chosen)]
        found = [part.result() for part in parts]
    return {**dict.fromkeys((s.name for s in sections), ()), **found[0], **found[1]}


def _ask(view: View, texts: dict[str, str], rows: Sequence[int] | None) -> dict[str, Answer]:
    if not texts:
        return {}
    columns = ", ".join(f"(SELECT list(answer) FROM ({text}) answer) AS {quoted(name)}" for name, text in texts.items())
    table = view.scan.sql(f"SELECT {columns}", limits=LIMITS, flags=view.flags, rows=rows)
    row = table.to_pylist()[0]
    return {name: row[name] or () for name in texts}
