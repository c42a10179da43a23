"""What stands above the sections: the dataset's name, what is answered in one line, and how far the run is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from screen.store.unfinished import resume
from screen_reports import summary, verdicts
from screen_reports.html.view import View
from screen_reports.text import count, plural


def heading(view: View) -> Mapping[str, object]:
    """`unfinished`: how far the run is, and the command that goes on; None of one that is finished."""
    described = view.facts.get("dataset") or {}
    files = [str(file) for file in described.get("files", ())]
    first = Path(files[0]).name if files else Path(view.name).name
    more = f" and {plural(len(files) - 1, 'more file')}" if len(files) > 1 else ""
    return {
        "dataset": first + more,
        "run": view.name,
        "line": summary.headline(view.summary) if view.finished else "",
        "unfinished": None if view.finished else _unfinished(view, described.get("rows")),
        "answer": answer(view),
    }


def _unfinished(view: View, total: int | None) -> Mapping[str, str]:
    done = sum(entry.rows for entry in view.scan.folder.published.values())
    of = f" of {count(total)}" if total else ""
    return {"line": f"This run is not finished: it holds {count(done)}{of} rows.", "command": resume(view.scan.folder)}


def answer(view: View) -> Mapping[str, str]:
    """The verdicts in one line, as large as the page has it. `kind`: which verdict decides its colour."""
    if not view.finished:
        return {"kind": "open", "line": "No verdict yet"}
    kinds: dict[str, list[str]] = {kind: [] for kind in verdicts.STYLES}
    for trait, stats in view.summary["traits"].items():
        if stats.get("verdict"):
            kinds[stats["verdict"]["kind"]].append(trait)
    if not view.summary["scored"]:
        return {"kind": "cannot-tell", "line": "No row could be scored"}
    if kinds["review"]:
        return {"kind": "review", "line": f"Review rows for {_listed(kinds['review'])}"}
    if kinds["cannot-tell"]:
        return {"kind": "cannot-tell", "line": f"Cannot tell for {_listed(kinds['cannot-tell'])}"}
    return {"kind": "nothing", "line": "Nothing stands out"}


def _listed(names: list[str], most: int = 6) -> str:
    """ "a, b and c"; of many the first and how many more."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {plural(len(names) - most, 'more trait')}"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
