"""The check of a device, on the CPU: that it passes what is right and sees what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from bench import device
from screen.model.forward.projector import Projector

ONE = ["--device", "cpu", "--architecture", "qwen2"]


def test_this_cpu_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert device.main(ONE) == 0
    assert [line[:23].split() for line in capsys.readouterr().out.splitlines()] == [
        ["ok", "qwen2", "float32"],
        ["ok", "qwen2", "bfloat16"],
    ]


def test_a_wrong_projection_is_seen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    right = Projector.measure

    def wrong(self: Projector, *arguments: Any) -> Any:
        made = right(self, *arguments)
        return [
            m._replace(tokens=m.tokens * 1.2) if self.batching.prefix_sharing and not isinstance(m, str) else m
            for m in made
        ]

    monkeypatch.setattr(Projector, "measure", wrong)
    assert device.main(ONE) == 1
    assert capsys.readouterr().out.startswith("WRONG qwen2")
