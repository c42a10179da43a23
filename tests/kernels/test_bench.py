"""The kernels' benches: that they run, agree, and keep silent about ratios where results disagree."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import screen_kernels
import torch

FOLDER = Path(__file__).parents[2] / "kernels" / "bench"
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU runs the kernels themselves, not the interpreter")


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_kernels", FOLDER / "bench_kernels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@no_gpu
def test_small_shapes_agree(bench: ModuleType, device: torch.device, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--tiny"]) == 0
    first, _, *told = capsys.readouterr().out.splitlines()
    assert first == "small shapes on the CPU: not a measurement"
    assert len(told) == 8
    assert all("agrees (difference" in line and "GB/s" not in line for line in told)


@no_gpu
def test_no_ratio_where_results_disagree(
    bench: ModuleType, device: torch.device, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = screen_kernels.swiglu

    def wrong(*arguments: Any, fused: bool, **named: Any) -> torch.Tensor:
        product = right(*arguments, fused=fused, **named)
        return product.index_fill(0, torch.tensor([3]), float("nan")) if fused else product

    monkeypatch.setattr(screen_kernels, "swiglu", wrong)
    assert bench.main(["--tiny"]) == 1
    told = capsys.readouterr().out
    assert told.count("results disagree (difference nan, bound 7.8e-03): no ratio") == 2
    assert told.count("agrees") == 6


@no_gpu
def test_without_a_gpu_there_is_nothing_to_measure(bench: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([]) == 2
    assert capsys.readouterr().out == "nothing to measure: torch sees no CUDA device\n"


def test_every_kernel_compiles_for_a_gpu_that_is_not_there(device: torch.device, tmp_path: Path) -> None:
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, str(FOLDER / "compile_kernels.py"), "--dtype", "bfloat16"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    wide = re.findall(r"gate_kernel.* (\d+) of +(\d+) loads wide", done.stdout)
    assert len(wide) == 6
    assert wide[0][0] == wide[0][1]
    assert all(int(n) > 0 for n in re.findall(r"project_kernel.* (\d+) mma", done.stdout))
