"""One row on the screen: scores, labels, the answer with its highest windows marked, the model's own beside it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from screen_reports import rows
from screen_reports.browse.listing import Listing
from screen_reports.console import MARK
from screen_reports.page import labelled, pieces, place, remarks
from screen_reports.text import digits, one_line, score, visible

_WIDE = 100  # columns from which two texts stand side by side


class RowPage(Screen[None]):
    """Keys that label are the application's."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.pop_screen", "Back", key_display="esc"),
        Binding("right,right_square_bracket", "app.step(1)", "Row", key_display=">"),
        Binding("left,left_square_bracket", "app.step(-1)", "Row", key_display="<"),
    ]

    def __init__(self, listing: Listing, row: int) -> None:
        super().__init__()
        self.listing, self.row = listing, row

    def compose(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        with Horizontal(id="texts"):
            with VerticalScroll(id="answer"):
                yield Static(id="answer-text", markup=False)
            with VerticalScroll(id="own"):
                yield Static(id="own-text", markup=False)
        yield Static(id="said", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.renew()
        self.query_one("#answer").focus()

    def on_resize(self) -> None:
        self.query_one("#texts").set_class(self.size.width < _WIDE, "stacked")

    def show(self, row: int) -> None:
        self.row = row
        self.renew()
        for name in ("#answer", "#own"):
            self.query_one(name).scroll_home(animate=False)

    def renew(self) -> None:
        found = rows.find(self.listing.scan, self.row)
        self.query_one("#head", Static).update(heading(found, self.listing.trait))
        self.query_one("#answer-text", Static).update(answers(found, self.listing.trait))
        self.query_one("#own-text", Static).update(own_answers(found))


def heading(row: rows.Row, trait: str) -> Text:
    """Where the row stands, what was said of it, and a line a trait."""
    head = Text()
    for label in row.labels:
        head.append(f"{one_line(labelled(label))}\n", "bold")
    for side in row.sides:
        facts = side.facts
        name = f", id {facts['id']}" if facts["id"] is not None else ""
        variant = f", {side.variant}" if side.variant else ""
        head.append(one_line(f"row {facts['row']:,}{variant}, {Path(place(facts)).name}{name}") + "\n", "bold")
        for remark in remarks(facts):
            head.append(one_line(remark) + "\n", "dim")
        decimals = digits(s["ranked"] for s in side.scores.values())
        shown = []
        for own, found in side.scores.items():
            where = "" if found["place"] is None else f" p{100 * found['place']:.1f}"
            flag = "*" if found["flagged"] else ""
            shown.append((f"{one_line(own)} {score(found['ranked'], decimals)}{flag}{where}", own == trait))
        for at, (text, current) in enumerate(shown):
            head.append("   " * bool(at))
            head.append(text, "bold" if current else "")
        head.append("\n")
    head.rstrip()
    return head


def answers(row: rows.Row, trait: str) -> Text:
    """Prompts and answers, to their end; a turn's highest window for the trait is marked."""
    body = Text()
    for side in row.sides:
        for turn in side.turns:
            if turn["prompt"]:
                body.append("prompt\n", "bold")
                body.append(visible(turn["prompt"]) + "\n\n")
            which = f" {turn['turn']}" if len(side.turns) > 1 else ""
            variant = f", {side.variant}" if side.variant else ""
            body.append(f"answer{which}{variant}: marked, its highest window for {one_line(trait)}\n", "bold")
            span = turn[f"{trait}_window_start"], turn[f"{trait}_window_end"]
            for text, marked in pieces(turn["text"] or "", *span, True):
                body.append(visible(text), MARK if marked else "")
            body.append("\n\n")
    body.rstrip()
    return body


def own_answers(row: rows.Row) -> Text:
    """What the model itself answers to the same prompts."""
    body = Text()
    for side in row.sides:
        for turn in side.turns:
            body.append("the baseline response" + (", a refusal" if turn["base_refused"] else "") + "\n", "bold")
            known = turn["base_answer"]
            body.append(visible(known or ("(none is stored)" if known is None else "(it ended at once)")) + "\n\n")
    body.rstrip()
    return body
