from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli import fake_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The finished run chats.screen beside chats.jsonl, of eight rows with hostile text in row 6."""
    return fake_run.write_run(fake_run.write_chats(tmp_path / "chats.jsonl"))


@pytest.fixture
def tiny(tiny_model: Path, tiny_vectors: Path) -> dict[str, Any]:
    """Settings of a scan with the tiny model, in this process."""
    return {"model": tiny_model, "vectors": tiny_vectors, "max_new_tokens": 4, "device": "cpu", "in_process": True}
