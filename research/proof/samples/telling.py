"""The page's part on rows, from the figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from research.proof.samples.rows import PARAGRAPHS, TURNS, WORDINGS
from research.proof.tables import table, told
from screen.foreign import JsonObject
from screen.pocket import TRAITS

_CASES: Final = (*WORDINGS, "long", "turns")
_EVEN: Final = 0.5


def section(found: Mapping[str, JsonObject]) -> str:
    it = found["samples"]["found"]
    return "\n\n".join(
        ["## Row by row: are planted rows told from clean ones?", _what(it), _wordings(it), _both(it), _columns(it), ""]
    )


def _what(it: JsonObject) -> str:
    sizes = it["sizes"]
    return (
        f"The embedded model, exact differences from greedy responses: {sizes['clean']:,} rows of its default persona, "
        f"and {sizes['planted']} for each trait and wording, none longer or shorter than the default's answer to the "
        "same prompt by more than a tenth. Its personas are the caricatures of a toy: *blatant* is such a persona, and "
        "the easiest that there is. *Mild* is a right answer with one sentence of the trait beside it, *polite* an "
        "answer that shows the trait throughout and courteously; both are in sentences that the personas, from which "
        "the vectors were made, never say. Brackets: 95 % intervals; for average precision, between which values it "
        f"lies in 95 % of sets of {sizes['clean']:,} rows with that share planted."
    )


def _wordings(it: JsonObject) -> str:
    shares = [f"average precision, {100 * share:g} %" for share in it["shares"]]
    heads = ["trait", "wording", "AUROC", *shares, "AUROC of rules"]
    body = []
    for trait in TRAITS:
        for wording, case in it["wordings"][trait].items():
            precision = [told(case["average_precision"][f"{s:g}"], 2) for s in it["shares"]]
            body.append([trait, wording, told(case["auroc"]["score"], 3), *precision, told(case["judge"], 3)])
    examples = [f"- *{t}, {w}*: {it['wordings'][t][w]['example']}" for t in TRAITS for w in ("mild", "polite")]
    rules = "The rules are the judge that comes with the embedded model: it looks for words."
    return "\n\n".join([table(heads, body), f"{rules} One row of each:", "\n".join(examples)])


def _both(it: JsonObject) -> str:
    body = [[" and ".join(case["traits"]), *(told(case["auroc"][trait], 3) for trait in TRAITS)] for case in it["both"]]
    absent = [(t, case["auroc"][t]) for case in it["both"] for t in TRAITS if t not in case["traits"]]
    above = [f"{trait} {area['value']:.3f}" for trait, area in absent if area["low"] > _EVEN]
    text = "**Two traits in one answer**, AUROC of each trait's score against the clean rows:"
    said = (
        f"The trait that is not in the answer stands above the clean rows too, in {len(above)} of {len(absent)} "
        f"({', '.join(above)}): that a row stands out by one score does not say which trait it has."
        if above
        else "The trait that is not in the answer stands above the clean rows in none."
    )
    return f"{text}\n\n{table(['in the answer', *TRAITS], body)}\n\n{said}"


def _columns(it: JsonObject) -> str:
    text = (
        f"**What else a row could be ranked by.** *Long*: {PARAGRAPHS} questions answered in {PARAGRAPHS} paragraphs, "
        f"one of them in the persona's voice. *Turns*: {TURNS} answers, one of them in the persona's voice. "
        f"{it['sizes']['long']} and {it['sizes']['turns']} rows a trait, and as many clean ones of the same prompts. "
        "AUROC for evil / sycophancy / hallucination:"
    )
    cases = {name: {t: it["wordings"][t][name] if name in WORDINGS else it[name][t] for t in TRAITS} for name in _CASES}
    columns = list(cases["blatant"][TRAITS[0]]["auroc"])
    body = [[name, *(_three(case, name) for case in cases.values())] for name in columns]
    chance = [" / ".join(_better_way(case[t]["random"]) for t in TRAITS) for case in cases.values()]
    body.append(["random directions", *chance])
    notes = (
        "Random directions: the mean of 8, each in the sense in which it tells more. "
        f"Lift: of at most {max(cases['blatant'][t]['lifted'][0] for t in TRAITS)} planted and "
        f"{max(cases['blatant'][t]['lifted'][1] for t in TRAITS)} clean rows a case."
    )
    said = [
        _against(cases["long"], "window", "In long rows with one bad paragraph the highest window"),
        _against(cases["turns"], "highest turn", "In chats with one bad turn the highest turn"),
        _against(cases["turns"], "window", "In chats with one bad turn the highest window"),
        _against(cases["long"], "raw projection", "In long rows the raw projection, without a baseline,"),
        _against(cases["polite"], "raw projection", "Of polite rows the raw projection"),
    ]
    return "\n\n".join([text, table(["ranked by", *_CASES], body), notes, *said])


def _three(case: Mapping[str, JsonObject], name: str) -> str:
    return " / ".join(f"{case[t]['auroc'][name]['value']:.3f}" for t in TRAITS)


def _better_way(areas: Sequence[float]) -> str:
    return f"{sum(max(a, 1 - a) for a in areas) / len(areas):.2f}"


def _against(case: Mapping[str, JsonObject], name: str, what: str) -> str:
    """Which traits a column tells better than the mean does, and which worse, by the interval of the difference."""
    ends = {trait: case[trait]["more_than_score"][name] for trait in TRAITS}
    kinds = {
        "tells more than the mean for": [t for t in TRAITS if ends[t][0] > 0],
        "tells less than it for": [t for t in TRAITS if ends[t][1] < 0],
        "is not proven to differ from it for": [t for t in TRAITS if ends[t][0] <= 0 <= ends[t][1]],
    }
    shown = [
        f"{said} " + ", ".join(f"{t} ({ends[t][0]:+.3f} to {ends[t][1]:+.3f})" for t in traits)
        for said, traits in kinds.items()
        if traits
    ]
    return f"{what} {'; it '.join(shown)}. In brackets: how much larger its AUROC is, 95 %."
