"""`screen gate`, in each of its formats."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screen_reports.gates import github, sarif
from screen_reports.gates.junit import junit
from screen_reports.gates.outcome import GateOutcome, limited_words
from screen_reports.gates.rows import FailingRow, FailingRows, failing_rows

from screen.scan.summary.summarise import summarise
from screen.select.gates.evaluate import GateResult, Outcome, evaluate
from screen.select.gates.figures import Figures, Measurement
from screen.select.gates.parser import parse
from screen.select.gates.tree import Figure
from screen.select.labels import LabelGiven, add
from screen.store.folder import RunFolder
from screen.store.scan import Scan
from tests.cli import fake_run
from tests.cli.conftest import Screen

HIGH = "max(evil) > p95"  # 4.5 of clean rows: rows 5, 6 and 7 of the run lie above


@pytest.fixture
def run(run: Path) -> Path:
    """The run of eight rows, with verdicts with which gates can pass."""
    scan = Scan.open(run)
    for trait in scan.summary["traits"].values():
        trait["verdict"] |= {"kind": "nothing", "sentence": "nothing stands out"}
    scan.summary["traits"]["evil"]["verdict"]["kind"] = "review"
    rewrite_summary(run, scan.summary)
    return run


def rewrite_summary(run: Path, summary: dict[str, Any]) -> None:
    facts = json.loads((run / "scan.json").read_text())
    with RunFolder.open(run, facts["identity"], facts["facts"]) as folder:
        folder.finish({k: v for k, v in summary.items() if k not in ("finished", "seal", "sha256")})


def test_a_line_a_gate_and_the_first_rows(screen: Screen, run: Path) -> None:
    said = screen("gate", "chats.screen", "evil > 28%", "skipped > 13%", "-n", "1")
    assert (said.code, said.err) == (1, "error: chats.screen: 1 of 2 gates fails\n")
    assert said.out.splitlines()[:6] == [
        "chats.screen: 1 of 2 gates fails",
        "",
        "fails     evil > 28%",
        "          evil: 28.57 % (8.22 to 64.11 %) of 7 samples are flagged, more than 28",
        "          %",
        "",
    ]
    assert "2 samples by evil, the first 1:" in said.out
    assert re.search(r"^  7  chats.jsonl:8  c7  \+7.00  number 7 begins", said.out, re.M)
    assert said.out.endswith("next:\n  screen rank chats.screen --by evil --flagged\n")


@pytest.mark.parametrize(
    ("gate", "rows"),
    [
        ("not evil < 1%", {"evil": [7, 6]}),
        ("evil > 1% and not kind > 99%", {"evil": [7, 6]}),
        ("evil <= 1% or skipped > 0%", {"skipped": [3]}),
        ("evil > 99% or max(evil) > 5.5", {"evil": [7, 6]}),
        ("evil > 1% and skipped > 0%", {"evil": [7, 6], "skipped": [3]}),
        ("evil < 99%", {}),
    ],
)
def test_the_rows_are_those_that_make_it_fail(run: Path, gate: str, rows: dict[str, list[int]]) -> None:
    figures = Figures(Scan.open(run))
    found = failing_rows(figures, evaluate(figures, [parse(gate)]), 9)
    assert {of.name: [row.row for row in of.rows] for of in found} == rows


def test_a_run_that_passes(screen: Screen, run: Path) -> None:
    said = screen("gate", "chats.screen", "evil > 29%", "count(skipped) > 1")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("chats.screen: 2 gates: passed\n")
    assert "next:" not in said.out


def test_a_run_of_some_rows_says_so() -> None:
    told = [limited_words(limit) for limit in ([0, None], [0, 100], [50, None], None)]
    assert told == ["", " (rows 0 to 99 alone, by --limit)", " (rows from 50 on alone, by --limit)", ""]


def test_a_run_in_which_every_row_was_skipped(screen: Screen, run: Path, tmp_path: Path) -> None:
    record = RunFolder.read(run)
    made = fake_run.shard_tables(tmp_path / "chats.jsonl", range(3, 4), "generate", False)
    cards: dict[str, Any] = {
        "evil": {"layer": 2, "reference": fake_run.REFERENCE},
        "kind": {"layer": 3, "reference": None},
    }
    with RunFolder.open(tmp_path / "none.screen", record.identity, record.facts) as folder:
        folder.publish(0, 3, 4, made)
        folder.finish(summarise(folder, cards, run={"tokens": 0, "seconds": 0.0, "resumed_rows": 0}))
    gates = [
        "evil > 99%",
        "count(evil) > 9",
        "max(evil) > p99",
        "mean(evil) > 9",
        "group('docs', evil) > 9%",
        "cannot-tell",
    ]
    found = json.loads(screen("gate", "none.screen", *gates, "skipped > 99%", "skipped > 100%", "--json").out)
    assert [gate["passed"] for gate in found["gates"]] == [False] * 7 + [True]
    assert [(rows["trait"], rows["rows"][0]["row"]) for rows in found["failing"]] == [(None, 3)]


def test_a_hostile_answer_is_not_printed_raw(screen: Screen, run: Path) -> None:
    """Row 6 holds escape sequences."""
    for shape in ("text", "github", "junit", "sarif", "json"):
        said = screen("gate", "chats.screen", HIGH, "--format", shape)
        assert said.code == 1
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u200b\u202e]", said.out), shape
        assert "x1b" in said.out or "u001b" in said.out, shape


@pytest.mark.parametrize("shape", ["text", "github", "junit", "sarif", "json"])
def test_an_unfinished_run_says_how_far_it_is(screen: Screen, tmp_path: Path, shape: str) -> None:
    fake_run.write_run(
        fake_run.write_chats(tmp_path / "chats.jsonl"), out=tmp_path / "half.screen", shards=1, finish=False
    )
    said = screen("gate", "half.screen", "evil < 0%", "--format", shape)
    assert said.code == 1
    assert "half.screen is not finished: it holds 4 of 8 rows" in said.out
    if shape in ("text", "github"):
        assert "it holds 4 of 8 rows" in said.out.splitlines()[0]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["chats.screen"], "error: no gate was given\n"),
        (["chats.screen", "evil>"], "error: gate: share(evil) is compared with a number (at character 6)\n  evil>\n"),
        (["nowhere.screen", "evil >"], "error: gate: share(evil) is compared with a number"),
        (["nowhere.screen", "evil > 1%"], "error: there is no run at "),
        (["chats.screen", "evill > 1%"], "error: gate names 'evill', which is not scored (at character 1)\n"),
        (["chats.screen", "evil > 1%", "--json", "--format", "sarif"], "error: --json and --format sarif exclude"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(screen: Screen, run: Path, args: list[str], message: str) -> None:
    said = screen("gate", *args)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(message)


def test_rows_that_were_labelled_keep_do_not_count(screen: Screen, run: Path) -> None:
    add(
        Scan.open(run),
        [LabelGiven(7, None, "keep"), LabelGiven(6, None, "drop"), LabelGiven(5, None, "keep", None, "kind")],
    )
    assert json.loads(screen("gate", "chats.screen", "count(evil) > 1", "--json").out)["passed"] is False
    said = screen("gate", "chats.screen", "count(evil) > 0", HIGH, "--labels")
    assert "evil: 1 of 7 samples are flagged, more than 0" in said.out
    assert "the highest score is 6" in said.out
    assert "2 rows labelled keep: not counted as flagged" in said.out
    assert not re.search("^ *7 ", said.out, re.M)


def test_counts_from_scores_are_those_of_the_summary(run: Path) -> None:
    figures = Figures(Scan.open(run))
    for trait, told in Scan.open(run).summary["traits"].items():
        assert figures.samples(trait).flagged.sum() == told["flagged"]


def test_a_run_without_its_index_reads_the_same(screen: Screen, run: Path) -> None:
    asked = ("gate", "chats.screen", HIGH, "group('forum', evil) > 1%", "max(kind) > -1", "--json")
    with_index = screen(*asked)
    (run / "index.safetensors").unlink()
    assert screen(*asked) == with_index


def test_workflow_commands(screen: Screen, run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "summary.md").write_text("before\n")
    said = screen("gate", "chats.screen", "evil > 28%", "skipped > 0%", "--format", "github")
    lines = said.out.splitlines()
    assert lines[0] == (
        "::error title=screen gate%3A evil > 28%25::evil: 28.57 %25 (8.22 to 64.11 %25) of 7 samples are flagged,"
        " more than 28 %25"
    )
    assert re.fullmatch(
        r"::error file=chats.jsonl,line=8,title=screen%3A evil%2C row 7::evil \+7.00: number 7 .*", lines[2]
    )
    assert re.fullmatch(r"::error file=chats.jsonl,line=4,title=screen%3A skipped%2C row 3::bad_json: .*", lines[4])
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("before\n<h2>screen gate: failed</h2>\n")
    assert "<td>fails</td><td><code>evil &gt; 28%</code></td>" in summary


def test_no_more_annotations_than_are_shown(screen: Screen, run: Path) -> None:
    gates = [f"max(evil) > {i}" for i in (0, 1, 2, 3)]
    lines = screen("gate", "chats.screen", *gates, "max(kind) > -9", "--format", "github").out.splitlines()
    assert sum(line.startswith("::error ") for line in lines) == 10
    assert lines[-1] == "::notice title=screen gate::7 rows more fail: GitHub shows 10 errors of a step"


def test_a_summary_that_cannot_be_written(screen: Screen, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "no/such/folder")
    said = screen("gate", "chats.screen", "evil > 28%", "--format", "github")
    assert (said.code, "no/such/folder cannot be written" in said.err) == (2, True)


def test_junit(screen: Screen, run: Path) -> None:
    gates = [HIGH, "evil > 90%", "mean(kind) > reference"]
    suite = ET.fromstring(screen("gate", "chats.screen", *gates, "--format", "junit").out)
    cases = suite.findall("testsuite/testcase")
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    assert [case.get("name") for case in cases] == gates
    assert [f.get("type") for case in cases for f in case.findall("failure")] == ["gate", "cannot tell"]
    assert "row 7" in (cases[0].findtext("failure") or "")


SARIF = jsonschema.Draft202012Validator(json.loads((Path(__file__).parent / "sarif_subset.schema.json").read_text()))


def check_sarif(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of a document that is as it should be."""
    SARIF.validate(document)
    (run,) = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    results: list[dict[str, Any]] = run["results"]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in results)
    return results


