"""An answer with its tokens coloured by projection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from screen_reports.console import Terminal
from screen_reports.rows import Row
from screen_reports.text import one_line, score, visible

_RED, _BLUE = (196, 60, 60), (60, 90, 190)


def print_tokens(terminal: Terminal, row: Row, turns: Sequence[Mapping[str, Any]], trait: str) -> None:
    """Each scored turn: its figures, the answer coloured, its top windows, and the base model's own answer."""
    stored = {(s.variant, t["turn"]): t for s in row.sides for t in s.turns}
    for turn in turns:
        known = stored.get((turn["variant"], turn["turn"]), {})
        told, centre = turn["traits"][trait], known.get(f"{trait}_baseline")
        middle = told["mean"] if centre is None else centre
        side = f", {turn['variant']}" if turn["variant"] else ""
        terminal.put(f"row {turn['row']}{side}, turn {turn['turn']}, by {trait}", style="bold")
        terminal.put(_figures(told, centre, known.get(f"{trait}_projection")))
        terminal.put()
        terminal.fact("prompt", one_line(turn["prompt"]))
        terminal.put()
        terminal.print(coloured(turn, trait, middle) if terminal.coloured else marked(turn, trait), soft_wrap=False)
        terminal.put()
        for i, window in enumerate(told["windows"]):
            place = f"characters {window['start']}-{window['end']}"
            terminal.fact(f"top {i + 1}", f"{score(window['mean'], 2)} at {place}: {one_line(window['text'])}")
        if known.get("base_answer"):
            terminal.fact("own", one_line(known["base_answer"]))
        terminal.put()


def _figures(told: Mapping[str, Any], centre: float | None, stored: float | None) -> str:
    parts = [f"mean of the tokens {score(told['mean'], 2)}"]
    if stored is not None:
        parts.append(f"stored {score(stored, 2)} (off by {abs(told['mean'] - stored):.1e})")
    if centre is not None:
        parts.append(f"the own answer's {score(centre, 2)}")
    if told["thought"] is not None:
        parts.append(f"thought {score(told['thought'], 2)}, after it {score(told['said'], 2)}")
    return "; ".join(parts)


def coloured(turn: Mapping[str, Any], trait: str, middle: float) -> Text:
    """The answer with a background a token: red above `middle`, blue below, as strong as it is far."""
    text, tokens = turn["text"], turn["tokens"]
    widest = max((abs(t[trait] - middle) for t in tokens), default=0.0) or 1.0
    made, at = Text(), 0
    for token in tokens:
        start, end = max(at, token["start"]), max(at, token["end"])
        made.append(_shown(text[at:start]))
        strength = abs(token[trait] - middle) / widest
        r, g, b = (round(30 + (c - 30) * strength) for c in (_RED if token[trait] > middle else _BLUE))
        style = f"on rgb({r},{g},{b})" if strength > 0.08 else ""
        made.append(_shown(text[start:end]), style=style)
        at = end
    made.append(_shown(text[at:]))
    return made


def marked(turn: Mapping[str, Any], trait: str) -> Text:
    """Without colours: the highest window between brackets."""
    text, windows = turn["text"], turn["traits"][trait]["windows"]
    if not windows:
        return Text(_shown(text))
    start, end = windows[0]["start"], windows[0]["end"]
    return Text(f"{_shown(text[:start])}>>{_shown(text[start:end])}<<{_shown(text[end:])}")


def _shown(text: str) -> str:
    """Lines stay lines; nothing else of the data reaches the terminal raw."""
    return "\n".join(visible(line) for line in text.split("\n"))
