from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from screen_kernels import swiglu
from screen_kernels.gate import Activation, swiglu_reference

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
RELATIVE = {torch.float32: 1e-5, torch.bfloat16: 2**-6, torch.float16: 2**-9}
SUBNORMAL = {torch.float32: 0.0, torch.bfloat16: 0.0, torch.float16: 1.2e-7}


def check(got: torch.Tensor, gate: torch.Tensor, up: torch.Tensor, activation: Activation) -> None:
    """The contract of the module's docstring."""
    want = swiglu_reference(gate, up, activation=activation).double()
    bound = RELATIVE[gate.dtype] * want.abs() + SUBNORMAL[gate.dtype] * (1 + up.double().abs())
    if activation == "gelu_tanh":
        bound += 1e-6 * (gate.double() * up.double()).abs()
        if gate.dtype == torch.float32:
            bound = bound.clamp_min(1e-30)
    assert not got.isnan().any()
    assert bool(((got.double() - want).abs() <= bound + 1e-37).all())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["silu", "gelu_tanh"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 33), (1, 4864), (63, 17)])
def test_halves_of_one_tensor(
    device: torch.device, dtype: torch.dtype, activation: Activation, shape: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    gate, up = (torch.randn(shape[0], 2 * shape[1], device=device) * 3).to(dtype).chunk(2, dim=-1)
    out = torch.full(shape, float("nan"), dtype=dtype, device=device)
    with np.errstate(over="ignore"):
        assert swiglu(gate, up, activation=activation, out=out, fused=True) is out
    check(out, gate, up, activation)
    if dtype != torch.float32 and activation == "silu":
        assert (out == swiglu_reference(gate, up)).float().mean() > 0.99


@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(0, 4), width=st.integers(1, 70), scale=st.sampled_from([0.01, 1.0, 30.0]),
    activation=st.sampled_from(["silu", "gelu_tanh"]), dtype=st.sampled_from(DTYPES),
)  # fmt: skip
def test_any_size(
    device: torch.device, rows: int, width: int, scale: float, activation: Activation, dtype: torch.dtype
) -> None:
    gate = (torch.randn(1, rows, width, device=device) * scale).to(dtype)
    up = torch.randn(1, rows, width + 3, device=device).to(dtype)[..., 3:]
    with np.errstate(over="ignore"):
        got = swiglu(gate, up, activation=activation, fused=True)
    assert got.shape == gate.shape
    check(got, gate, up, activation)


@pytest.mark.parametrize("activation", ["silu", "gelu_tanh"])
def test_extremes_as_eager(device: torch.device, activation: Activation) -> None:
    gate = torch.tensor([[-1e30, -200.0, 0.0, 200.0, 1e30, float("nan"), float("inf"), float("-inf")]], device=device)
    up = torch.ones_like(gate)
    with np.errstate(over="ignore", invalid="ignore"):
        got = swiglu(gate, up, activation=activation, fused=True)
    want = swiglu_reference(gate, up, activation=activation)
    torch.testing.assert_close(got, want, equal_nan=True, rtol=1e-5, atol=1e-30)


def test_a_bad_row_stays_alone_and_out_may_be_the_gate(device: torch.device) -> None:
    gate, up = torch.randn(4, 33, device=device), torch.randn(4, 33, device=device)
    want = swiglu_reference(gate, up)
    gate[1] = float("nan")
    with np.errstate(invalid="ignore"):
        swiglu(gate, up, out=gate, fused=True)
    assert gate[1].isnan().all()
    torch.testing.assert_close(gate[[0, 2, 3]], want[[0, 2, 3]], rtol=1e-5, atol=0)


def test_what_does_not_fit_is_refused(device: torch.device) -> None:
    gate = torch.ones(2, 4, device=device)
    with pytest.raises(ValueError, match=r"up \(2, 3\) torch.float32 must have the shape and dtype of gate \(2, 4\)"):
        swiglu(gate, gate[:, :3])
    with pytest.raises(ValueError, match=r'activation must be "silu" or "gelu_tanh", not \'relu\''):
        swiglu(gate, gate, activation="relu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"gate must be float32, bfloat16 or float16, not torch.int64"):
        swiglu(gate.long(), gate.long())
    with pytest.raises(ValueError, match=r"gate must have stride 1 in its last dimension, not 2"):
        swiglu(torch.ones(4, 2, device=device).T, gate, fused=True)
