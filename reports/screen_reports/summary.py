"""What a run found, on one screen: a line a trait, what was skipped, the highest rows, what to type next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from rich.text import Text

from screen.baselines.table import kind_of
from screen.scoring.findings.verdict import LENGTH
from screen.store.scan import Scan
from screen_reports import notes, queries, verdicts
from screen_reports.console import Head, Terminal
from screen_reports.drawings.of_run import print_distribution
from screen_reports.queries import Ranked
from screen_reports.ranking import quoted_excerpt
from screen_reports.text import count, digits, duration, one_line, plural, score, share

Summary = Mapping[str, Any]
_DRAWN = 4  # traits whose distribution is drawn


def print_summary(terminal: Terminal, scan: Scan, summary: Summary, path: Path) -> None:
    """The whole report of a run that has ended; `path` is its folder as the user names it."""
    trait = leading(summary["traits"], verdicts.reviewed(summary))
    rows: Sequence[Ranked] = ()
    if trait is not None:
        stats = summary["traits"][trait]
        rows = queries.top_rows(scan, stats.get("column", trait), trait, 3, limit=stats["threshold"])
    terminal.put()
    terminal.put(headline(summary))
    terminal.put()
    _traits(terminal, summary)
    for line, style in verdicts.verdicts(summary):
        terminal.put(line, style=style)
    for reviewed in verdicts.reviewed(summary)[:_DRAWN]:
        stats = summary["traits"][reviewed]
        print_distribution(terminal, scan, stats.get("column", reviewed), stats["threshold"])
    terminal.put()
    for line in means(summary):
        terminal.put(f"mean of {line}")
    for line in doubts(summary) + remarks(summary):
        terminal.put(line)
    _top_rows(terminal, rows, trait or "")
    _paths(terminal, scan, path)
    _next(terminal, verdicts.next_commands(summary, str(path), scan.folder.facts), path, rows, summary["skipped"] > 0)


def headline(summary: Summary) -> str:
    """ "300 rows: 297 scored, 3 skipped; 12,345 tokens in 1 min 20 s" """
    samples, scored = summary.get("samples", 0), summary["scored"]
    pairs = f" ({plural(samples, 'sample')})" if samples != scored else ""
    text = f"{plural(summary['rows'], 'row')}: {_scored(summary)}{pairs}, {count(summary['skipped'])} skipped"
    tokens, seconds = summary.get("tokens", 0), float(summary.get("seconds", 0))
    if tokens:
        text += f"; {plural(tokens, 'token')} in {duration(seconds)}"
    if summary.get("resumed_rows"):
        text += f" ({plural(summary['resumed_rows'], 'row')} done before)"
    return text


def _scored(summary: Summary) -> str:
    """ "10 scored, 290 carried from chats.screen" """
    since = summary.get("since")
    if since is None:
        return f"{count(summary['scored'])} scored"
    return f"{count(since['scored'])} scored, {count(since['carried'])} carried from {since['path']}"


def _traits(terminal: Terminal, summary: Summary) -> None:
    """A line a trait: rows flagged and their share, with its 95 % interval; rows that random directions flag."""
    controlled = any(stats.get("controls") for stats in summary["traits"].values())
    shown = ("p95", "max", "threshold")
    heads: list[Head] = [("trait", "left"), ("flagged", "right"), ("share", "right"), ("95 %", "right")]
    heads += [("random", "right")] if controlled else []
    heads += [(name, "right") for name in shown]
    decimals = digits(stats[name] for stats in summary["traits"].values() for name in shown)
    rows: list[list[str | Text]] = []
    for trait, stats in summary["traits"].items():
        flagged = stats["flagged"]
        rows.append(
            [
                terminal.cut(trait, 24),
                Text(count(flagged), style="bold red" if flagged else ""),
                share(flagged, stats.get("judged", stats["n"])),
                interval(stats.get("share_interval")),
                *([verdicts.random(stats)] if controlled else []),
                *(score(stats[name], decimals) for name in shown),
            ]
        )
    terminal.table(heads, rows)
    terminal.put()


def interval(shares: Sequence[float] | None) -> str:
    """(0.085, 0.158) -> "8.5-15.8"."""
    return f"{100 * shares[0]:.1f}-{100 * shares[1]:.1f}" if shares else "-"


def doubts(summary: Summary) -> list[str]:
    """What else to keep in mind of the traits: the embedding-layer control, other traits, few tokens."""
    sentences = []
    for trait, stats in summary["traits"].items():
        doubt = (stats.get("verdict") or {}).get("doubt")
        if doubt:
            sentences.append(f"{trait}: {doubt}")
        rank = (stats.get("controls") or {}).get("length_correlation") or 0.0
        if abs(rank) >= LENGTH and stats["flagged"]:
            sentences.append(
                f"{trait}: the score goes with the answer's length (rank correlation {rank:+.2f}); `screen cut RUN --by"
                f" {trait} --match length` compares rows of like length"
            )
        if refused := stats["flagged_base_refused"]:
            rows = f"{count(refused)} of {plural(stats['flagged'], 'flagged row')}"
            sentences.append(f"{trait}: {rows} answer what the base model refused or asked back")
        away = stats.get("away")
        if away and away["rows"]:  # the rejected sides of pairs have no score of their own
            sentences.append(
                f"{trait}: {count(away['rows'])} of {plural(stats['judged'], 'row')} push away:"
                f" {count(away['above'])} above the threshold, not flagged, as they teach against the trait;"
                f" {count(away['flagged'])} as far below, flagged, as they teach it"
            )
        if few := stats.get("flagged_few_tokens"):
            rows = f"{count(few)} of {plural(stats['flagged'], 'flagged row')}"
            sentences.append(f"{trait}: in {rows} two tokens carry more than half of the score")
    reviewed = verdicts.reviewed(summary)
    for better in (f for f in summary.get("better_explained", ()) if f["trait"] in reviewed):
        rows = f"{count(better['rows'])} of {count(better['of'])} flagged rows"
        sentences.append(f"{better['trait']}: {rows} stand higher on {better['other']}, which may explain them better")
    return sentences


def means(summary: Summary) -> list[str]:
    """The dataset's mean score a trait with its 95 % interval, and of each group where there are several."""
    lines = []
    for trait, stats in summary["traits"].items():
        if not (line := mean_line(stats)):
            continue
        whole = stats["dataset"]
        line = f"{trait} {line}"
        groups = [g for g in whole["groups"] if g.get("low") is not None]
        if len(whole["groups"]) > 1 and groups:
            top = sorted(groups, key=lambda g: -g["mean"])[:2]
            line += "; highest: " + ", ".join(f"{one_line(g['group'])} {score(g['mean'], 2)}" for g in top)
        if whole.get("answers_saved"):
            line += f"; estimates narrow it as {plural(whole['answers_saved'], 'more answer')} would"
        lines.append(line)
    return lines


