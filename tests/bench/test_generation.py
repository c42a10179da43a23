"""The generation bench: a rate only beside equal answers."""

from __future__ import annotations

from typing import Any

import pytest

from bench import generation

FEW = ["--prompts", "3", "--new", "4", "--shape", "embedded", "--threads", "1"]


def test_equal_answers_have_a_rate(capsys: pytest.CaptureFixture[str]) -> None:
    assert generation.main(FEW) == 0
    assert "times as fast; equal answers" in capsys.readouterr().out


def test_other_answers_have_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def other(_model: Any, _eos: Any, prompts: Any, *_rest: Any) -> Any:
        return [(1,)] * len(prompts)

    monkeypatch.setattr(generation, "plain", other)
    assert generation.main(FEW) == 1
    assert "equal answers: 0 with batch 1, 0 with batch 16: no rate" in capsys.readouterr().out
