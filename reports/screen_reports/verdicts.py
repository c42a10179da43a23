"""The verdict a trait as people read it, and what to type next: each verdict has a command that fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from shlex import join, quote
from typing import Any

from screen.baselines.table import kind_of
from screen.spec import ScanSpec

Summary = Mapping[str, Any]
_DEFAULTS = {f.name: f.default for f in fields(ScanSpec)}
STYLES = {"review": "bold red", "nothing": "green", "cannot-tell": "bold yellow"}


def verdicts(summary: Summary) -> list[tuple[str, str]]:
    """(sentence, style) a trait; nothing for a trait without a verdict."""
    sentences = []
    for trait, stats in summary["traits"].items():
        if verdict := stats.get("verdict"):
            sentences.append((f"{trait}: {sentence(stats)}", STYLES[verdict["kind"]]))
    return sentences


def sentence(stats: Mapping[str, Any]) -> str:
    """The verdict on one trait, and what it asks for."""
    verdict = stats["verdict"]
    return f"{verdict['sentence']}{': review them' if verdict['kind'] == 'review' else ''}"


def reviewed(summary: Summary) -> list[str]:
    """The traits whose rows are to be reviewed, in the order of the summary."""
    return [t for t, s in summary["traits"].items() if (s.get("verdict") or {}).get("kind") == "review"]


def random(stats: Mapping[str, Any]) -> str:
    """ "3-9": the mean and the highest count of rows above the threshold along a control direction."""
    controls = stats.get("controls")
    return f"{controls['random']:,.0f}-{controls['random_highest']:,}" if controls else "-"


def legend(summary: Summary) -> str:
    """What the column `random` counts; "" where no trait has controls."""
    controls = [s["controls"] for s in summary["traits"].values() if s.get("controls")]
    if not controls:
        return ""
    directions, effective = max(f["directions"] for f in controls), min(f["effective"] for f in controls)
    scales = [
        f"{f['at']} of clean rows" if f["scale"] == "reference" else "robust z > 3 within this run" for f in controls
    ]
    scale = ", or ".join(dict.fromkeys(scales))
    return (
        f"random: rows above {scale} along directions that mean nothing, mean-highest ({directions} directions, as"
        f" good as {effective:.0f} independent ones)"
    )


def next_commands(summary: Summary, run: str, facts: Mapping[str, Any]) -> list[str]:
    """What to type next, by verdict; `run`: the folder as the user names it; `facts`: of scan.json."""
    spec = facts.get("spec", {})
    data = join([str(d) for d in spec.get("dataset", ()) if d != "-"]) or "DATASET"
    same = _model(spec)
    baseline = kind_of(facts.get("baseline"))
    if not baseline.chosen_by_auto:
        same += ["--baseline", baseline.name]
    clean = "CLEAN_PAIRS.jsonl" if baseline.pairs else "CLEAN.jsonl"
    reference = f"screen reference build {_line([clean], same)} -o clean.reference"
    flagging = ["--reference", str(spec["reference"])] if spec.get("reference") else []
    flagging += ["--at", str(summary["at"])] if summary.get("at", "p99") != "p99" else []
    known = {
        "rows": f"screen rank {quote(run)} --by {{}} --flagged",
        "clean": f"screen selftest {_line([data], same + _reading(spec) + flagging)}",
        "unlike": reference,
        "controls": reference,
        "no-reference": reference,
        "no-threshold": reference,
        "low-cut": f"screen reflag {quote(run)} --at p99",
        "length": f"screen rank {quote(run)} --by {{}}_corrected",
        "layer0": f"screen run {_line([data], same + _reading(spec))} --layer {{}}=LAYER --out ANOTHER",
        "no-scores": f"screen sql {quote(run)} 'select code, count(*) from skipped group by 1'",
    }
    reasons = [(t, (stats.get("verdict") or {}).get("reason")) for t, stats in summary["traits"].items()]
    reasons.sort(key=lambda r: r[1] != "rows")
    return list(
        dict.fromkeys(known[reason].replace("{}", quote(trait)) for trait, reason in reasons if reason in known)
    )


def _line(first: Sequence[str], flags: Sequence[str]) -> str:
    return " ".join([*first, join(flags)]).rstrip()


def _model(spec: Mapping[str, Any]) -> list[str]:
    """The flags that a run on other data needs for its scores to be of the same kind."""
    flags: list[str] = []
    if spec.get("model", "pocket") != "pocket":
        flags += ["--model", str(spec["model"])]
    for path in spec.get("vectors") or ():
        flags += ["--vectors", str(path)]
    if spec.get("traits"):
        flags += ["--traits", ",".join(spec["traits"])]
    for trait, layer in (spec.get("layers") or {}).items():
        flags += ["--layer", f"{trait}={layer}"] if layer else []
    for name in ("max_new_tokens", "template", "train_on", "render"):
        if spec.get(name, _DEFAULTS[name]) != _DEFAULTS[name]:
            flags += [f"--{name.replace('_', '-')}", str(spec[name])]
    return flags + (["--end-of-turn"] if spec.get("end_of_turn") else [])


def _reading(spec: Mapping[str, Any]) -> list[str]:
    """The flags by which the same data are read again."""
    flags = ["--format", str(spec["format"])] if spec.get("format") else []
    for role, field in (spec.get("map") or {}).items():
        flags += ["--map", f"{role}={field}"]
    if spec.get("config"):
        flags += ["--config", str(spec["config"])]
    first, end = spec.get("limit") or (0, None)
    if end is not None:
        flags += ["--limit", f"{first}-{end - 1}" if first else str(end)]
    return flags
