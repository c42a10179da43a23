from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from screen_kernels import add_rms_norm, rms_norm
from screen_kernels.norm import add_rms_norm_reference, rms_norm_reference

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
RELATIVE = {torch.float32: 2e-6, torch.bfloat16: 2**-6, torch.float16: 2**-9}
LLAMA: dict[str, Any] = {}
GEMMA: dict[str, Any] = {"one_plus": True, "cast_first": False}


def poison(x: torch.Tensor) -> torch.Tensor:
    return torch.full(x.shape, float("nan"), dtype=x.dtype, device=x.device)


def close(got: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=RELATIVE[want.dtype], atol=1.2e-7, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("style", [LLAMA, GEMMA], ids=["llama", "gemma"])
def test_the_references_are_those_of_transformers(dtype: torch.dtype, style: dict[str, Any]) -> None:
    from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    theirs = (Gemma3RMSNorm if style else LlamaRMSNorm)(33, eps=1e-6).to(dtype).requires_grad_(False)
    torch.nn.init.normal_(theirs.weight)
    x, residual = torch.randn(2, 5, 33).to(dtype), torch.randn(2, 5, 33).to(dtype)
    normed, summed = add_rms_norm_reference(x, residual, theirs.weight, 1e-6, **style)
    assert torch.equal(summed, residual + x)
    assert torch.equal(normed, theirs(summed))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 33), (63, 33), (5, 576), (3, 896), (1, 3584)])
@pytest.mark.parametrize("style", [LLAMA, GEMMA, {"cast_first": False}], ids=["llama", "gemma", "olmo"])
def test_sum_and_norm(device: torch.device, dtype: torch.dtype, shape: tuple[int, int], style: dict[str, Any]) -> None:
    torch.manual_seed(0)
    x, residual, weight = (torch.randn(s, device=device).to(dtype) for s in (shape, shape, shape[1:]))
    out = poison(x), poison(x)
    normed, summed = add_rms_norm(x, residual, weight, 1e-6, **style, out=out, fused=True)
    want, total = add_rms_norm_reference(x, residual, weight, 1e-6, **style)
    assert normed is out[0]
    assert torch.equal(summed, total)
    close(normed, want)
    if dtype != torch.float32:
        assert (normed == want).float().mean() > 0.99


@settings(max_examples=15, deadline=None)
@given(
    tokens=st.integers(0, 5), heads=st.integers(1, 3), d=st.integers(1, 80), gap=st.integers(0, 9),
    dtype=st.sampled_from(DTYPES), scale=st.sampled_from([1e-3, 1.0, 50.0]),
)  # fmt: skip
def test_heads_inside_wider_rows(
    device: torch.device, tokens: int, heads: int, d: int, gap: int, dtype: torch.dtype, scale: float
) -> None:
    wide = (torch.randn(tokens, heads * d + gap, device=device) * scale).to(dtype)
    x = wide[:, gap:].unflatten(1, (heads, d))
    weight = torch.randn(d, device=device).to(dtype)
    got = rms_norm(x, weight, 1e-6, out=poison(x), fused=True)
    close(got, rms_norm_reference(x, weight, 1e-6))


@pytest.mark.parametrize("fused", [False, True])
def test_every_tensor_has_its_own_strides(device: torch.device, fused: bool) -> None:
    x, residual, normed, summed = (
        torch.full((4, 3 + gap, 8 + gap), 1.0, device=device)[:, gap:, gap:] for gap in range(4)
    )
    x.normal_(), residual.normal_()
    weight = torch.randn(16, device=device)[::2]
    add_rms_norm(x, residual, weight, 1e-6, out=(normed, summed), fused=fused)
    want, total = add_rms_norm_reference(x, residual, weight, 1e-6)
    close(normed, want)
    assert torch.equal(summed, total)
    assert bool((normed._base[:, :2] == 1).all())  # type: ignore[index]


@pytest.mark.parametrize("fused", [False, True])
def test_in_place(device: torch.device, fused: bool) -> None:
    x, residual, weight = (torch.randn(s, device=device) for s in ((7, 33), (7, 33), (33,)))
    want, total = add_rms_norm_reference(x, residual, weight, 1e-6)
    add_rms_norm(x, residual, weight, 1e-6, out=(x, residual), fused=fused)
    close(x, want)
    assert torch.equal(residual, total)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_row_stays_alone(device: torch.device, bad: float) -> None:
    x, weight = torch.randn(6, 33, device=device), torch.randn(33, device=device)
    want = rms_norm_reference(x, weight, 1e-6)
    x[2, 5] = bad
    with np.errstate(invalid="ignore"):
        got = rms_norm(x, weight, 1e-6, out=poison(x), fused=True)
    close(got, rms_norm_reference(x, weight, 1e-6))
    others = [0, 1, 3, 4, 5]
    close(got[others], want[others])


def test_gemma_may_have_its_weight_in_float32(device: torch.device) -> None:
    x, weight = torch.randn(3, 33, device=device).bfloat16(), torch.randn(33, device=device)
    close(rms_norm(x, weight, 1e-6, **GEMMA, fused=True), rms_norm_reference(x, weight, 1e-6, **GEMMA))


def test_what_does_not_fit_is_refused(device: torch.device) -> None:
    x, weight = torch.ones(2, 4, device=device), torch.ones(4, device=device)
    with pytest.raises(ValueError, match=r"weight must be \(4,\), not \(3,\)"):
        rms_norm(x, weight[:3], 1e-6)
    with pytest.raises(ValueError, match=r"x must be float32, bfloat16 or float16, not torch.float64"):
        rms_norm(x.double(), weight, 1e-6)
    with pytest.raises(ValueError, match=r"with cast_first the weight must be torch.bfloat16 as x is"):
        rms_norm(x.bfloat16(), weight, 1e-6)
    with pytest.raises(ValueError, match=r"one_plus is for cast_first=False"):
        rms_norm(x, weight, 1e-6, one_plus=True)
    with pytest.raises(
        ValueError, match=r"residual \(2, 4\) torch.float16 must have the shape and dtype of x \(2, 4\)"
    ):
        add_rms_norm(x, x.half(), weight, 1e-6)
    with pytest.raises(ValueError, match=r"x must have stride 1 in its last dimension, not 2"):
        rms_norm(torch.ones(4, 2, device=device).T, weight, 1e-6, fused=True)
    with pytest.raises(ValueError, match=r"is no view of \(6, 2, 4\): make it contiguous"):
        rms_norm(torch.ones(2, 2, 3, 4, device=device).transpose(0, 2), weight, 1e-6, fused=True)
