"""Is there a problem: a sentence a trait, its figures beside those of its controls, and what the method cannot see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from screen.select.precision import all_sentences, precision
from screen_reports import summary, verdicts
from screen_reports.html.parts import facts
from screen_reports.html.section import Answer, Section, Values
from screen_reports.html.view import View
from screen_reports.text import count, plural, score, share

WORDS = {"review": "Review", "nothing": "Nothing stands out", "cannot-tell": "Cannot tell", "open": "No verdict yet"}


def values(view: View, answer: Answer) -> Values:
    """A card a trait. Of a run that is not finished, what its rows so far have."""
    counted = {row["trait"]: row for row in answer}
    if not view.finished:
        cards = [_so_far(view, trait, counted.get(trait)) for trait in view.traits]
        return {"cards": cards, "doubts": [], "legend": "", "reference": True}
    found = view.summary
    return {
        "cards": [_card(view, trait, found["traits"][trait]) for trait in dict.fromkeys((*view.shown, *view.traits))],
        "doubts": [
            *summary.doubts(found),
            *filter(None, [view.baseline.remark]),
            *all_sentences([precision(view.scan, trait) for trait in view.shown]),
        ],
        "legend": verdicts.legend(found),
        "reference": any(stats["reference"] for stats in found["traits"].values()),
    }


def _card(view: View, trait: str, stats: Mapping[str, Any]) -> Mapping[str, object]:
    verdict = stats.get("verdict") or {"kind": "open"}
    judged, limit = stats.get("judged", stats["n"]), stats["threshold"]
    flagged = count(stats["flagged"]) if limit is not None and judged else ""
    part = f"{share(stats['flagged'], judged)} ({summary.interval(stats.get('share_interval'))})" if flagged else ""
    controls = stats.get("controls") or {}
    reference = view.reference(trait)
    clean = None if reference is None else reference.get("mean")
    expected = controls.get("expected")
    return {
        "trait": trait,
        "kind": verdict["kind"],
        "word": WORDS[verdict["kind"]],
        "sentence": verdicts.sentence(stats),
        "rule": stats["rule"],
        "facts": facts(
            [
                ("rows flagged", flagged),
                ("share (95 %)", part),
                ("expected of clean rows", "" if expected is None else f"{expected:,.1f}".removesuffix(".0")),
                ("random directions, mean-most", verdicts.random(stats) if controls else ""),
                ("mean (95 %)", summary.mean_line(stats)),
                ("mean of clean rows", "" if clean is None else score(clean, 2)),
                ("threshold", "" if limit is None else score(limit, 2)),
            ]
        ),
    }


def _so_far(view: View, trait: str, row: Mapping[str, Any] | None) -> Mapping[str, object]:
    known, flag = row or {"scored": 0, "flagged": 0, "mean": None}, view.flags[trait]
    has = flag["threshold"] is not None and known["scored"]
    return {
        "trait": trait,
        "kind": "open",
        "word": WORDS["open"],
        "rule": flag["rule"],
        "sentence": f"{plural(known['scored'], 'sample')} scored so far; the verdict is made when all rows are in",
        "facts": facts(
            [
                (
                    "flagged so far",
                    f"{count(known['flagged'])}: {share(known['flagged'], known['scored'])}" if has else "",
                ),
                ("mean so far", "" if known["mean"] is None else score(known["mean"], 2)),
                ("threshold", score(flag["threshold"], 2) if has else ""),
            ]
        ),
    }


SECTION = Section("problem", "Is there a problem?", values)
