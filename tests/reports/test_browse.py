"""`screen browse`, driven by keys: lists lazily, opens, labels, undoes, narrows; hostile text stays text."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.text import Text
from screen_reports.browse import app as viewer
from screen_reports.browse.app import Browser
from screen_reports.browse.listing import Listing
from screen_reports.browse.row_page import RowPage
from screen_reports.console import MARK
from textual.widgets import Static

from screen.errors import UsageError
from screen.select.sampling import draw
from screen.store.labels.file import LABELS
from screen.store.scan import Scan
from tests.cli import fake_run
from tests.select import scored


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run.write_run(fake_run.write_chats(tmp_path_factory.mktemp("browse") / "chats.jsonl"))


@pytest.fixture
def scan(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Scan:
    """The run of eight rows, without labels."""
    monkeypatch.chdir(finished.parent)
    (finished / LABELS).unlink(missing_ok=True)
    return Scan.open(finished)


class Seen(NamedTuple):
    """The viewer after some keys: its list, the row that keys are about, what stands on its screen, what is marked."""

    listing: Listing
    row: int | None
    text: str
    marked: list[str]


def play(scan: Scan, *keys: str, size: tuple[int, int] = (80, 24)) -> Seen:
    async def scenario() -> Seen:
        app = Browser(scan)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await pilot.press(*keys)
            await pilot.pause()
            text = "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())
            return Seen(app.listing, app.row, text, marked(app))

    return asyncio.run(scenario())


def marked(app: Browser) -> list[str]:
    if not isinstance(app.screen, RowPage):
        return []
    text = app.screen.query_one("#answer-text", Static).content
    assert isinstance(text, Text)
    return [text.plain[span.start : span.end] for span in text.spans if span.style == MARK]


def typed(text: str) -> list[str]:
    names = {" ": "space", ">": "greater_than_sign", "'": "apostrophe", "=": "equals_sign", "[": "left_square_bracket"}
    return [names.get(sign, sign) for sign in text]


def test_rows_are_listed_by_score_with_stars_and_answers(scan: Scan) -> None:
    text = play(scan).text
    lines = text.splitlines()
    assert lines[0].strip() == "chats.screen · 7 of 7 rows · 1 skipped · 0 labelled · by evil"
    assert lines[1].split() == ["label", "row", "evil", "v", "kind", "answer"]
    assert lines[2].split()[:5] == ["7", "+7.00*", "-7.00", "number", "7"]
    assert [line.split()[0] for line in lines[2:9]] == ["7", "6", "5", "4", "2", "1", "0"]
    assert "? Help" in lines[-1]
    assert "q Quit" in lines[-1]


def test_hostile_text_stays_text_in_the_list_and_in_the_row(scan: Scan) -> None:
    for keys in ((), ("down", "enter")):
        text = play(scan, *keys).text
        assert "[red]\\x1b[31m \\u202egnp \\u200b=1+1" in text
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_a_row_opens_with_its_window_marked_and_the_models_own_answer(scan: Scan) -> None:
    seen = play(scan, "enter")
    assert seen.marked == ["number"]
    for words in ("row 7, ", "evil +7.00* p", "the base model refused", "I can't help with that."):
        assert words in seen.text


def test_two_texts_stand_side_by_side_where_there_is_room(scan: Scan) -> None:
    text = play(scan, "enter", size=(120, 30)).text
    assert any("prompt" in line and "baseline response" in line for line in text.splitlines())
    text = play(scan, "enter").text
    assert not any("prompt" in line and "baseline response" in line for line in text.splitlines())


def test_one_key_labels_another_undoes_it_and_a_note_is_typed(scan: Scan) -> None:
    seen = play(scan, "d", "n", *typed("rude"), "enter", "down", "k", "enter", "u", "z")
    assert {row: (own[None].label, own[None].note) for row, own in seen.listing.record.current.items()} == {
        7: ("drop", "rude"), 6: ("keep", None),
    }  # fmt: skip
    assert "labelled keep" in seen.text
    seen = play(scan, "backspace", "u", "z")
    assert scan.labels.verdict(7) is None
    seen = play(scan, "down", "down", "n")
    assert "a note goes with a label of the row: k, d or u first" in seen.text


def test_next_without_a_label_and_next_of_the_sample(scan: Scan) -> None:
    seen = play(scan, "d", "full_stop", "k", "full_stop")
    assert seen.row == 5
    text = play(scan, "x").text
    assert "no row waits that was drawn for evil" in text
    rows = list(draw(scan, "evil", 3).rows)
    seen = play(scan, "x")
    assert seen.row in rows
    seen = play(scan, "x", "d", "x", "d", "x", "d", "x")
    assert {row for row in rows if scan.labels.verdict(row)} == set(rows)


def listed(listing: Listing) -> list[int]:
    return [listing.row(line) for line in range(len(listing))]


def test_a_listing_is_sorted_narrowed_and_searched(scan: Scan) -> None:
    listing = Listing(scan)
    listing.sort("kind", descending=True)
    assert listed(listing) == [0, 1, 4, 5, 6, 7, 2]  # row 2 has no score of kind
    listing.narrow("evil > 5 and group = 'forum'")
    assert listed(listing) == [6, 7]
    listing.search("NUMBER 4")
    assert (listed(listing), listing.narrowed) == ([4], '"NUMBER 4"')
    listing.search("it's [nowhere")
    assert listed(listing) == []
    listing.search("")
    listing.sort("row", descending=False)
    assert listed(listing) == [0, 1, 2, 4, 5, 6, 7]


def test_keys_sort_narrow_and_search(scan: Scan) -> None:
    seen = play(scan, "s", "r", "f", *typed("flagged"), "enter")
    assert (listed(seen.listing), seen.listing.by, seen.listing.descending) == ([7, 6], "kind", False)
    assert "2 of 7 rows" in seen.text
    seen = play(scan, "slash", *typed("[no"), "enter")
    assert "no row matches; esc: all rows again" in seen.text
    assert len(play(scan, "slash", *typed("[no"), "enter", "escape").listing) == 7


def test_an_expression_that_says_nothing_is_told_and_the_list_stays(scan: Scan) -> None:
    seen = play(scan, "f", *typed("evli"), "enter")
    assert "filter: there is no column 'evli'" in seen.text
    assert len(seen.listing) == 7


def test_help_lists_the_keys_and_fits_80_columns(scan: Scan) -> None:
    text = play(scan, "question_mark").text
    assert all(line in text for line in viewer.HELP.splitlines() if line)
    seen = play(scan, "question_mark", "q", "d")
    assert scan.labels.verdict(7) == "drop"
    assert seen.listing.record.current


def test_a_folder_that_cannot_be_written_to_is_read(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise UsageError("labels.jsonl cannot be written: Read-only file system", "label a copy of it")

    monkeypatch.setattr("screen_reports.browse.listing.add", refused)
    monkeypatch.setattr("os.access", lambda *_: False)
    text = play(scan, "d").text
    assert "read-only" in text.splitlines()[0] + text.splitlines()[1]
    assert "labels.jsonl cannot be written: Read-only file system" in text


def test_a_long_list_reads_only_what_is_seen(tmp_path: Path) -> None:
    values = [float(i % 997) for i in range(4000)]
    scan = Scan.open(scored.write(tmp_path / "long.screen", {"evil": values}, {"evil": 990.0}, size=100))
    seen = play(scan, "pagedown", "end")
    assert "answer 2991" in seen.text.splitlines()[-3] + seen.text.splitlines()[-4]
    assert len(seen.listing._excerpts) <= 3 * 24
    read = [name for name in scan.folder._checked if name.startswith("turns/")]
    assert len(read) < 30  # of 40 shards: nothing went through them all


def test_a_small_terminal_is_enough_to_look(scan: Scan) -> None:
    assert "7.00*" in play(scan, size=(40, 10)).text
    text = play(scan, "enter", size=(40, 10)).text
    assert "prompt" in text
    assert "I can't help with that." in text


def test_a_run_of_skipped_rows_and_one_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    empty = Scan.open(scored.write(tmp_path / "none.screen", {"evil": [None, None]}, {"evil": 1.0}))
    text = play(empty, "enter", "escape", "d", "full_stop").text
    assert "none.screen · 2 of 2 rows" in text
    going = fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), shards=1, finish=False)
    text = play(Scan.open(going)).text
    assert "3 of 3 rows" in text
    assert "not finished" in text


def test_undo_gives_back_labels_of_traits(scan: Scan) -> None:
    listing = Listing(scan)
    listing.label(7, "keep")
    listing.label(7, "drop", "twice")
    assert listing.undo() == 7
    assert listing.record.verdict(7) == "keep"
    assert (listing.undo(), listing.undo()) == (7, None)
    assert listing.record.verdict(7) is None
