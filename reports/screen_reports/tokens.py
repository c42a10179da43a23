"""An answer with its tokens coloured by projection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from rich.text import Text

from screen.scoring.concentration import LEAST_TOKENS, MOST
from screen_reports.console import Terminal
from screen_reports.rows import Row
from screen_reports.text import one_line, score, visible

_RED, _BLUE, _DARK = (196, 60, 60), (60, 90, 190), (30, 30, 30)  # white is readable on all of them and between
_FULL = (
    0.9  # the quantile of the tokens' distances from the middle that has the full colour: a few do not fade the rest
)
_FAINT = 0.08  # of the full colour: below it a token has none


def print_tokens(terminal: Terminal, row: Row, turns: Sequence[Mapping[str, Any]], trait: str) -> None:
    """Each scored turn: its figures, the answer coloured, its top windows, and the baseline response."""
    stored = {(s.variant, t["turn"]): t for s in row.sides for t in s.turns}
    for turn in turns:
        known = stored.get((turn["variant"], turn["turn"]), {})
        projections, centre = turn["traits"][trait], known.get(f"{trait}_baseline")
        middle = projections["mean"] if centre is None else centre
        side = f", {turn['variant']}" if turn["variant"] else ""
        terminal.put(f"row {turn['row']}{side}, turn {turn['turn']}, by {trait}", style="bold")
        terminal.put(_figures(projections, centre, known.get(f"{trait}_projection")))
        if said := carriers(turn, trait, known.get(f"{trait}_top2")):
            terminal.put(said)
        terminal.put()
        terminal.fact("prompt", one_line(turn["prompt"]))
        terminal.put()
        terminal.print(coloured(turn, trait, middle) if terminal.coloured else marked(turn, trait), soft_wrap=False)
        terminal.put()
        for i, window in enumerate(projections["windows"]):
            place = f"characters {window['start']}-{window['end']}"
            terminal.fact(f"top {i + 1}", f"{score(window['mean'], 2)} at {place}: {one_line(window['text'])}")
        if known.get("base_answer"):
            terminal.fact("own", one_line(known["base_answer"]))
        terminal.put()


def _figures(projections: Mapping[str, Any], centre: float | None, stored: float | None) -> str:
    parts = [f"mean of the tokens {score(projections['mean'], 2)}"]
    if stored is not None:
        parts.append(f"stored {score(stored, 2)} (off by {abs(projections['mean'] - stored):.1e})")
    if centre is not None:
        parts.append(f"the baseline response's {score(centre, 2)}")
    if projections["thought"] is not None:
        parts.append(f"thought {score(projections['thought'], 2)}, after it {score(projections['said'], 2)}")
    return "; ".join(parts)


def carriers(turn: Mapping[str, Any], trait: str, share: float | None) -> str:
    """Which two tokens lie highest, and the share they carry of what lies above the baseline; "" where nothing does."""
    if share is None or len(turn["tokens"]) < 2:
        return ""
    first, second = sorted(turn["tokens"], key=lambda t: -float(t[trait]))[:2]
    shown = " and ".join(f'"{_named(turn["text"][t["start"] : t["end"]])}"' for t in (first, second))
    few = ": few tokens carry this score" if share > MOST and len(turn["tokens"]) >= LEAST_TOKENS else ""
    return (
        f"two of {len(turn['tokens'])} tokens, {shown}, carry {100 * share:.0f} % of what lies above the baseline{few}"
    )


def coloured(turn: Mapping[str, Any], trait: str, middle: float) -> Text:
    """The answer with a background a token: red above `middle`, blue below, as strong as it is far."""
    text, tokens = turn["text"], turn["tokens"]
    full = _full([abs(t[trait] - middle) for t in tokens])
    line, at = Text(), 0
    for token in tokens:
        start, end = max(at, token["start"]), max(at, token["end"])
        line.append(_shown(text[at:start]))
        strength = min(abs(token[trait] - middle) / full, 1.0)
        line.append(_shown(text[start:end]), style=colour(strength, token[trait] > middle))
        at = end
    line.append(_shown(text[at:]))
    return line


def colour(strength: float, above: bool) -> str:
    """The style of a token that is `strength` (0 to 1) of the full colour; its own text colour, so that it is readable
    on dark and on light terminals alike."""
    if strength <= _FAINT:
        return ""
    ends = zip(_DARK, _RED if above else _BLUE, strict=True)
    r, g, b = (round(dark + (full - dark) * strength) for dark, full in ends)
    return f"rgb(255,255,255) on rgb({r},{g},{b})"


def _full(distances: Sequence[float]) -> float:
    """The distance from the middle that has the full colour."""
    ordered = sorted(distances)
    clipped = ordered[ceil(_FULL * len(ordered)) - 1] if ordered else 0.0
    return clipped or (ordered[-1] if ordered else 0.0) or 1.0


def marked(turn: Mapping[str, Any], trait: str) -> Text:
    """Without colours: the highest window between brackets."""
    text, windows = turn["text"], turn["traits"][trait]["windows"]
    if not windows:
        return Text(_shown(text))
    start, end = windows[0]["start"], windows[0]["end"]
    return Text(f"{_shown(text[:start])}>>{_shown(text[start:end])}<<{_shown(text[end:])}")


def _named(text: str) -> str:
    """A token between quotes: white space that would not show is escaped."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _shown(text: str) -> str:
    """Lines stay lines; nothing else of the data reaches the terminal raw."""
    return "\n".join(visible(line) for line in text.split("\n"))
