from __future__ import annotations

import json
from pathlib import Path

import pytest

from research.pocket.corpus.chats import mixed
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.store.scan import Scan

ROWS = 120


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with chats.jsonl and its finished run chats.screen, baseline responses inside."""
    folder = tmp_path_factory.mktemp("evidence")
    rows = mixed(ROWS, seed=3).rows
    (folder / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{bad\n")
    run_scan(ScanSpec(dataset=(str(folder / "chats.jsonl"),), max_new_tokens=48), folder / "chats.screen")
    return folder


@pytest.fixture
def scan(made: Path) -> Scan:
    return Scan.open(made / "chats.screen")
