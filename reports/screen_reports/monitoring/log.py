"""What a log shows: a trait a line, alarms as sentences, then a table by day and one a field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from screen.stats import Z
from screen_reports.console import Head, Terminal
from screen_reports.text import one_line, plural, score, share

if TYPE_CHECKING:
    from screen.monitor.log import AlarmJson, LogReport, MessagePlace, Part, TraitReport, TraitStats

_DAYS = 31  # of the table; the JSON has all
_VALUES = 10


def print_log(terminal: Terminal, report: LogReport, out: Path | None) -> None:
    skipped = report["skipped"]
    terminal.put(
        f"{plural(report['conversations'], 'conversation')}, {plural(report['messages'], 'message')};"
        f" scores: projection less the baseline's ({report['baseline']}), in standard deviations of clean"
        " conversations from their mean"
    )
    if skipped["rows"]:
        codes = ", ".join(f"{one_line(code)} {count:,}" for code, count in skipped["by_code"].items())
        terminal.put(f"{plural(skipped['rows'], 'row')} skipped ({codes})", style="yellow")
        for row in skipped["first"][:3]:
            terminal.put(f"  row {row['row']}: {row['message']}", style="dim")
    terminal.put()
    _traits(terminal, report["traits"])
    _alarms(terminal, report)
    if report["days"]:
        terminal.put()
        shown = report["days"][-_DAYS:]
        left = len(report["days"]) - len(shown)
        terminal.put(f"by day, from the field {report['time']} (UTC)" + (f"; {left} earlier left out" if left else ""))
        _parts(terminal, "day", shown, report["traits"])
    for field, parts in report["groups"].items():
        terminal.put()
        left = len(parts) - _VALUES
        terminal.put(f"by {field}, the highest first" + (f"; {left} more left out" if left > 0 else ""))
        _parts(terminal, field, parts[:_VALUES], report["traits"])
    if out is not None:
        terminal.put()
        terminal.put(f"messages: {out}")


def _traits(terminal: Terminal, traits: Sequence[TraitReport]) -> None:
    heads: list[Head] = [("trait", "left"), ("mean", "right"), ("high", "right"), ("share", "right")]
    heads += [("high is above", "right"), ("alarms", "right")]
    rows: list[list[str | Text]] = []
    for t in traits:
        count = sum(alarm["count"] for alarm in t["alarms"])
        alarmed = Text(f"{count:,}", style="bold yellow" if count else "")
        limit = "-" if t["limit"] is None else f"{score(t['limit'])} ({t['limit_at']})"
        high = t["high"]
        rows.append(
            [
                t["trait"],
                _mean(t, terminal.plain),
                "-" if high is None else f"{high:,}",
                "-" if high is None else share(high, t["scored"]),
                limit,
                alarmed if t["reference"] else "-",
            ]
        )
    terminal.table(heads, rows)
    for t in traits:
        if t["reference"] is None:
            terminal.put(f"{t['trait']}: no scores of clean rows, so nothing is called high", style="yellow")


def _alarms(terminal: Terminal, report: LogReport) -> None:
    terminal.put()
    for t in report["traits"]:
        for alarm in t["alarms"]:
            terminal.put(_sentence(t["trait"], alarm), style="bold yellow")
    if not any(t["alarms"] for t in report["traits"]):
        terminal.put("no alarm")
    known = dict.fromkeys(t["reference"] for t in report["traits"] if t["reference"])
    terminal.put(
        f"of any alarm at all a log like the clean conversations of {' and '.join(known)} has a chance of"
        f" {100 * report['chance']:g} % at most"
    )


def _sentence(trait: str, alarm: AlarmJson) -> str:
    where = "" if alarm["by"] is None else f", {alarm['by']} {alarm['value']}"
    mean = "" if alarm["mean_sds"] is None else f", latest mean {score(alarm['mean_sds'], 2)}"
    more = f"; {alarm['count'] - 1} more since" if alarm["count"] > 1 else ""
    return (
        f"ALARM {trait}{where}: risen by {_place(alarm['at'])}, it seems from {_place(alarm['began'])} on{mean}{more}"
    )


def _place(place: MessagePlace) -> str:
    return f"row {place['row']}" + (f" ({place['time']})" if place["time"] else "")


def _parts(terminal: Terminal, name: str, parts: Sequence[Part], traits: Sequence[TraitReport]) -> None:
    known = [t["trait"] for t in traits if t["reference"] is not None]
    heads: list[Head] = [(one_line(name), "left"), ("conversations", "right")]
    heads += [(one_line(trait), "right") for trait in known]
    rows = [
        [
            terminal.cut(part["name"], 24) or "-",
            f"{part['conversations']:,}",
            *(_mean(part["traits"][t], terminal.plain) for t in known),
        ]
        for part in parts
    ]
    terminal.table(heads, rows)


def _mean(stats: TraitStats | TraitReport, plain: bool) -> str:
    """ "+0.31 ±0.12": with the half width of its 95 % interval."""
    if stats["mean_sds"] is None:
        return "-"
    sign = "+-" if plain else "\u00b1"
    half = "" if stats["se"] is None else f" {sign}{Z * stats['se']:.2f}"
    return f"{score(stats['mean_sds'], 2)}{half}"