def test_sarif(screen: Screen, run: Path) -> None:
    gates = [HIGH, "kind > 5%", "mean(evil) > reference", "skipped > 1%"]
    document = json.loads(screen("gate", "chats.screen", *gates, "--format", "sarif").out)
    found = [(r["ruleId"], r.get("properties", {}).get("row")) for r in check_sarif(document)]
    assert found == [("gate", None), ("evil", 7), ("skipped", 3), ("evil", 6), ("evil", 5)]
    assert [rule["id"] for rule in document["runs"][0]["tool"]["driver"]["rules"]] == [
        "evil",
        "kind",
        "skipped",
        "gate",
    ]
    assert document["runs"][0]["invocations"][0]["exitCode"] == 1
    passed = json.loads(screen("gate", "chats.screen", "evil > 90%", "--format", "sarif").out)
    assert check_sarif(passed) == []


def outcome(rows: tuple[FailingRow, ...], total: int, text: str = "evil>1%") -> GateOutcome:
    told = Outcome(Figure("share", "evil"), ">", 0.01, "1 %", Measurement(0.5), True, f"evil: {text}")
    failing = (FailingRows("evil", total, rows),)
    return GateOutcome(
        "r", "", "", "", 9, 9, ("d.jsonl",), (GateResult(text, True, (told,), (told,)),), failing, {}, None
    )


