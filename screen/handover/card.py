"""A dataset card: what a finished run found, in Markdown, with the YAML that the Hugging Face hub reads.

Only what the run knows stands in it: no licence, no language, no task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

from screen_reports import summary as told
from screen_reports import verdicts
from screen_reports.text import count, plural, score, share

from screen.disk import write_atomically, writing
from screen.handover.markdown import front_matter, plain, table
from screen.handover.targets import check_outside
from screen.select.subset import targets
from screen.store.scan import Scan
from screen.store.scanfile import Facts
from screen.store.unfinished import require_finished

TAG = "persona-screen"
REMARK = "add license, language and task_categories: the tool that wrote this does not know them"
_STEPS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_WORDS = {"review": "review", "nothing": "nothing stands out", "cannot-tell": "cannot tell"}
_STATED = (
    "layer",
    "flagged",
    "judged",
    "share",
    "share_interval",
    "threshold",
    "threshold_low",
    "threshold_high",
    "rule",
)
_CANNOT = """\
- Other traits than these: a direction that nobody asked for is not measured.
- Content without manner: a dangerous answer in polite words can score low. The method reads how an answer is written.
- What is spread thinly over many rows and shows in none of them.
- What the model did not read: rows that were not scored, text behind the model's context, images and sound.
- Whether training takes it up. Scores are in units of one model, one layer and one vector: they compare rows of this
  run with each other, and with no other run's."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What was taken out before the data were put beside the card."""

    expression: str
    kept: int
    dropped: int


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """`metadata`: the fields of the YAML; `traits`: trait -> the figures in the text."""

    markdown: str
    metadata: Mapping[str, object]
    rows: int
    scored: int
    skipped_by_code: Mapping[str, int]
    traits: Mapping[str, Mapping[str, object]]


def card(scan: Scan) -> DatasetCard:
    """The whole card of a run. Raises UsageError where it is not finished."""
    require_finished(scan.folder)
    found = scan.summary
    fields = metadata(found["rows"])
    traits = {trait: _figures(stats) for trait, stats in found["traits"].items()}
    text = f"{front_matter(fields, REMARK)}\n{section(scan)}"
    return DatasetCard(text, fields, found["rows"], found["scored"], found["skipped_by_code"], traits)


def write_card(scan: Scan, made: DatasetCard, out: Path, force: bool = False) -> None:
    """To a file, whole or not at all. Raises UsageError for one that exists, unless `force`, or cannot be written."""
    targets(out, None, force)
    check_outside(scan, out)
    with writing(out, "choose a folder that exists, with room"):
        write_atomically(out, made.markdown.encode())


def metadata(rows: int) -> dict[str, object]:
    """The keys of the card's YAML that a run knows."""
    at = max(0, len(str(rows)) - 3)  # 999 has three digits, 1,000 four
    below = [f"n<{_STEPS[0]}", *(f"{low}<n<{high}" for low, high in pairwise(_STEPS))]
    size = below[at] if at < len(below) else f"n>{_STEPS[-1]}"
    return {"size_categories": [size], "tags": [TAG]}


def _figures(stats: Mapping[str, Any]) -> dict[str, object]:
    verdict, controls, whole = stats.get("verdict") or {}, stats.get("controls") or {}, stats.get("dataset") or {}
    return {
        "verdict": verdict.get("kind"),
        "sentence": verdict.get("sentence"),
        **{name: stats[name] for name in _STATED},
        **{name: controls.get(name) for name in ("expected", "random", "random_highest", "directions")},
        "mean": whole.get("mean"),
        "mean_interval": None if whole.get("low") is None else [whole["low"], whole["high"]],
    }


