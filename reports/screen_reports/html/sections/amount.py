"""How much: every trait's scores against clean rows', and by group and by file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from screen.stats import wilson
from screen_reports import summary
from screen_reports.drawings import of_run
from screen_reports.html.parts import svg
from screen_reports.html.section import Answer, Section, Values
from screen_reports.html.view import View
from screen_reports.text import count, score, share

MOST = 25  # groups, and files, that are listed a trait


def values(view: View, answer: Answer) -> Values:
    """`by`: the tables by group and by file, where there are several of them."""
    tables = [_table(view, answer, kind) for kind in ("group", "file")]
    grouped = bool(view.facts.get("spec", {}).get("group_by"))
    return {
        "traits": [_trait(view, trait) for trait in view.shown],
        "by": [t for t in tables if t],
        "grouped": grouped,
    }


def _trait(view: View, trait: str) -> Mapping[str, object]:
    """Its scores as a picture; and the means of its groups, where several have one."""
    reference = view.reference(trait)
    scores = of_run.scores_of(trait, view.scores[trait], view.flags[trait]["threshold"], reference)
    whole = view.summary.get("traits", {}).get(trait, {}).get("dataset") or {}
    groups = of_run.groups_of(trait, whole, reference)
    return {"trait": trait, "histogram": svg(scores), "groups": groups and svg(groups)}


def _table(view: View, answer: Answer, kind: str) -> Mapping[str, object] | None:
    """The places that have most rows flagged, of every trait; how many are left out is said. None for one place."""
    rows = [row for row in answer if row["kind"] == kind]
    places = max((row["places"] for row in rows), default=0)
    if places < 2:
        return None
    named = {row["place"]: None for row in sorted(rows, key=lambda row: (row["rank"], row["place"] or ""))}
    cells = {(row["place"], row["trait"]): row for row in rows}
    lines = [
        {
            "name": _name(place, kind),
            "n": count(max(cells[place, t]["samples"] for t in view.shown if (place, t) in cells)),
            "traits": [_cell(view, cells.get((place, trait)), place, trait, kind) for trait in view.shown],
        }
        for place in named
    ]
    return {"kind": kind, "lines": lines, "traits": view.shown, "left_out": places - len(named), "places": places}


def _name(place: str | None, kind: str) -> str:
    return "(none)" if place is None else Path(place).name if kind == "file" else place


def _cell(view: View, row: Mapping[str, Any] | None, place: str | None, trait: str, kind: str) -> Mapping[str, str]:
    if row is None or not row["scored"]:
        return {"flagged": "-", "mean": "-"}
    low, high = wilson(row["flagged"], row["scored"])
    flagged = f"{count(row['flagged'])} ({share(row['flagged'], row['scored'])}, {summary.interval((low, high))})"
    return {"flagged": flagged, "mean": score(row["mean"], 2)}


SECTION = Section("amount", "How much?", values, parts=lambda _view: {"most": str(MOST)})
