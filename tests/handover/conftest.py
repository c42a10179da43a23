from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest

from screen.handover.export import export
from screen.handover.options import ExportOptions
from screen.store.scan import Scan
from tests.cli import fake_run
from tests.cli.conftest import Screen, screen  # noqa: F401  (a fixture that both rooms use)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with chats.jsonl, its finished run chats.screen (row 3 was skipped, rows 6 and 7 are flagged) and the
    bundle chats.audit: five rows kept, two dropped, one skipped."""
    folder = tmp_path_factory.mktemp("handover")
    with contextlib.chdir(folder):
        run = fake_run.write_run(fake_run.write_chats(Path("chats.jsonl")))
        export(Scan.open(run), "audit", Path("chats.audit"), ExportOptions(signed_by="Somebody", report=False))
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """The run, beside its dataset."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.audit"))
    return tmp_path / "chats.screen"


@pytest.fixture
def bundle(run: Path, made: Path, tmp_path: Path) -> Path:
    """The bundle, beside the run."""
    return Path(shutil.copytree(made / "chats.audit", tmp_path / "chats.audit"))