def section(scan: Scan, left_out: LeftOut | None = None) -> str:
    """The Markdown of a finished run, from a heading of the second level on."""
    found, facts = scan.summary, scan.folder.facts
    parts = [
        "## Screened for character before training",
        _opening(scan, left_out),
        table(("trait", "verdict", "flagged", "expected of clean rows", "random directions, mean-most", "mean score",
               "threshold"), [_row(trait, stats) for trait, stats in found["traits"].items()]),
        "\n".join(_verdicts(found["traits"])),
        "### How it was screened",
        "\n".join(f"- {name}: {value}" for name, value in _how(scan, facts)),
        "### What this cannot find",
        _CANNOT,
        "### Rows that were not scored",
        _skipped(found),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(scan: Scan, left_out: LeftOut | None) -> str:
    found = scan.summary
    baseline = "less the baseline named below" if scan.folder.baseline.subtracts else "with no baseline subtracted"
    rows = (
        f"{plural(found['rows'], 'row')} read, {count(found['scored'])} scored: how far each answer lies along"
        f" a trait's direction in a model's activations, {baseline}. Intervals are of 95 %."
    )
    if left_out is None:
        return rows
    return (
        f"{rows} Left out after that: {plural(left_out.dropped, 'row')}, by the rule"
        f" {plain(left_out.expression)}; {count(left_out.kept)} are here. All figures are of the data before that."
    )


def _row(trait: str, stats: Mapping[str, Any]) -> list[str]:
    verdict, controls = stats.get("verdict") or {}, stats.get("controls") or {}
    judged, threshold = stats["judged"], stats["threshold"]
    flagged = "-"
    if threshold is not None and judged:
        between = told.interval(stats.get("share_interval"))
        flagged = f"{count(stats['flagged'])} of {count(judged)}, {share(stats['flagged'], judged)} ({between} %)"
    expected = controls.get("expected")
    return [
        trait,
        _WORDS.get(verdict.get("kind", ""), "-"),
        flagged,
        "-" if expected is None else f"{expected:,.1f}",
        verdicts.random(stats),
        told.mean_line(stats) or "-",
        _threshold(stats),
    ]


def _threshold(stats: Mapping[str, Any]) -> str:
    """ "+8.54 (+8.20 to +9.11)", with the 95 % interval where both ends are known."""
    if stats["threshold"] is None:
        return "-"
    low, high = stats.get("threshold_low"), stats.get("threshold_high")
    between = "" if low is None or high is None else f" ({score(low, 2)} to {score(high, 2)})"
    return score(stats["threshold"], 2) + between


def _verdicts(traits: Mapping[str, Any]) -> Iterator[str]:
    for trait, stats in traits.items():
        verdict = stats.get("verdict") or {}
        doubt = f"; {verdict['doubt']}" if verdict.get("doubt") else ""
        sentence = plain(verdict.get("sentence", "no verdict") + doubt)
        yield f"- **{plain(trait)}**: {sentence}. Threshold: {plain(stats['rule'])}."


def _how(scan: Scan, facts: Facts) -> Iterator[tuple[str, str]]:
    identity, model = scan.folder.identity, facts.get("model")
    if model:
        toy = ", the embedded toy model: its scores say little about another" if model["embedded"] else ""
        yield "model", f"{plain(_name(model['name']))}{toy}; {plain(model['dtype'])} on {plain(model['device'])}"
    if "model" in identity:
        yield "weights", f"SHA-256 {plain(identity['model']['weights'])}"
    for trait, vector in identity.get("vectors", {}).items():
        yield f"vector of {plain(trait)}", f"layer {vector['layer']}, SHA-256 {plain(vector['sha256'])}"
    baseline = scan.folder.baseline
    yield "baseline", f"{plain(baseline.name)}: {plain(baseline.meaning)}"
    for file in identity["dataset"]["files"]:
        yield "dataset file", f"{count(file['bytes'])} bytes, SHA-256 {plain(file['sha256'])}"
    if versions := facts.get("versions"):
        yield "versions", ", ".join(f"{plain(name)} {plain(version)}" for name, version in versions.items())
    yield "run", plain(scan.folder.run)


def _name(model: str) -> str:
    """A model's name on a hub as it is; of a path only its last part, for a card is published."""
    return PurePath(model).name if model.startswith(("/", ".", "~")) or "\\" in model else model


def _skipped(found: Mapping[str, Any]) -> str:
    if not found["skipped"]:
        return "None: every row was scored."
    codes = [(code, count(rows)) for code, rows in found["skipped_by_code"].items()]
    return table(("code", "rows"), codes)
