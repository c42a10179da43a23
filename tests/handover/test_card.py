"""`screen card` and `--as hub`: figures of the run, and nothing that the data say becomes markup."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import DatasetCard
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from screen.handover.card import LeftOut, metadata, section
from screen.handover.markdown import front_matter, plain, table
from screen.store.scan import Scan
from tests.cli import fake_run
from tests.cli.conftest import Screen

HOSTILE = [
    "<script>alert(1)</script>", "a|b", "![x](http://e.example/x.png)", "[a](javascript:alert(1))", "`code`",
    "**b** _i_ ~~s~~", "# head", "https://e.example", "www.e.example", "&lt;b&gt;", "\\", "\\|", "$x$", "<!-- -->",
    "a\n\n---\nlicense: mit\n---", "\u202egnp", "\x1b[31m", "| - |\n|---|", "<https://e.example>", "[x]: http://e.example",
]  # fmt: skip
READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TEXT = {"text", "paragraph_open", "paragraph_close", "inline", "text_special"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_text(text: str) -> None:
    check(text)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="<>[]()!|`*_~#&;$\\-+=:/.\"' ab1\n\t\u202e", max_size=12))
def test_any_text_is_text(text: str) -> None:
    check(text)


def check(text: str) -> None:
    made = READER.parse(f"name: {plain(text)} end")
    assert {token.type for token in made} <= TEXT
    assert {child.type for token in made for child in token.children or ()} <= TEXT
    cells = READER.parse(table(("a", "b"), [[text, "x"]]))
    assert [token.type for token in cells].count("td_open") == 2
    assert not [token for token in cells if token.type in ("html_block", "fence", "hr", "heading_open")]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_trait_model_code_and_expression(text: str, run: Path) -> None:
    scan = Scan.open(run)
    scan.summary["traits"][text] = scan.summary["traits"].pop("evil")
    scan.summary["skipped_by_code"] = {text: 1}
    scan.folder.facts["model"] = {"name": text, "embedded": False, "dtype": text, "device": text}  # type: ignore[typeddict-item]
    made = READER.parse(section(scan, LeftOut(text, 1, 2)))
    kinds = {token.type for token in made} | {child.type for token in made for child in token.children or ()}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_inline", "fence", "hr", "s_open"}
    heads = [token.tag for token in made if token.type == "heading_open"]
    assert heads == ["h2", "h3", "h3", "h3"]
    assert [token.type for token in made].count("td_open") == 2 * 7 + 2


@pytest.mark.parametrize("text", HOSTILE)
def test_yaml_gives_back_what_was_put_in(text: str) -> None:
    block = front_matter({"tags": [text]}, "a remark")
    assert block.startswith("---\n# a remark\n")
    assert yaml.safe_load(block.removeprefix("---\n").removesuffix("---\n")) == {"tags": [text]}


@pytest.mark.parametrize(
    ("rows", "size"),
    [(1, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**12 - 1, "100B<n<1T"), (10**12, "n>1T")],
)
def test_sizes_are_the_hubs(rows: int, size: str) -> None:
    assert metadata(rows)["size_categories"] == [size]


def test_a_card_has_the_runs_figures(screen: Screen, run: Path) -> None:
    said = screen("card", "chats.screen")
    summary = json.loads((run / "summary.json").read_text())
    evil = summary["traits"]["evil"]
    assert said.code == 0
    assert "8 rows read, 7 scored: " in said.out
    assert "| evil | review | 2 of 7, 28.6 % (" in said.out
    assert f"- **evil**: {evil['verdict']['sentence'].split(' (')[0]}" in said.out
    assert "+5.50 (+5.20 to +5.90) |" in said.out
    assert "| bad\\_json | 1 |" in said.out
    assert "generate: the model answers every prompt itself" in said.out
    assert str(run.parent) not in said.out
    assert DatasetCard(said.out).data.to_dict() == {"size_categories": ["n<1K"], "tags": ["persona-screen"]}


def test_a_run_with_every_row_scored_says_so(screen: Screen, tmp_path: Path) -> None:
    chats = fake_run.write_chats(tmp_path / "chats.jsonl", rows=4)
    fake_run.write_run(chats, shards=1)
    assert "None: every row was scored." not in screen("card", "chats.screen").out
    assert "| bad\\_json | 1 |" in screen("card", "chats.screen").out


def test_a_card_of_a_run_that_goes_on_is_refused(screen: Screen, tmp_path: Path) -> None:
    fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"), shards=1, finish=False)
    said = screen("card", "chats.screen", "-o", "card.md")
    assert (said.code, "is not finished: it holds 4 of 8 rows\nnext: finish it: " in said.err) == (2, True)
    assert not Path("card.md").exists()


def test_a_card_is_not_written_over_a_file_or_into_the_run(screen: Screen, run: Path) -> None:
    Path("README.md").write_text("mine")
    assert "exists already" in screen("card", "chats.screen", "-o", "README.md").err
    assert "inside the run" in screen("card", "chats.screen", "-o", "chats.screen/README.md").err
    assert Path("README.md").read_text() == "mine"
    assert screen("card", "chats.screen", "-o", "README.md", "--force").out == "written to README.md\n"
    assert Path("README.md").read_text() == screen("card", "chats.screen").out


def test_a_hub_folder(screen: Screen, run: Path) -> None:
    said = screen("export", "chats.screen", "--as", "hub", "-o", "hub")
    assert said.code == 0, said.err
    assert Path("hub/data/chats.jsonl").read_bytes().splitlines() == Path("chats.jsonl").read_bytes().splitlines()[:6]
    card = DatasetCard.load("hub/README.md")
    assert card.data.to_dict()["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": ["data/chats.jsonl"]}]}
    ]
    assert "Left out after that: 2 rows, by the rule flagged; 6 are here." in card.text
    assert [json.loads(line)["row"] for line in Path("hub/screening/reasons.jsonl").read_text().splitlines()] == [6, 7]


def test_a_hub_folder_keeps_names_compression_and_kinds(screen: Screen, tmp_path: Path) -> None:
    import gzip

    (tmp_path / "data").mkdir()
    chats = fake_run.write_chats(tmp_path / "data" / "a.jsonl")
    (tmp_path / "data" / "b.jsonl.gz").write_bytes(gzip.compress(chats.read_bytes()))
    rows = [json.loads(line) for line in chats.read_text().splitlines() if not line.endswith('"c3", ')]
    (tmp_path / "data" / "c.json").write_text(json.dumps(rows))
    run = fake_run.write_run(tmp_path / "data", out=tmp_path / "r.screen")
    assert screen("export", str(run), "--as", "hub", "--rest", "keep", "-o", "hub").code == 0
    assert gzip.decompress(Path("hub/data/b.jsonl.gz").read_bytes()) == chats.read_bytes()
    configs = DatasetCard.load("hub/README.md").data.to_dict()["configs"]
    assert [(c["config_name"], c["data_files"][0]["path"]) for c in configs] == [
        ("jsonl", ["data/a.jsonl", "data/b.jsonl.gz"]),
        ("json", ["data/c.json"]),
    ]


def test_nothing_left_for_a_hub(screen: Screen, run: Path) -> None:
    said = screen("export", "chats.screen", "--as", "hub", "-o", "hub", "--drop", "evil > -9", "--drop-skipped")
    assert (said.code, "no row is left" in said.err, Path("hub").exists()) == (2, True, False)
