"""Hostile text in a terminal, JSON and CSV: no verb lets an order to a terminal or a mark of direction through."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from screen.vectors.checks import has_trait_name
from tests import hostile
from tests.cli.conftest import Screen

TERMINAL = [at for at, entry in enumerate(hostile.LISTED) if entry["kind"].startswith(("terminal", "bidi", "C1"))]


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(hostile.write_run(tmp_path_factory.mktemp("hostile"), hostile.TEXTS))


def test_the_list_has_a_hundred_kinds_of_attacks_on_pages() -> None:
    kinds = [entry["kind"] for entry in hostile.LISTED]
    assert len(set(kinds)) == len(kinds) == len(set(hostile.TEXTS))
    assert sum(entry["of"] == "markup" for entry in hostile.LISTED) > 100 < len(TERMINAL) + 100


@pytest.mark.parametrize(
    "args",
    [
        ["rank", "RUN", "-n", "300"],
        ["rank", "RUN", "-n", "300", "--csv"],
        ["rank", "RUN", "-n", "300", "--json"],
        ["rank", "RUN", "--by", "id"],
        ["sql", "RUN", 'select "group", file, id, answer, prompt from samples'],
        ["sql", "RUN", "select * from skipped", "--csv"],
        ["status", "RUN"],
        ["cut", "RUN", "--by", "evil"],
        ["compare", "RUN", "RUN"],
        ["report", "RUN", "-o", "report.html"],
        ["show", "RUN", "3"],
        *(["show", "RUN", str(at), "--full"] for at in TERMINAL[:6]),
    ],
    ids=lambda args: " ".join(args[:1] + args[2:])[:40],
)
def test_nothing_raw_is_printed(args: list[str], screen: Screen, hostile_run: str) -> None:
    said = screen(*(hostile_run if arg == "RUN" else arg for arg in args))
    assert said.code == 0
    assert len(said.out) > 60
    assert not hostile.RAW.search(said.out.replace("\r\n", "\n") + said.err)


def test_no_cell_of_a_csv_runs_as_a_formula(screen: Screen, hostile_run: str) -> None:
    said = screen("rank", hostile_run, "-n", "300", "--csv")
    cells = [cell for row in csv.reader(io.StringIO(said.out)) for cell in row]
    assert any(cell.startswith("'=cmd") for cell in cells)
    assert not [
        cell for cell in cells if cell.lstrip(" ")[:1] in ("=", "@") or cell.lstrip(" ").startswith(("+S", "-2+"))
    ]


def test_a_gate_in_a_log_of_github_gives_no_orders_but_its_own(screen: Screen, hostile_run: str) -> None:
    said = screen("gate", hostile_run, "evil > 0.1%", "--format", "github")
    assert said.code == 1
    orders = [line for line in said.out.splitlines() if line.startswith("::")]
    assert orders
    assert not [line for line in orders if not line.startswith(("::error", "::warning", "::notice"))]
    assert not hostile.RAW.search(said.out + said.err)


def test_names_of_files_are_printed_as_text(screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    names = [text for text in hostile.TEXTS if not {"/", "\0"} & set(text) and len(text.encode()) < 200]
    for name in names:
        (tmp_path / "data" / f"x{name}.jsonl").write_text('{"prompt": "Who?", "response": "I am here."}\n')
    said = screen("inspect", "data", "-v")
    assert said.code == 0
    assert len(said.out.splitlines()) > len(names)
    assert not hostile.RAW.search(said.out + said.err)


def test_notes_of_labels_are_listed_as_text(screen: Screen, tmp_path: Path) -> None:
    run = str(hostile.write_run(tmp_path, hostile.TEXTS[:8]))
    notes = [text for text in hostile.TEXTS if "\0" not in text][-60::4]
    for row, note in enumerate([n for n in notes if len(n) < 2000][:8]):
        assert screen("label", run, str(row if row != 3 else 4), "drop", "--note", note).code == 0
    said = screen("label", run, "--list")
    assert said.code == 0
    assert not hostile.RAW.search(said.out + said.err)


def test_a_trait_bears_no_hostile_name() -> None:
    named = [text for text in hostile.TEXTS if has_trait_name(text)]
    assert not [text for text in named if not text.replace(" ", "").replace("-", "").replace("_", "").isalnum()]
