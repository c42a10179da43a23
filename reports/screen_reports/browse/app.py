"""The viewer: keys, the line in which something is typed, and what was said last."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

from screen.errors import ScreenError, near
from screen.store.scan import Scan
from screen_reports.browse.lines import RowLines
from screen_reports.browse.listing import Listing
from screen_reports.browse.row_page import RowPage
from screen_reports.text import one_line, plural, visible

HELP = """\
Move    up, down, page up, page down, home, end; enter opens a row;
        there, right and left go to the next row and back, esc leaves it
Label   k keep   d drop   u unsure   n note   z undo
        backspace takes the label back
Next    . row without a label
        x row without a label that `screen sample` drew
Sort    s by the next column   r the other way round
        t marks the windows of another trait
Narrow  / rows that hold a text, or have it as id
        f by an expression of `screen filter`, such as
          flagged and label = 'none'
        esc shows all rows again
Leave   q

* is above the trait's threshold. Labels stay in the run's folder, the
last one counts, and no score ever depends on them."""
_TYPED = {"search": "search: ", "filter": "filter: ", "note": "note: "}


class Help(ModalScreen[None]):
    """All keys; any key closes it."""

    def compose(self) -> ComposeResult:
        yield Static(HELP, id="help", markup=False)

    def on_key(self, event: Key) -> None:
        event.stop()
        self.dismiss()


class Browser(App[None]):
    """A run, row by row."""

    TITLE = "screen browse"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #title, #said, #head { height: auto; max-height: 8; padding: 0 1; }
    #head { max-height: 40%; }
    #title { background: $primary; color: $text; }
    #said { color: $warning; min-height: 1; }
    RowLines { height: 1fr; overflow-x: hidden; }
    #typed { display: none; height: 3; }
    #typed.open { display: block; }
    #texts { height: 1fr; }
    #texts.stacked { layout: vertical; }
    #answer, #own { width: 1fr; height: 1fr; padding: 0 1; }
    #texts.stacked > #answer { height: 2fr; border-bottom: solid $primary; }
    #help { background: $surface; border: solid $primary; padding: 1 2; width: 80; height: auto; }
    Help { align: center middle; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
        Binding("k", "label('keep')", "Keep"),
        Binding("d", "label('drop')", "Drop"),
        Binding("u", "label('unsure')", "Unsure"),
        Binding("backspace", "label('')", show=False),
        Binding("n", "type('note')", "Note"),
        Binding("z", "undo", "Undo"),
        Binding("full_stop", "unlabelled", "Next", key_display="."),
        Binding("x", "drawn", show=False),
        Binding("s", "sort", show=False),
        Binding("r", "reverse", show=False),
        Binding("t", "trait", show=False),
        Binding("slash", "type('search')", "Search", key_display="/"),
        Binding("f", "type('filter')", "Filter"),
        Binding("escape", "all_rows", show=False),
    ]

    def __init__(self, scan: Scan, trait: str | None = None) -> None:
        super().__init__()
        self.listing = Listing(scan, trait)
        self.typing = ""

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield RowLines(self.listing)
        yield Static(id="said", markup=False)
        yield Input(id="typed")
        yield Footer()

    def on_mount(self) -> None:
        self.lines.focus()
        self.renew()

    @property
    def lines(self) -> RowLines:
        return self.screen_stack[0].query_one(RowLines)

    @property
    def row(self) -> int | None:
        """The row that keys are about: the one that is open, or under the cursor."""
        if isinstance(self.screen, RowPage):
            return self.screen.row
        return self.listing.row(self.lines.cursor) if len(self.listing) else None

    def renew(self, said: str = "") -> None:
        """Everything on the screen, after something has changed; `said`: what there is to say of it."""
        listing = self.listing
        scan = listing.scan
        parts = [near(scan.path), f"{len(listing):,} of {plural(len(listing.rows), 'row')}"]
        parts += [f"{listing.skipped:,} skipped"] * bool(listing.skipped)
        parts += ["not finished"] * (not scan.folder.finished)
        parts += [f"{len(listing.record.current):,} labelled", f"by {listing.by}"]
        parts += [f"windows of {listing.trait}"] * (listing.trait != listing.by)
        parts += [listing.narrowed] * bool(listing.narrowed)
        parts += ["read-only"] * (not os.access(scan.path, os.W_OK))
        self.screen_stack[0].query_one("#title", Static).update(Text(one_line(" · ".join(parts))))
        self.lines.renew()
        if isinstance(self.screen, RowPage):
            self.screen.renew()
        self.screen.query_one("#said", Static).update(Text(visible(said)))

    def on_row_lines_opened(self, event: RowLines.Opened) -> None:
        self.push_screen(RowPage(self.listing, self.listing.row(event.line)))

    def action_step(self, by: int) -> None:
        page, at = self.screen, self.lines.cursor + by
        if isinstance(page, RowPage) and 0 <= at < len(self.listing):
            self.lines.go(at)
            page.show(self.listing.row(at))
            self.renew()

    def _go(self, row: int) -> None:
        """To a row, also one that is not listed: that one is opened."""
        line = self.listing.line_of(row)
        if line is not None:
            self.lines.go(line)
        if isinstance(self.screen, RowPage):
            self.screen.show(row)
        elif line is None:
            self.push_screen(RowPage(self.listing, row))

    def action_label(self, word: str) -> None:
        row = self.row
        if row is None:
            return
        known = self.listing.record.current.get(row, {}).get(None)
        note = known.note if known is not None and word else None
        self._try(lambda: self.listing.label(row, word or None, note), f"row {row:,}: {word or 'label taken back'}")

    def _try(self, do: Callable[[], None], done: str) -> bool:
        try:
            do()
        except ScreenError as error:
            self.renew(f"{error.message}\nnext: {error.next_step}" if error.next_step else error.message)
            return False
        self.renew(done)
        return True

    def action_undo(self) -> None:
        def back() -> None:
            row = self.listing.undo()
            if row is not None:
                self._go(row)

        self._try(back, "undone")

    def action_unlabelled(self) -> None:
        line = self.listing.next_unlabelled(self.lines.cursor) if len(self.listing) else None
        if line is None:
            self.renew("every row that is listed has a label")
            return
        self._go(self.listing.row(line))
        self.renew()

    def action_drawn(self) -> None:
        row = self.listing.next_drawn(-1 if self.row is None else self.row)
        if row is None:
            self.renew(f"no row waits that was drawn for {self.listing.trait}: screen sample RUN draws some")
            return
        self._go(row)
        self.renew("drawn by screen sample")

    def action_sort(self) -> None:
        names = [*self.listing.scan.traits, "row"]
        by = names[(names.index(self.listing.by) + 1) % len(names)]
        self._sorted(by, by != "row")

    def action_reverse(self) -> None:
        self._sorted(self.listing.by, not self.listing.descending)

    def _sorted(self, by: str, descending: bool) -> None:
        if by != "row":
            self.listing.trait = by
        self.listing.sort(by, descending)
        self.lines.cursor = 0
        self.renew()

    def action_trait(self) -> None:
        traits = self.listing.scan.traits
        self.listing.trait = traits[(traits.index(self.listing.trait) + 1) % len(traits)]
        self.renew()

    def action_all_rows(self) -> None:
        if self.query_one("#typed").has_class("open"):
            self._close()
        else:
            self._try(lambda: self.listing.narrow(""), "")

    def action_help(self) -> None:
        self.push_screen(Help())

    def action_type(self, what: str) -> None:
        row = self.row
        known = self.listing.record.current.get(row, {}).get(None) if row is not None else None
        if what == "note" and known is None:
            self.renew("a note goes with a label of the row: k, d or u first")
            return
        if isinstance(self.screen, RowPage):
            self.pop_screen()
        self.typing = what
        line = self.screen_stack[0].query_one("#typed", Input)
        line.border_title = Text(_TYPED[what]).plain
        line.value = (known.note or "") if what == "note" and known is not None else ""
        line.add_class("open")
        line.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        what, text = self.typing, event.value
        self._close()
        row = self.row
        if what == "note" and row is not None:
            word = self.listing.record.current[row][None].label
            self._try(lambda: self.listing.label(row, word, text.strip() or None), f"row {row:,}: noted")
            return
        narrow = self.listing.search if what == "search" else self.listing.narrow
        self.renew(f"looking through {plural(len(self.listing.rows), 'row')}")
        self.call_after_refresh(self._narrow, narrow, text)

    def _narrow(self, narrow: Callable[[str], None], text: str) -> None:
        self.lines.cursor = 0
        if self._try(lambda: narrow(text), "") and not len(self.listing):
            self.renew("no row matches; esc: all rows again")

    def _close(self) -> None:
        self.screen_stack[0].query_one("#typed", Input).remove_class("open")
        self.lines.focus()