def mean_line(stats: Mapping[str, Any]) -> str:
    """ "+3.49 (+2.68 to +4.44)": the dataset's mean score with its 95 % interval; "" where there is none."""
    whole = stats.get("dataset") or {}
    if whole.get("mean") is None or whole.get("low") is None:
        return ""
    return f"{score(whole['mean'], 2)} ({score(whole['low'], 2)} to {score(whole['high'], 2)})"


def remarks(summary: Summary) -> list[str]:
    """One sentence for each thing that a reader of the figures has to know."""
    sentences = [line] if (line := verdicts.legend(summary)) else []
    sentences += [f"threshold of {', '.join(traits)}: {rule}" for rule, traits in _by_rule(summary["traits"]).items()]
    kind = kind_of(summary["baseline"]["kind"])
    sentences += [kind.remark] if kind.remark else []
    sentences += [f"{label}: {text}" for label, text in notes.coverage(summary)]
    codes = summary["skipped_by_code"]
    if codes:
        sentences.append("skipped: " + ", ".join(f"{count(n)} {code}" for code, n in codes.items()))
    baseline = summary["baseline"]
    samples = summary.get("samples", 0)
    lost = (
        (summary.get("truncated", 0), "truncated: longer than the model's context"),
        (summary.get("special_text", 0), "with special-token text such as <|im_end|> inside a message"),
        (baseline.get("cut", 0), "whose baseline response reached --max-new-tokens"),
        (0 if kind.pairs else baseline["without"], "without a baseline: no score"),
    )
    sentences += [f"{count(n)} of {plural(samples, 'sample')} {what}" for n, what in lost if n]
    return sentences + [str(note) for note in summary.get("notes", ())]


def _by_rule(traits: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    rules: dict[str, list[str]] = {}
    for trait, stats in traits.items():
        ends = (stats.get("threshold_low"), stats.get("threshold_high"))
        sure = "" if ends == (None, None) else f" ({_end(ends[0])} to {_end(ends[1])})"
        rules.setdefault(stats["rule"], []).append(f"{trait}{sure}")
    return rules


def _end(value: float | None) -> str:
    return "unknown" if value is None else score(value, 2)


def leading(traits: Mapping[str, Mapping[str, Any]], among: Sequence[str]) -> str | None:
    """Of some traits the one whose highest score lies furthest above its threshold, in units of its own spread; None
    where there are none."""

    def excess(trait: str) -> float:
        s = traits[trait]
        if s["threshold"] is None or s["max"] is None:
            return float("-inf")
        spread = abs(s["p95"] - s["p50"]) or abs(s["threshold"]) or 1.0
        return float((s["max"] - s["threshold"]) / spread)

    return max(among, key=excess, default=None)


def _top_rows(terminal: Terminal, rows: Sequence[Ranked], trait: str) -> None:
    if rows:
        terminal.put()
        terminal.put(f"highest {trait}:", style="bold")
        decimals = digits(r.score for r in rows)
        cells: list[list[str | Text]] = [
            [
                f"row {r.row}" + (f", {r.variant}" if r.variant else ""),
                score(r.score, decimals),
                quoted_excerpt(terminal, r.excerpt),
            ]
            for r in rows
        ]
        terminal.table([("", "left"), ("", "right"), ("", "fill")], cells, shown=False)


def _paths(terminal: Terminal, scan: Scan, path: Path) -> None:
    parts = ("scores", "turns", "skipped", "summary.json", "catalogue.duckdb", "report.html")
    written = [name for name in parts if (scan.path / name).exists()]
    terminal.put()
    terminal.put(f"written to {path}/: {', '.join(written)}")


def _next(terminal: Terminal, fitting: Sequence[str], path: Path, rows: Sequence[Ranked], skipped: bool) -> None:
    place = quote(str(path))
    commands = list(fitting)
    commands += [f"screen show {place} {rows[0].row}"] if rows else []
    commands += [f"screen sql {place} 'select code, count(*) from skipped group by 1'"] if skipped else []
    if commands:
        terminal.put("next:", style="bold")
    for command in dict.fromkeys(commands):
        terminal.print(Text(f"  {one_line(command)}"), soft_wrap=True)
