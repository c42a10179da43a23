from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are cut to the line, of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("screen_reports.console.in_terminal", lambda _file: True)
