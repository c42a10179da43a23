"""An estimate, one labelled line a fact. Knows nothing of terminals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from screen_reports.text import count, duration, one_line, plural, share

Facts = Mapping[str, Any]
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def lines(facts: Facts) -> list[tuple[str, str]]:
    """(label, text) of `screen estimate`."""
    told = [*_data(facts), *_baseline(facts), *_seconds(facts), *_room(facts)]
    return [(label, one_line(text)) for label, text in told + [("note", str(note)) for note in facts["notes"]]]


def size(number: int) -> str:
    """1572864 -> "1.5 MiB"."""
    value, unit = float(number), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if value >= 10 or not unit else f"{value:.1f} {_UNITS[unit]}"


def _data(facts: Facts) -> list[tuple[str, str]]:
    files, tokens = facts["files"], facts["tokens"]
    whole = facts["looked_at"] == facts["rows"]
    names = files[0] if len(files) == 1 else f"{count(len(files))} files ({files[0]}, ...)"
    sampled = "" if whole else f"; what follows is of {plural(facts['looked_at'], 'row')}, drawn at random"
    total = count(tokens["total"]) if whole else f"about {count(tokens['total'])}"
    ends = "" if whole else f" ({count(tokens['low'])} to {count(tokens['high'])})"
    told = [
        ("data", f"{names}, {plural(facts['rows'], 'row')}, {facts['shape']}{sampled}"),
        ("tokens", f"{total}{ends}; a row {count(tokens['p50'])} (median), {count(tokens['p95'])} (95th percentile)"),
    ]
    if facts["truncated"]:
        told.append(("truncated", f"{_percent(facts['truncated'])} of the samples: longer than the model's context"))
    if facts["skipped"]:
        codes = ", ".join(f"{count(n)} {code}" for code, n in facts["skipped"].items())
        told.append(("skipped", f"{codes}, of {plural(facts['looked_at'], 'row')} looked at"))
    return told


def _percent(part: float) -> str:
    return share(max(1, round(part * 10_000)), 10_000)


def _baseline(facts: Facts) -> list[tuple[str, str]]:
    prompts, baseline = facts["prompts"], facts["baseline"]
    counted = facts["looked_at"] == facts["rows"]
    distinct = plural(prompts["distinct"], "distinct prompt")
    told = [("prompts", distinct if counted else f"about {distinct}, {count(prompts['seen'])} of them seen")]
    text = baseline["kind"] if baseline["certain"] else f"{baseline['kind']}, if the rows are as those looked at"
    if baseline["answers"] or baseline["kept"]:
        text += f": the model answers {plural(baseline['answers'], 'prompt')}"
        text += f", {count(baseline['kept'])} more are in the cache" if baseline["kept"] else ""
    if baseline["answer_tokens"] is not None and baseline["answers"]:
        text += f", in {baseline['answer_tokens']:.0f} tokens on the mean"
    return [*told, ("baseline", text)]


def _seconds(facts: Facts) -> list[tuple[str, str]]:
    seconds, measured = facts["seconds"], facts["measured"]
    parts = ("loading", "baselines", "scoring")
    told = [f"{name} {'not measured' if seconds[name] is None else duration(seconds[name])}" for name in parts]
    total = "cannot be told" if seconds["total"] is None else f"about {duration(seconds['total'])}"
    batches = f" and {plural(measured['batches'], 'batch', 'batches')} of answers" if measured["batches"] else ""
    return [
        ("model", f"{facts['model']}, {facts['device']}, {facts['dtype']}; {facts['batching']}"),
        ("time", f"{total}: {', '.join(told)}"),
        (
            "measured",
            f"{count(measured['tokens'])} tokens{batches} in {duration(measured['seconds'])}, on this machine",
        ),
    ]


def _room(facts: Facts) -> list[tuple[str, str]]:
    memory, disk = facts["memory"], facts["disk"]
    held = "not told by this system" if memory["resident"] is None else f"about {size(memory['resident'])}"
    run = "not measured" if disk["run"] is None else f"about {size(disk['run'])}"
    cache = f", {size(disk['cache'])} of answers in the cache" if disk["cache"] else ""
    return [
        ("memory", f"{held} in all processes, the model's files {size(memory['weights'])}"),
        ("disk", f"{run} for scores and turns{cache}, catalogue.duckdb beside them; {size(disk['free'])} are free"),
    ]
