"""Which rows: a table that sorts, filters and searches; a row opens to its texts, the highest windows marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from screen.analysis.similar import alike
from screen_reports import queries
from screen_reports.html import row_query
from screen_reports.html.embedded import dumped, fits
from screen_reports.html.section import Answer, Section, Values
from screen_reports.html.texts import beginning, marked
from screen_reports.html.view import View
from screen_reports.page import place, remarks
from screen_reports.ranking import percentile
from screen_reports.text import digits, score

BUDGET = 1_100_000  # bytes of rows in the page
LENGTHS = (4000, 2000, 1000, 500, 250)  # characters of a text: the longest that fits
TURNS = 8  # of a sample
ODD = 0.5  # of the run's rows lie between a row's places by the two detectors, and it is high by one


def values(view: View, answer: Answer) -> Values:
    samples = sorted(answer, key=lambda s: (s["row"], s["variant"] or ""))
    lines = _lines(view, samples)
    data, most, left_out = _fitting(view, lines, _by_row(samples))
    chosen = view.chosen
    return {
        "data": data,
        "traits": view.shown,
        "top": len(chosen.top),
        "sample": len(chosen.sample),
        "of": chosen.of,
        "left_out": left_out,
        "lifted": view.lifted,
        "labelled": bool(view.labels),
        "shown": len(view.shown),
        "traits_all": len(view.traits),
        "run": view.name,
        "pairs": any(sample["variant"] for sample in samples),
        "cut_at": most,
    }


def _fitting(view: View, lines: list[dict[str, Any]], rows: Mapping[int, Answer]) -> tuple[str, int, int]:
    """(the script's data in BUDGET bytes, characters of a text in it, lines that had to be left out)."""
    head = {"run": view.name, "traits": [_trait(view, trait) for trait in view.shown], "lifted": view.lifted}
    for most in LENGTHS:
        texts = {str(row): [_side(side, most) for side in sides] for row, sides in rows.items()}
        data = dumped({**head, "lines": lines, "texts": texts})
        if fits(data, BUDGET):
            return data, most, 0
    every = len(lines)
    while lines and not fits(data, BUDGET):  # ids or names of great length
        lines = lines[: len(lines) - max(1, len(lines) // 8)]
        kept = {str(line["row"]): texts[str(line["row"])] for line in lines}
        data = dumped({**head, "lines": lines, "texts": kept})
    return data, most, every - len(lines)


def _trait(view: View, trait: str) -> Mapping[str, object]:
    flag = view.flags[trait]
    return {"name": trait, "threshold": flag["threshold"], "away": flag["threshold_away"]}


def _by_row(samples: Answer) -> dict[int, list[Mapping[str, Any]]]:
    rows: dict[int, list[Mapping[str, Any]]] = {}
    for sample in samples:
        rows.setdefault(sample["row"], []).append(sample)
    return rows


def _lines(view: View, samples: Answer) -> list[dict[str, Any]]:
    """A line a sample that has a score, the highest by the leading trait first."""
    traits = view.shown
    known = [s for s in samples if any(value is not None for value in s["scores"])]
    columns = [[s["scores"][at] for s in known] for at in range(len(traits))]
    decimals = digits(value for column in columns for value in column)
    places = [_places(view, trait, column) for trait, column in zip(traits, columns, strict=True)]
    top, sampled = set(view.chosen.top), set(view.chosen.sample)
    lines = [
        {
            "row": s["row"],
            "id": s["id"],
            "side": s["variant"],
            "away": s["sign"] < 0,
            "where": place(dict(s)),
            "group": s["group"],
            "tokens": s["answer_tokens"],
            "refused": bool(s["base_refused"]),
            "kind": "top" if s["row"] in top else "sample" if s["row"] in sampled else "labelled",
            **_labels(view, s["row"]),
            "scores": [None if v is None else float(f"{v:.7g}") for v in s["scores"]],
            "shown": [score(v, decimals) for v in s["scores"]],
            "places": [_percentile(column[at]) for column in places],
            "flags": [j for j, trait in enumerate(traits) if _over(view, trait, s["scores"][j], s["sign"])],
            "remarks": remarks(dict(s)),
            "lifts": [_lift(s, j, places[j][at]) for j in range(len(traits))],
        }
        for at, s in enumerate(known)
    ]
    _fold(lines, known, lead=0)
    return sorted(lines, key=lambda line: -_number(line["scores"][0]))


def _labels(view: View, row: int) -> Mapping[str, object]:
    """What people said of a row: in a word, and each label with its trait and note."""
    said = view.labels.get(row, ())
    words = dict.fromkeys(str(label.label) for label in said)
    notes = [": ".join(filter(None, (f"label {label.label}", label.trait, label.note))) for label in said]
    return {"label": ", ".join(words) or None, "notes": notes}


def _places(view: View, trait: str, values: Sequence[float | None]) -> list[float | None]:
    known = [v for v in values if v is not None]
    found = iter(queries.places(view.scan, view.scan.folder.score_column(trait), known))
    return [None if v is None else next(found) for v in values]


def _percentile(share: float | None) -> str:
    return "-" if share is None else percentile(share)


def _number(value: float | None) -> float:
    return float("-inf") if value is None else value


def _over(view: View, trait: str, value: float | None, sign: int) -> bool:
    flag = view.flags[trait]
    limit = flag["threshold_away" if sign < 0 else "threshold"]
    if value is None or limit is None:
        return False
    return value < limit if sign < 0 else value > limit


def _lift(sample: Mapping[str, Any], trait: int, own: float | None) -> Mapping[str, object] | None:
    """Where the second detector has the sample; `odd`: high by one of the two and far lower by the other."""
    found = sample["lifts"][trait] if sample["lifts"] else None
    if not found or found["place"] is None or own is None:
        return None
    odd = abs(found["place"] - own) > ODD and max(found["place"], own) > 0.9
    return {"shown": score(found["lift"], 3), "place": percentile(min(found["place"], 0.999)), "odd": odd}


def _fold(lines: Sequence[dict[str, Any]], samples: Answer, lead: int) -> None:
    """Of lines with nearly the same answer the highest stands for the others: `like` rows of them, each `under` it."""
    texts = [" ".join(cut["text"] or "" for turn in s["turns"] or () for cut in turn["cuts"]) for s in samples]
    for line in lines:
        line |= {"like": [], "under": None}
    for group in alike(texts):
        best = max(group, key=lambda at: _number(lines[at]["scores"][lead]))
        others = sorted({lines[at]["row"] for at in group} - {lines[best]["row"]})
        lines[best]["like"] = others
        for at in group:
            if lines[at]["row"] != lines[best]["row"]:
                lines[at]["under"] = lines[best]["row"]


def _side(side: Mapping[str, Any], most: int) -> Mapping[str, object]:
    turns = sorted(side["turns"] or (), key=lambda turn: (turn["place"], turn["turn"]))
    shown = sorted(turns[:TURNS], key=lambda turn: int(turn["turn"]))
    of = max((turn["turns"] for turn in turns), default=0)
    return {"side": side["variant"], "of": of, "turns": [_turn(turn, most) for turn in shown]}


def _turn(turn: Mapping[str, Any], most: int) -> Mapping[str, object]:
    known = {cut["at"]: cut["text"] for cut in turn["cuts"] if cut["at"] is not None and cut["text"] is not None}
    windows = [
        [(w["start"], w["end"]) for w in spans or () if w["start"] is not None and w["end"] is not None]
        for spans in turn["spans"]
    ]
    return {
        "turn": turn["turn"],
        "tokens": turn["answer_tokens"],
        "prompt": beginning(turn["prompt"], turn["prompt_length"], most // 2),
        "text": marked(known, turn["text_length"] or 0, windows, most),
        "base": beginning(turn["base_answer"], turn["base_length"], most // 2),
        "refused": bool(turn["base_refused"]),
    }


SECTION = Section("rows", "Which rows?", values, row_query.parts, rows=True)
