"""How sure: each trait beside directions that mean nothing, length, other traits, arithmetic, and the estimates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from screen.store import context
from screen.store.sql.views import literal, quoted
from screen_reports import verdicts
from screen_reports.drawings import of_run
from screen_reports.drawings.calibration import MOST, calibration
from screen_reports.html.parts import facts, svg
from screen_reports.html.section import Answer, Section, Values
from screen_reports.html.view import View
from screen_reports.text import count


def values(view: View, answer: Answer) -> Values:
    """`controls`: a line a trait. Of a run that is not finished there are none."""
    stats = view.summary.get("traits", {})
    lines = [_controls(trait, stats[trait]) for trait in view.traits if trait in stats]
    return {
        "finished": view.finished,
        "controls": lines,
        "legend": verdicts.legend(view.summary) if view.finished else "",
        "matrix": _matrix(view),
        "numerics": _numerics(view.facts.get("model") or {}),
        "calibration": _calibration(view, answer),
        "better": view.summary.get("better_explained", ()),
        "run": view.name,
    }


def _controls(trait: str, stats: Mapping[str, Any]) -> Mapping[str, object]:
    known = stats.get("controls") or {}
    return {
        "trait": trait,
        "above": count(known["above"]) if known else "-",
        "expected": "-" if known.get("expected") is None else f"{known['expected']:,.1f}",
        "random": verdicts.random(stats),
        "tail": _figure(known.get("tail")),
        "tail_random": _figure(known.get("tail_random_highest")),
        "layer0": _figure(known.get("layer0")),
        "moved": _figure(known.get("moved")),
        "length": _figure(known.get("length_correlation"), "+.2f"),
        "without": _figure(known.get("tail_without_length")),
        "few": f"{count(stats['flagged_few_tokens'])} of {count(stats['flagged'])}",
        "refused": f"{count(stats['flagged_base_refused'])} of {count(stats['flagged'])}",
    }


def _figure(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else format(value, form)


def _matrix(view: View) -> object:
    """Trait by trait, Pearson's r over the run's rows; None for one trait."""
    drawn = of_run.correlations_of(view.summary.get("correlations", {}), view.shown)
    return drawn and svg(drawn)


def _numerics(model: Mapping[str, Any]) -> list[Mapping[str, object]]:
    bound, noise = model.get("batching_bound"), model.get("batching_noise")
    difference = model.get("batching_difference")
    return facts(
        [
            ("arithmetic", ", ".join(str(model[name]) for name in ("dtype", "device") if model.get(name))),
            ("how sequences share a pass", model.get("batching")),
            ("why", model.get("batching_reason")),
            ("largest difference from one by one", "" if difference is None else f"{difference:.2g}"),
            ("what is allowed", "" if bound is None else f"{bound:.2g}"),
            ("noise of rounding", "" if noise is None else f"{noise:.2g}"),
        ]
    )


def _calibration(view: View, answer: Answer) -> Mapping[str, object] | None:
    """How good the estimates of baselines are; None of a run without estimates."""
    kept = context.load(view.scan.path, view.scan.folder.run)
    found = kept[1].get("calibration") if kept else None
    if not found:
        return None
    drawn = [_estimates(trait, [row for row in answer if row["trait"] == trait]) for trait in view.shown]
    return {**found, "drawings": [d for d in drawn if d]}


def _estimates(trait: str, rows: Answer) -> Mapping[str, object] | None:
    """Rows that have both an exact score and an estimate."""
    if not rows:
        return None
    exact, guess = ([row[name] for row in sorted(rows, key=lambda r: r["row"])] for name in ("exact", "estimate"))
    return {"trait": trait, "svg": svg(calibration(f"Estimates of {trait}", exact, guess))}


def parts(view: View) -> Mapping[str, str]:
    """{both}: trait, row, exact score and estimate of every sample; {most}: how many a trait are drawn."""
    legs = [
        f'SELECT {literal(t)} AS trait, "row", {quoted(t)} AS exact, {quoted(f"{t}_estimate")} AS estimate FROM scores'
        for t in view.shown
    ]
    return {"both": " UNION ALL ".join(legs), "most": str(MOST)}


SECTION = Section("certainty", "How sure is this?", values, parts)
