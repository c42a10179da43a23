"""Threads inside containers, and processors without bfloat16."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from screen.model import processor
from screen.model.load import load_model
from screen.model.processor import limit_threads, quota


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "odd\n"}, None),
        ({}, None),
    ],
)
def test_the_containers_share(files: dict[str, str], cores: float | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert quota(tmp_path) == cores


@pytest.fixture
def eight_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("eight_threads")
def test_threads_are_those_of_the_container_unless_they_were_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    limit_threads(tmp_path)
    assert torch.get_num_threads() == 8
    monkeypatch.delenv("OMP_NUM_THREADS")
    limit_threads(tmp_path)
    assert torch.get_num_threads() == 3
    (tmp_path / "cpu.max").write_text("9900000 100000\n")
    limit_threads(tmp_path)
    assert torch.get_num_threads() == 3  # never more than torch's own


def test_bfloat16_without_the_instructions_is_told(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    model = load_model("tiny", llama, deepest=2, generate=False, dtype="bfloat16", device="cpu")
    assert model.notes == ("this processor has no bfloat16 arithmetic and emulates it: --dtype float32 is exact",)
    assert load_model("tiny", llama, deepest=2, generate=False, dtype="float32", device="cpu").notes == ()
