"""The report of small runs whose scores are known by heart."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shlex
from html import unescape
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from screen_reports.html.order import SECTIONS
from screen_reports.html.report import make
from screen_reports.html.section import Section

from screen.cli.main import VERBS
from screen.store.scan import read_scan
from tests.cli import fake_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_run.write_run(fake_run.write_chats(tmp_path_factory.mktemp("report") / "chats.jsonl"))


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return make(read_scan(run), "chats.screen").html


def data_of(page: str) -> Any:
    """What the page's script reads."""
    found = re.search(r'<script type="([^"]+)" id="data"[^>]*>(.*?)</script>', page, re.S)
    assert found
    plain = found[2] if found[1] == "application/json" else gzip.decompress(base64.b64decode(found[2])).decode()
    return json.loads(plain)


def test_sections_stand_in_their_order(page: str) -> None:
    order = ["problem", "amount", "rows", "certainty", "cut", "scanned", "next"]
    assert re.findall(r'<section id="(\w+)"', page) == order == [section.name for section in SECTIONS]


def test_the_policy_allows_this_style_and_this_script_and_nothing_else(page: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    for kind, tag in (("style-src", "style"), ("script-src", "script")):
        content = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S)
        assert len(content) == 1
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert f"{kind} &#39;sha256-{digest}&#39;;" in policy[1]
    assert policy[1].startswith("default-src &#39;none&#39;;")
    assert not re.search(r"\s(style|on\w+|src)=", re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.S))
    assert set(re.findall(r"https?://[^\"'< ]+", page)) <= {"http://www.w3.org/2000/svg"}


def test_a_row_has_its_scores_its_texts_and_the_models_own_response(page: str) -> None:
    rows = data_of(page)["rows"]
    line = next(line for line in rows["lines"] if line["row"] == 7)
    assert (line["scores"], line["flags"], line["refused"], line["kind"]) == ([7.0, -7.0], [0], True, "top")
    turn = rows["texts"]["7"][0]["turns"][0]
    assert turn["base"] == ["I can't help with that."]
    assert turn["text"][1] == ["number", [[0, 0], [1, 0]]]


def test_hidden_characters_of_a_text_are_written_out(page: str) -> None:
    assert not re.search("[\x00-\x08\x1b\u202e\u200b]", page)
    text = data_of(page)["rows"]["texts"]["6"][0]["turns"][0]["text"]
    assert "\\x1b[31m \\u202egnp \\u200b" in "".join(p if isinstance(p, str) else p[0] for p in text)


def test_of_a_run_that_goes_on_the_first_line_says_how_far_it_is(tmp_path: Path) -> None:
    run = fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), shards=1, finish=False)
    page = make(read_scan(run)).html
    body = re.sub(r"<[^>]+>", " ", page[page.index("<main") - 3000 :])
    assert "This run is not finished: it holds 4 of 8 rows." in body
    assert "screen run --spec" in body
    assert "No verdict yet" in body


def test_a_newcomer_adds_a_section_with_three_files_and_a_line(run: Path, tmp_path: Path) -> None:
    (tmp_path / "longest.sql").write_text('SELECT "row", answer_tokens FROM scores ORDER BY answer_tokens DESC LIMIT 1')
    (tmp_path / "longest.html").write_text("<p>row {{ row }}: {{ answer_tokens|plural('token') }}</p>")
    longest = Section("longest", "The longest answer", lambda view, rows: rows[0], folder=tmp_path)
    page = make(read_scan(run), sections=(*SECTIONS, longest)).html
    assert '<h2 id="longest-title">The longest answer</h2>\n<p>row 7: 27 tokens</p>' in page
    assert '<a href="#longest">The longest answer</a>' in page


def test_what_next_names_verbs_and_flags_that_there_are(page: str) -> None:
    lines = [shlex.split(unescape(line)) for line in re.findall("<code data-command>(.*?)</code>", page)]
    assert len(lines) > 8
    for _, verb, *words in lines:
        command = import_module(f"screen.cli.{VERBS[verb][0]}").command
        inner = getattr(command, "commands", {}).get(words[0])  # of a group, as `reference build` is
        flags = {flag for option in (inner or command).params for flag in option.opts}
        assert {word for word in words if word.startswith("-")} <= flags, (verb, words)


def test_groups_add_up_to_the_runs_flags(run: Path, page: str) -> None:
    found = read_scan(run).summary["traits"]["evil"]
    table = page[page.index('<table id="by-group">') :].partition("</table>")[0]
    cells = re.findall(r'<th scope="row">(\w+)</th><td class="number">(\d+)</td><td class="number">(\d+)', table)
    assert cells == [("forum", "4", "2"), ("docs", "3", "0")]
    assert sum(int(flagged) for *_, flagged in cells) == found["flagged"]


def test_equal_runs_give_equal_bytes(run: Path, page: str) -> None:
    assert make(read_scan(run), "chats.screen").html == page