def row(number: int, text: str = "x", file: str = "d.jsonl", sha256: str = "ab") -> FailingRow:
    return FailingRow(number, text, None, file, number + 1, sha256, 1.5, text)


def test_sarif_is_capped_at_what_viewers_show() -> None:
    made = sarif.sarif(outcome(tuple(row(i) for i in range(5000)), 6001))
    assert len(check_sarif(made)) == 5000
    assert "1,001 results more: viewers show 5,000 of a run" in json.dumps(made)


def test_a_fingerprint_is_of_the_content() -> None:
    """A row that has moved is the same result, and copies of a row are told apart."""
    first = check_sarif(sarif.sarif(outcome((row(3), row(9), row(5, sha256="cd")), 3)))
    moved = check_sarif(sarif.sarif(outcome((row(30), row(31), row(2, sha256="cd")), 3)))
    prints = [[r["partialFingerprints"]["primaryLocationLineHash"] for r in results] for results in (first, moved)]
    assert prints == [["ab:1", "ab:2", "cd:1"]] * 2


def test_a_path_of_sarif_is_relative_to_where_the_command_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    files = (str(tmp_path / "data" / "a b.jsonl"), "data/ü%.jsonl", "/elsewhere/x.jsonl")
    results = check_sarif(sarif.sarif(outcome(tuple(row(0, file=f) for f in files), 3)))
    uris = [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in results]
    assert uris == ["data/a%20b.jsonl", "data/%C3%BC%25.jsonl", "file:///elsewhere/x.jsonl"]


