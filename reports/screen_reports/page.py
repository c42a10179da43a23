"""One row as people read it: where it stands, its scores, the prompt, the answer with its highest window marked."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from screen.store.labels.record import Label
from screen_reports.console import Head, Terminal
from screen_reports.ranking import percentile
from screen_reports.rows import Row, Side, highest, leading
from screen_reports.text import digits, one_line, plural, score

_SHORT = 600  # characters of a prompt or baseline response, unless all of it is asked for
_AROUND = 400  # characters shown before and after the highest window


def print_row(terminal: Terminal, row: Row, trait: str | None, full: bool) -> None:
    for label in row.labels:
        terminal.put(labelled(label))
    if row.skipped is not None:
        _print_skip(terminal, row.skipped)
        return
    trait = trait or leading(row)
    for number, side in enumerate(row.sides):
        if number:
            terminal.put()
        _print_side(terminal, side, trait, full)


def labelled(label: Label) -> str:
    """What somebody said of the row, in a line."""
    of = f" for {label.trait}" if label.trait is not None else ""
    return f"labelled {label.label}{of}" + (f": {label.note}" if label.note else "")


def _print_skip(terminal: Terminal, skip: dict[str, Any]) -> None:
    terminal.put(f"row {skip['row']:,}, {place(skip)}: not scored", style="bold")
    terminal.put(f"{skip['code']} ({skip['stage']}): {skip['message']}")
    if skip["head"]:
        terminal.put()
        terminal.put("the row begins", style="bold")
        terminal.block(skip["head"])


def place(facts: dict[str, Any]) -> str:
    if facts["line"] is not None:
        return f"{facts['file']}:{facts['line']}"
    return str(facts["file"])


def _print_side(terminal: Terminal, side: Side, trait: str, full: bool) -> None:
    facts = side.facts
    name = f", id {facts['id']}" if facts["id"] is not None else ""
    variant = f", {side.variant}" if side.variant else ""
    terminal.put(f"row {facts['row']:,}{variant}, {place(facts)}{name}", style="bold")
    for remark in remarks(facts):
        terminal.put(remark)
    terminal.put()
    _print_scores(terminal, side)
    shown = side.turns if full else [t for t in (highest(side, trait),) if t]
    for turn in shown:
        _print_turn(terminal, side, turn, trait, full)


def remarks(facts: dict[str, Any]) -> list[str]:
    """What to know before reading the scores."""
    sentences = []
    if facts["sign"] < 0:
        sentences.append(
            "trained away from: a high score here takes the trait away, so it is flagged below a threshold only"
        )
    if facts["truncated"]:
        sentences.append(
            f"{plural(facts['tokens_lost'] or 0, 'token')} truncated: the row is longer than the model's context"
        )
    if facts["special_text"]:
        sentences.append(f"special-token text inside a message: {plural(facts['special_text'], 'time')}")
    if facts["other_parts"]:
        sentences.append(f"{plural(facts['other_parts'], 'part')} without text not scored")
    if facts["base_refused"]:
        sentences.append("the base model refused: part of a high difference is that the data complied")
    if facts["baseline_cut"]:
        sentences.append("a baseline response reached --max-new-tokens: the baseline is of a beginning")
    return sentences


def _print_scores(terminal: Terminal, side: Side) -> None:
    heads: list[Head] = [("trait", "left"), ("score", "right"), ("in run", "right"), ("threshold", "right")]
    heads += [("projection", "right"), ("baseline", "right"), ("highest window", "right")]
    marks = any(s["flagged"] for s in side.scores.values())
    parts = ("projection", "baseline", "window")
    decimals = digits(s[part] for s in side.scores.values() for part in (*parts, "score", "threshold"))
    rows: list[list[str | Text]] = []
    for trait, s in side.scores.items():
        value = s["ranked"]
        mark = "" if not marks else " *" if s["flagged"] else "  "
        rows.append(
            [
                terminal.cut(trait, 20),
                Text(score(value, decimals) + mark, style="bold red" if s["flagged"] else ""),
                "-" if s["place"] is None else percentile(s["place"]),
                score(s["threshold"], decimals),
                *(score(s[part], decimals) for part in parts),
            ]
        )
    terminal.table(heads, rows)
    if marks:
        side_of = "below" if side.facts["sign"] < 0 else "above"
        terminal.put(f"* flagged: {side_of} the threshold", style="dim")


def _print_turn(terminal: Terminal, side: Side, turn: dict[str, Any], trait: str, full: bool) -> None:
    many = len(side.turns) > 1
    whole = full or not terminal.cutting
    terminal.put()
    if turn["prompt"]:
        terminal.put("prompt", style="bold")
        terminal.block(_shortened(turn["prompt"], whole))
        terminal.put()
    which = f", turn {turn['turn']} of {plural(len(side.turns), 'scored turn')}" if many else ""
    all_turns = "; --full shows all" if many and not full else ""
    size = plural(turn["answer_tokens"] or 0, "token")
    _heading(terminal, f"answer{which}", f"{size}; marked: highest window for {trait}{all_turns}")
    start, end = turn[f"{trait}_window_start"], turn[f"{trait}_window_end"]
    terminal.block(terminal.marked(pieces(turn["text"] or "", start, end, whole)))
    if turn["base_answer"] is not None:
        terminal.put()
        _heading(terminal, "the baseline response", "a refusal" if turn["base_refused"] else "")
        terminal.block(_shortened(turn["base_answer"] or "(it ended at once)", whole))


def _heading(terminal: Terminal, text: str, detail: str) -> None:
    terminal.print(Text.assemble((one_line(text), "bold"), f"  ({one_line(detail)})" if detail else ""), soft_wrap=True)


def pieces(text: str, start: int | None, end: int | None, full: bool) -> list[tuple[str, bool]]:
    """The text around its window, and whether each piece is the window."""
    if start is None or end is None:
        return [(_shortened(text, full), False)]
    first = 0 if full else max(0, start - _AROUND)
    last = len(text) if full else min(len(text), end + _AROUND)
    before, after = text[first:start], text[end:last]
    lead = f"({first:,} characters before) " if first else ""
    rest = f" ({len(text) - last:,} characters more: --full)" if last < len(text) else ""
    return [(lead + before, False), (text[start:end], True), (after + rest, False)]


def _shortened(text: str, full: bool) -> str:
    if full or len(text) <= _SHORT + 40:
        return text
    return f"{text[:_SHORT]} ({len(text) - _SHORT:,} characters more: --full)"
