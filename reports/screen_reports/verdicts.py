"""The verdict a trait as people read it, and what to type next: each verdict has a command that fits it."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import join, quote
from typing import Any

Summary = Mapping[str, Any]
STYLES = {"review": "bold red", "nothing": "green", "cannot-tell": "bold yellow"}


def verdicts(summary: Summary) -> list[tuple[str, str]]:
    """(sentence, style) a trait; nothing for a trait without a verdict."""
    told = []
    for trait, stats in summary["traits"].items():
        if found := stats.get("verdict"):
            review = ": review them" if found["kind"] == "review" else ""
            told.append((f"{trait}: {found['sentence']}{review}", STYLES[found["kind"]]))
    return told


def reviewed(summary: Summary) -> list[str]:
    """The traits whose rows are to be reviewed, in the order of the summary."""
    return [t for t, s in summary["traits"].items() if (s.get("verdict") or {}).get("kind") == "review"]


def random(stats: Mapping[str, Any]) -> str:
    """ "3-9": the mean and the highest count of rows above the threshold along a control direction."""
    found = stats.get("controls")
    return f"{found['random']:,.0f}-{found['random_highest']:,}" if found else "-"


def legend(summary: Summary) -> str:
    """What the column `random` counts; "" where no trait has controls."""
    found = [s["controls"] for s in summary["traits"].values() if s.get("controls")]
    if not found:
        return ""
    directions, effective = max(f["directions"] for f in found), min(f["effective"] for f in found)
    scale = "the threshold's own percentile of clean rows" if found[0]["scale"] == "reference" else "robust z > 3"
    return (
        f"random: rows above {scale} along directions that mean nothing, mean-highest ({directions} directions, as"
        f" good as {effective:.0f} independent ones)"
    )


def next_commands(summary: Summary, run: str, facts: Mapping[str, Any]) -> list[str]:
    """What to type next, by verdict; `run`: the folder as the user names it; `facts`: of scan.json."""
    by_reason: dict[str, str] = {}
    for trait, stats in summary["traits"].items():
        found = stats.get("verdict") or {"reason": ""}
        by_reason.setdefault(found["reason"], trait)
    data = _again(facts)
    reference = f"screen reference build CLEAN.jsonl{data[1]} -o clean.reference"
    known = {
        "rows": f"screen rank {quote(run)} --by {{}} --flagged",
        "clean": f"screen selftest {data[0]}{data[1]}",
        "unlike": reference,
        "controls": reference,
        "no-reference": reference,
        "no-threshold": reference,
        "length": f"screen rank {quote(run)} --by {{}}_corrected",
        "layer0": f"screen run {data[0]}{data[1]} --layer {{}}=LAYER --out ANOTHER",
        "no-scores": f"screen sql {quote(run)} 'select code, count(*) from skipped group by 1'",
    }
    told = [known[reason].format(quote(trait)) for reason, trait in by_reason.items() if reason in known]
    return list(dict.fromkeys(told))


def _again(facts: Mapping[str, Any]) -> tuple[str, str]:
    """(the dataset, flags that name the model and its vectors), as they are typed."""
    spec = facts.get("spec", {})
    flags: list[str] = []
    if spec.get("model", "pocket") != "pocket":
        flags += ["--model", str(spec["model"])]
    for path in spec.get("vectors") or ():
        flags += ["--vectors", str(path)]
    return join([str(d) for d in spec.get("dataset", ())]) or "DATASET", f" {join(flags)}" if flags else ""
