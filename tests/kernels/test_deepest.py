from __future__ import annotations

import pytest
import torch
from screen_kernels import deepest_project, inner_of
from screen_kernels.deepest import deepest_project_reference
from screen_kernels.segment import segment_project_reference

LENGTHS = (1, 63, 30, 2)
Given = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor, torch.Tensor, torch.Tensor]


def inputs(dtype: torch.dtype, bias: bool, device: torch.device, d: int = 48, ffn: int = 130, k: int = 5) -> Given:
    torch.manual_seed(0)
    mid, act = torch.randn(120, d).to(dtype), torch.randn(120, ffn).to(dtype)
    weight = (torch.randn(d, ffn) / ffn**0.5).to(dtype)
    vectors = torch.nn.functional.normalize(torch.randn(k, d))
    index = torch.randint(120, (sum(LENGTHS),))
    offsets = torch.tensor([0, *torch.tensor(LENGTHS).cumsum(0).tolist()])
    shift = torch.randn(d).to(dtype) if bias else None
    whole = [None if t is None else t.to(device) for t in (mid, act, weight, shift, index, offsets, vectors)]
    return tuple(whole)  # type: ignore[return-value]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_projections_without_the_states(fused: bool, bias: bool, dtype: torch.dtype, device: torch.device) -> None:
    mid, act, weight, shift, index, offsets, vectors = given = inputs(dtype, bias, device)
    got = deepest_project(mid, act, inner_of(vectors, weight, shift), index, offsets, fused=fused)
    for ours, plain in zip(got, deepest_project_reference(*given), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, plain, rtol=0, atol=2**-15 * 40 if dtype == torch.bfloat16 else 2**-18 * 40)


def test_the_bound_against_a_bfloat16_model(device: torch.device) -> None:
    mid, act, weight, bias, index, offsets, vectors = inputs(torch.bfloat16, True, device)
    down = torch.nn.functional.linear(act, weight, bias)
    hidden = mid + down
    theirs, _ = segment_project_reference(hidden, index, offsets, vectors)
    size = (down.float().abs() + hidden.float().abs())[index] @ vectors.abs().T
    got, _ = deepest_project(mid, act, inner_of(vectors, weight, bias), index, offsets, fused=False)
    assert bool(((got - theirs).abs() <= 2**-8 * size).all())


def test_a_bad_token_stays_in_its_segment(device: torch.device) -> None:
    mid, act, weight, _, _, offsets, vectors = inputs(torch.float32, False, device)
    index, inner = torch.arange(int(offsets[-1]), device=device), inner_of(vectors, weight, None)
    _, want = deepest_project(mid, act, inner, index, offsets)
    act[10, 3] = float("nan")
    tokens, got = deepest_project(mid, act, inner, index, offsets)
    assert tokens.isnan().any(1).nonzero().flatten().tolist() == [10]
    assert got[1].isnan().all()
    torch.testing.assert_close(got[[0, 2, 3]], want[[0, 2, 3]], rtol=0, atol=1e-6)


def test_what_does_not_fit_is_refused(device: torch.device) -> None:
    mid, act, weight, _, index, offsets, vectors = inputs(torch.float32, False, device)
    inner = inner_of(vectors, weight, None)
    with pytest.raises(ValueError, match="act has 119 tokens and mid 120"):
        deepest_project(mid, act[:-1], inner, index, offsets)
    with pytest.raises(ValueError, match=r"down_weight must be \(48, 48\), not \(130, 48\)"):
        inner_of(vectors, weight.T, None)
    with pytest.raises(ValueError, match=r"down_bias must be \(48,\), not \(130,\)"):
        inner_of(vectors, weight, act[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: nothing to wait for")
def test_nothing_waits_for_the_gpu(device: torch.device) -> None:
    mid, act, weight, bias, index, offsets, vectors = given = inputs(torch.bfloat16, True, device)
    want, inner = deepest_project_reference(*given), inner_of(vectors, weight, bias)
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = deepest_project(mid, act, inner, index, offsets)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for ours, plain in zip(got, want, strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=2**-15 * 40)
