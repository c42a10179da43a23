"""Fused kernels run on the GPU where there is one, else in Triton's interpreter (`tests/conftest.py`)."""

from __future__ import annotations

import importlib.util

import pytest
import torch


@pytest.fixture(scope="session")
def device() -> torch.device:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
