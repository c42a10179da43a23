from __future__ import annotations

import pytest
import torch
from screen_kernels import deepest, deepest_means
from screen_kernels.deepest import deepest_means_reference

LENGTHS = (1, 63, 300, 2)


def inputs(
    dtype: torch.dtype, bias: bool, d: int = 48, ffn: int = 130
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    mid, act = torch.randn(400, d).to(dtype), torch.randn(400, ffn).to(dtype)
    weight = (torch.randn(d, ffn) / ffn**0.5).to(dtype)
    index = torch.randint(400, (sum(LENGTHS),))
    offsets = torch.tensor([0, *torch.tensor(LENGTHS).cumsum(0).tolist()])
    return mid, act, weight, torch.randn(d).to(dtype) if bias else None, index, offsets


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("columns", [32, 1024])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_means_without_the_states(
    monkeypatch: pytest.MonkeyPatch, bias: bool, columns: int, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(deepest, "COLUMNS", columns)
    given = inputs(dtype, bias)
    got = deepest_means(*given)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, deepest_means_reference(*given), rtol=0, atol=4e-6)


def test_the_bound_against_a_bfloat16_model() -> None:
    mid, act, weight, bias, index, offsets = inputs(torch.bfloat16, bias=True)
    down = torch.nn.functional.linear(act, weight, bias)
    hidden = mid + down
    lengths = list(LENGTHS)
    theirs, size = (
        torch.stack([part.mean(0) for part in values[index].split(lengths)])
        for values in (hidden.double(), down.double().abs() + hidden.double().abs())
    )
    got = deepest_means(mid, act, weight, bias, index, offsets).double()
    assert bool(((got - theirs).abs() <= 2**-8 * size).all())


def test_a_bad_token_stays_in_its_segment() -> None:
    mid, act, weight, _, _, offsets = inputs(torch.float32, bias=False)
    index = torch.arange(int(offsets[-1]))
    want = deepest_means(mid, act, weight, None, index, offsets)
    act[10, 3] = float("nan")
    got = deepest_means(mid, act, weight, None, index, offsets)
    assert got[1].isnan().all()
    torch.testing.assert_close(got[[0, 2, 3]], want[[0, 2, 3]], rtol=0, atol=1e-6)


def test_nothing_gives_nothing() -> None:
    mid, act, weight, bias, index, offsets = inputs(torch.bfloat16, bias=True)
    assert deepest_means(mid, act, weight, bias, index[:0], offsets[:1]).shape == (0, 48)


def test_what_does_not_fit_is_refused() -> None:
    mid, act, weight, _, index, offsets = inputs(torch.float32, bias=False)
    with pytest.raises(ValueError, match=r"act must be \(400, 130\), not \(399, 130\)"):
        deepest_means(mid, act[:-1], weight, None, index, offsets)
    with pytest.raises(ValueError, match=r"down_weight must be \(48, 130\), not \(130, 48\)"):
        deepest_means(mid, act, weight.T, None, index, offsets)
    with pytest.raises(ValueError, match=r"down_bias must be \(48,\), not \(130,\)"):
        deepest_means(mid, act, weight, act[0], index, offsets)
    with pytest.raises(ValueError, match=r"an empty segment has no mean"):
        deepest_means(mid, act, weight, None, index, torch.cat([offsets, offsets[-1:]]))
    with pytest.raises(ValueError, match=r"index must be one row of int64"):
        deepest_means(mid, act, weight, None, index.int(), offsets)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: nothing to wait for")
def test_nothing_waits_for_the_gpu() -> None:
    given = [None if t is None else t.cuda() for t in inputs(torch.bfloat16, bias=True)]
    want = deepest_means_reference(*given)  # type: ignore[arg-type]
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = deepest_means(*given)  # type: ignore[arg-type]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5)