HOSTILE = st.text(max_size=30) | st.sampled_from(
    ["::error::x", "##[add-mask]x", "a%0Ab", "\n::stop-commands::x", "]]>", "<script>alert(1)</script>", "\ud800",
     "\x00\x0b\ufffe", "--><img src=x onerror=alert(1)>", "[x](https://example.org)", "&lt;b&gt;", "`|`\\|", "\u202e"]
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(HOSTILE, HOSTILE)
def test_a_hostile_text_makes_no_command(text: str, file: str) -> None:
    lines = list(github.workflow_commands(outcome((row(1, text, file or "f"),), 1, text)))
    assert len(lines) == 2
    for line in lines:
        head, _, message = line[2:].partition("::")
        assert re.fullmatch(r"error (?:\w+=[^,:\r\n]*,?)+", head)
        assert not re.search(r"##\[|[\r\n\x00-\x1f\ud800-\udfff]", line)
        assert not re.search("%(?!25|0D|0A|3A|2C)", head + message)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, int]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, len(attrs)))

    def handle_comment(self, data: str) -> None:
        self.found.add(("comment", 0))


@settings(deadline=None, max_examples=60)
@given(HOSTILE, HOSTILE)
def test_a_hostile_text_makes_no_element(text: str, file: str) -> None:
    made = outcome((row(1, text, file or "f"),), 1, text)
    page, tags = github.step_summary(made), Tags()
    tags.feed(page)
    assert tags.found <= {(tag, 0) for tag in ("h2", "h3", "p", "table", "tr", "th", "td", "code")}
    assert "\n\n" not in page[:-2]  # an empty line would end the block of HTML
    root = ET.fromstring(junit(made))
    assert {element.tag for element in root.iter()} == {"testsuites", "testsuite", "testcase", "failure"}


@settings(deadline=None, max_examples=60)
@given(HOSTILE, st.text(min_size=1, max_size=20).filter(lambda name: "\0" not in name))
def test_a_hostile_text_makes_no_link(text: str, file: str) -> None:
    for result in check_sarif(json.loads(json.dumps(sarif.sarif(outcome((row(1, text, file),), 1, text))))):
        assert not re.search(r"(?<!\\)(?:\\\\)*[\[\]]", result["message"]["text"])
        assert "\ud800" not in unquote(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
