"""A run as a notebook looks at it."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import screen
from screen.errors import InputError, UsageError
from screen.library.notebook.html import escaped
from screen.library.run import Run
from screen.library.summary import Summary
from screen.progress import Silent, Tally
from tests.cli import fake_run


def known(value: Any) -> Any:
    """JSON without the fields that are null: a record has its default there."""
    if isinstance(value, dict):
        return {k: known(v) for k, v in value.items() if v is not None}
    return [known(item) for item in value] if isinstance(value, list | tuple) else value


def test_the_summary_holds_what_the_file_holds(run: Path) -> None:
    stored = json.loads((run / "summary.json").read_bytes())
    del stored["sha256"]
    assert known(asdict(screen.open(run).summary)) == known(stored)


def test_a_summary_of_another_format_is_not_taken_for_ones_own(run: Path) -> None:
    stored = json.loads((run / "summary.json").read_bytes())
    del stored["samples"]
    with pytest.raises(KeyError, match="samples"):
        Summary.from_json(stored)


def test_typed_facts(run: Path) -> None:
    summary = screen.open(run).summary
    assert (summary.rows, summary.skipped_by_code) == (8, {"bad_json": 1})
    assert summary.traits["evil"].threshold == 5.5
    assert (summary.traits["evil"].flagged, summary.traits["evil"].verdict.kind) == (2, "review")


def test_frames_and_queries(run: Path) -> None:
    opened = screen.open(run)
    assert opened.scores().select("evil").collect()["evil"].to_list() == [0, 1, 2, 4, 5, 6, 7]
    assert opened.turns().collect().height == 7
    assert opened.skipped().collect()["row"].to_list() == [3]
    assert opened.sql("select row from flagged order by row").rows() == [(6,), (7,)]


def test_a_query_that_gives_too_much_or_two_columns_of_one_name(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="two columns of the query are named 'row'"):
        screen.open(run).sql("select a.row, b.row from scores a, scores b")
    with pytest.raises(UsageError, match="select fewer rows"):
        screen.open(run).sql("select 1 from range(1000001)")


def test_rows_by_score(run: Path) -> None:
    top = screen.open(run).top("evil", 3)
    assert [(row.row, row.score, row.flagged) for row in top] == [(7, 7.0, True), (6, 6.0, True), (5, 5.0, False)]
    assert top.frame().select("row", "evil").rows() == [(7, 7.0), (6, 6.0), (5, 5.0)]
    assert [row.row for row in top[:1]] == [7]
    assert repr(top) == "Rows(3 by evil: 7: 7, 6: 6, 5: 5)"
    assert len(screen.open(run).top("evil", flagged=True)) == 2
    with pytest.raises(UsageError, match="there is no threshold for answer_tokens"):
        screen.open(run).top("answer_tokens", flagged=True)


def test_a_row_by_number_and_by_id(run: Path) -> None:
    assert screen.open(run).row("c5") == screen.open(run).row(5)
    with pytest.raises(UsageError, match="there is no row 99"):
        screen.open(run).row(99)


def test_a_run_that_is_not_finished(tmp_path: Path) -> None:
    opened = screen.open(fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), shards=1, finish=False))
    assert (opened.finished, opened.status().rows) == (False, 4)
    assert "4 rows so far" in opened._repr_html_()
    with pytest.raises(UsageError, match=r"is not finished: it holds 4 of 8 rows"):
        opened.summary  # noqa: B018


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_text_stays_text(run: Path) -> None:
    shown = Tags(screen.open(run).top("evil", 8)._repr_html_())
    assert shown.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert "\\u202egnp" in shown.text
    assert not re.search("[\\x00-\\x1f\\u202a-\\u202e\\u2066-\\u2069]", shown.text)


def test_a_script_is_shown_and_not_run() -> None:
    hostile = "<script src=//x>\u202e\"'&</script>"
    shown = Tags(escaped(hostile))
    assert (shown.tags, shown.text) == (set(), "<script src=//x>\\u202e\"'&</script>")


def test_what_a_run_shows_is_small_and_fetches_nothing(run: Path) -> None:
    shown = screen.open(run)._repr_html_()
    assert len(shown) < 20_000
    assert Tags(shown).tags >= {"details", "svg", "desc"}
    assert not re.search(r"http|src=|href=|url\(|@import|<script|<link", shown)
    assert "chats.screen, 8 rows: 7 scored, 1 skipped" in shown


def test_a_copy_without_rows_and_its_opposite(run: Path, tmp_path: Path) -> None:
    lines = (tmp_path / "chats.jsonl").read_bytes().splitlines(keepends=True)
    less, more = (getattr(screen.open(run), name)("evil > 4") for name in ("drop", "keep"))
    assert (repr(less), repr(more)) == ("Subset(5 of 8 rows kept, 3 dropped)", "Subset(3 of 8 rows kept, 5 dropped)")
    assert less.counts.matching_by_test == {"evil > 4": 3}
    assert less.write(tmp_path / "clean.jsonl", dropped=tmp_path / "bad.jsonl").read_bytes() == b"".join(lines[:5])
    assert (tmp_path / "bad.jsonl").read_bytes() == b"".join(lines[5:])
    with pytest.raises(UsageError, match="exists already"):
        more.write(tmp_path / "clean.jsonl")


def test_another_threshold(run: Path) -> None:
    with pytest.raises(UsageError, match="one threshold is needed"):
        screen.open(run).reflag()


@pytest.mark.parametrize("in_process", [True, False])
def test_a_scan_prints_nothing_and_sets_no_signal_handler(
    in_process: bool,
    chats: Path,
    tiny: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, real, handlers = os.getpid(), signal.signal, list[Any]()

    def spy(*given: Any) -> Any:
        handlers.extend(given if os.getpid() == here else ())  # a process of the model's own may have its own
        return real(*given)

    monkeypatch.setattr(signal, "signal", spy)
    made = screen.scan(chats, limit=4, **{**tiny, "in_process": in_process})
    assert isinstance(made, Run)
    made._repr_html_()
    made.top("evil")._repr_html_()
    assert handlers == []
    assert capfd.readouterr() == ("", "")


class Impatient(Silent):
    """Presses Ctrl-C once the first shard is published."""

    def tick(self, tally: Tally) -> None:
        if tally.rows >= 4:
            raise KeyboardInterrupt


def test_a_scan_that_was_stopped_goes_on(chats: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    settings = {**tiny, "limit": 8, "shard_rows": 4}
    with pytest.raises(KeyboardInterrupt):
        screen.scan(chats, progress=Impatient(), **settings)
    assert screen.open(tmp_path / "chats.screen").status().shards == 1
    again = screen.scan(chats, **settings)
    assert (again.finished, again.summary.resumed_rows) == (True, 4)


def test_the_settings_of_a_run_make_another(chats: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    first = screen.scan(chats, limit=4, **tiny)
    again = screen.scan(spec=first.path, out=tmp_path / "again.screen", device="cpu", in_process=True)
    assert again.scores().collect().equals(first.scores().collect())


def test_one_conversation_has_the_score_of_its_row(chats: Path, tiny: dict[str, Any]) -> None:
    row = json.loads(chats.read_text().splitlines()[0])
    found = screen.score(row["messages"], **tiny)
    stored = screen.scan(chats, limit=1, **tiny).scores().collect()
    assert list(found) == ["evil", "kind"]
    np.testing.assert_array_equal(list(found.values()), stored.select("evil", "kind").row(0))


def test_a_conversation_that_cannot_be_scored(tiny: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no row of the conversation can be scored"):
        screen.score([{"role": "user", "content": "Hello?"}], **tiny)
