"""The report in a browser: what its readers click, type and see. Row i scores i for evil; row 3 was skipped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from screen.scan.summary.summarise import summarise
from screen.select.labels import LabelGiven, add
from screen.store.folder import RunFolder
from screen.store.scan import read_scan
from tests import hostile
from tests.browser.conftest import written
from tests.browser.test_drawings import OVERLAPS
from tests.cli import fake_run

ROWS = "#body tr.line"
TEXTS = hostile.plain(["x" * 40] * 120)
NUMBERS = f"[...document.querySelectorAll('{ROWS}')].map(row => Number(row.dataset.row))"


@pytest.fixture(scope="module")
def report(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 rows, 119 of them scored, every text another; two of them labelled."""
    run = hostile.write_run(tmp_path_factory.mktemp("report"), TEXTS)
    labels = [LabelGiven(17, None, "drop", "threatens the user"), LabelGiven(5, None, "keep")]
    add(read_scan(run), labels)
    return written(run)


def test_rows_sort_by_a_column_either_way(report: Path, open_report: Callable[..., Any]) -> None:
    page = open_report(report)
    assert page.evaluate(NUMBERS)[:3] == [119, 118, 117]
    tokens = page.get_by_role("button", name="tokens", exact=True)  # its arrow is not read out
    tokens.click()
    shown = [int(text) for text in page.locator(f"{ROWS} .tokens").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    tokens.click()
    assert page.locator("th[aria-sort=ascending]").inner_text() == "tokens"
    page.locator("[data-sort=row]").click()
    assert page.evaluate(NUMBERS)[:4] == [0, 1, 2, 4]


def test_more_rows_are_shown_as_they_are_asked_for(report: Path, open_report: Callable[..., Any]) -> None:
    page = open_report(report)
    assert page.locator(ROWS).count() == 50
    while page.locator("#more").is_visible():
        page.locator("#more").click()
    assert sorted(page.evaluate(NUMBERS)) == [n for n in range(120) if n != 3]


def test_search_and_filters_leave_what_matches(report: Path, open_report: Callable[..., Any]) -> None:
    page = open_report(report)
    page.locator("#which").select_option("refused")
    assert page.evaluate(NUMBERS) == [7]
    page.locator("#which").select_option("all")
    page.locator("#search").fill("no text holds this")
    assert page.locator("#shown").inner_text().startswith("0 rows shown")
    page.locator("#search").fill(TEXTS[17].upper())
    assert 17 in page.evaluate(NUMBERS)
    page.locator("#search").fill("")
    page.locator("#by").select_option(label="kind")
    assert page.evaluate(NUMBERS)[:2] == [0, 1]


def test_labels_stand_beside_their_rows_and_are_found(report: Path, open_report: Callable[..., Any]) -> None:
    page = open_report(report)
    page.locator("#which").select_option("labelled")
    assert page.evaluate(NUMBERS) == [17, 5]
    assert page.locator("td.label").all_inner_texts() == ["drop", "keep"]
    page.locator("#search").fill("threatens")
    page.locator("button.open").click()
    assert "label drop: threatens the user" in page.locator("tr.detail").inner_text()


def test_texts_are_hidden_until_they_are_asked_for(report: Path, open_report: Callable[..., Any]) -> None:
    page = open_report(report)
    assert not page.locator("td.excerpt").first.inner_text().startswith(TEXTS[119])
    page.locator("#reveal").check()
    assert page.locator("td.excerpt").first.inner_text().startswith(TEXTS[119])


def test_a_row_opens_by_keyboard_to_its_texts_with_its_window_marked(
    report: Path, open_report: Callable[..., Any]
) -> None:
    page, text = open_report(report), TEXTS[119]
    page.locator("#reveal").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('open')"):
            break
    page.keyboard.press("Enter")
    detail = page.locator("tr.detail")
    assert detail.locator("mark.first").inner_text() == text[:5]
    assert "My own." not in detail.inner_text()
    assert text in detail.inner_text()
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert page.evaluate("document.activeElement.getAttribute('aria-controls')") == detail.get_attribute("id")
    page.keyboard.press("Space")
    assert detail.count() == 0


def test_the_first_stop_of_a_keyboard_leads_past_the_head(report: Path, open_report: Callable[..., Any]) -> None:
    page = open_report(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_what_takes_clicks_takes_keys_and_shows_where_it_stands(report: Path, open_report: Callable[..., Any]) -> None:
    page, seen = open_report(report), set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.dataset.sort"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
    assert seen >= {"theme", "by", "which", "search", "fold", "reveal", "row", "score", "tokens"}


def test_near_duplicates_are_folded_and_unfolded(tmp_path: Path, open_report: Callable[..., Any]) -> None:
    same = [f"the same long answer to everything, word for word, but for a number: {at}" for at in range(8)]
    page = open_report(written(hostile.write_run(tmp_path, same, distinct=False)))
    assert page.locator(ROWS).count() == 1
    assert "6 near-duplicates folded" in page.locator("#shown").inner_text()
    page.locator("#fold").uncheck()
    assert page.locator(ROWS).count() == 7


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
def test_axe_finds_nothing_serious(tmp_path: Path, open_report: Callable[..., Any], scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = open_report(written(hostile.write_run(tmp_path, TEXTS[:8])), width, color_scheme=scheme)
    for details in page.locator("details > summary").all():
        details.click()
    page.locator("button.open").first.click()
    page.locator("#reveal").check()
    found = axe.Axe().run(page).response["violations"]
    bad = [v for v in found if v["impact"] in ("serious", "critical")]
    assert not bad, [(v["id"], [node["html"][:120] for node in v["nodes"][:3]]) for v in bad]


@pytest.mark.parametrize("width", [390, 768, 1200])
def test_nothing_is_wider_than_the_page_and_no_label_lies_on_another(
    report: Path, open_report: Callable[..., Any], width: int
) -> None:
    page = open_report(report, width)
    page.locator("button.open").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERLAPS) == []


def test_the_theme_is_the_systems_until_the_button_changes_it(report: Path, open_report: Callable[..., Any]) -> None:
    page = open_report(report, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.locator("#theme").click()
    light = page.evaluate(paper)
    assert sum(map(int, light[4:-1].split(","))) > 700 > 120 > sum(map(int, dark[4:-1].split(",")))
    page.emulate_media(color_scheme="light")
    assert page.evaluate(paper) == light


def test_in_print_controls_are_gone_and_the_paper_is_white(report: Path, open_report: Callable[..., Any]) -> None:
    page = open_report(report, color_scheme="dark")
    page.locator("button.open").first.click()
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("#controls").is_visible()
    assert not page.locator("#theme").is_visible()
    assert page.locator("tr.detail").is_visible()
    assert page.pdf().startswith(b"%PDF-")


def test_without_script_the_verdicts_and_drawings_are_there(report: Path, open_report: Callable[..., Any]) -> None:
    page = open_report(report, java_script_enabled=False)
    assert page.locator("svg.drawing").count() >= 4
    assert page.locator("[data-trait-card]").count() == 2
    assert "The table needs the script" in page.inner_text("#rows")


def runs(folder: Path) -> dict[str, Path]:
    """Runs that are not as usual, by what their report has to say."""
    chats = fake_run.write_chats(folder / "chats.jsonl")
    return {
        "This run is not finished: it holds 4 of 8 rows.": fake_run.write_run(
            chats, out=folder / "a.screen", shards=1, finish=False
        ),
        "push away": fake_run.write_run(chats, out=folder / "b.screen", away=(5, 6), threshold_away=1.0),
        "No row has a score, so there is none to show.": skipped_alone(chats, folder / "c.screen"),
        "1 row: 1 scored": hostile.write_run(folder, ["alone"]),
    }


def skipped_alone(chats: Path, out: Path) -> Path:
    with RunFolder.open(out, {"traits": list(fake_run.TRAITS)}, {"baseline": "generate", "references": {}}) as run:
        run.publish(0, 3, 4, fake_run.shard_tables(chats, range(3, 4), "generate", False))
        cards = {trait: {"layer": 2, "reference": None} for trait in fake_run.TRAITS}
        run.finish(summarise(run, cards, run={"tokens": 0, "seconds": 0.0, "resumed_rows": 0}))
    return out


def test_odd_runs_say_what_is_odd(tmp_path: Path, open_report: Callable[..., Any]) -> None:
    for said, run in runs(tmp_path).items():
        page = open_report(written(run))
        assert said in page.inner_text("body"), said
