from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from screen_kernels import project_tokens, segment_means, segment_project
from screen_kernels.segment import segment_project_reference
from torch.nn import functional

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
OF_SUM = {torch.float32: 2**-18, torch.bfloat16: 2**-15, torch.float16: 2**-18}


@pytest.mark.parametrize("tokens", [1, 63, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_projection_is_of_float32_products(tokens: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    hidden, vectors = torch.randn(tokens, 48).to(dtype), torch.randn(3, 48)
    index = torch.randperm(tokens)[: max(1, tokens // 2)]
    got = project_tokens(hidden, vectors, index)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), hidden.double()[index] @ vectors.double().T, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("lengths", [[1], [1, 63, 1000], [5, 5]])
def test_means_of_segments(lengths: list[int]) -> None:
    values = torch.randn(sum(lengths), 2)
    offsets = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()])
    want = torch.stack([part.double().mean(0) for part in values.split(lengths)])
    torch.testing.assert_close(segment_means(values, offsets).double(), want, atol=1e-6, rtol=1e-6)


def test_an_empty_segment_is_refused() -> None:
    with pytest.raises(ValueError, match="an empty segment has no mean"):
        segment_means(torch.ones(2, 1), torch.tensor([0, 2, 2]))


def test_vectors_in_half_precision_are_refused() -> None:
    with pytest.raises(ValueError, match="vectors must be float32"):
        project_tokens(torch.ones(2, 4), torch.ones(1, 4, dtype=torch.bfloat16))


@pytest.mark.parametrize("offsets", [[0, 1], [1, 2], [0, 3]])
def test_offsets_that_do_not_span_the_rows_are_refused(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match=rf"from 0 to the 2 rows, not from {offsets[0]} to {offsets[1]}"):
        segment_means(torch.ones(2, 1), torch.tensor(offsets))


def unit(k: int, d: int, device: torch.device) -> torch.Tensor:
    return functional.normalize(torch.randn(k, d, device=device), dim=1)


def starts(lengths: Sequence[int], device: torch.device) -> torch.Tensor:
    return torch.tensor([0, *np.cumsum(lengths).tolist()], dtype=torch.int64, device=device)


def poisoned(n: int, s: int, k: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((n, k), float("nan"), device=device), torch.full((s, k), float("nan"), device=device)


def check(
    got: tuple[torch.Tensor, torch.Tensor], hidden: torch.Tensor, index: torch.Tensor, lengths: Sequence[int],
    vectors: torch.Tensor,
) -> None:  # fmt: skip
    """The contract of the module's docstring, against float64."""
    chosen, wide = hidden[index].double(), vectors.double()
    bound = OF_SUM[hidden.dtype] * (chosen.abs() @ wide.abs().T)
    assert bool(((got[0].double() - chosen @ wide.T).abs() <= bound).all())
    means = [part.double().mean(0) for part in got[0].split(list(lengths))]
    if means:
        torch.testing.assert_close(got[1].double(), torch.stack(means), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("d", "k", "lengths"),
    [(33, 1, [1]), (576, 3, [1, 63, 2]), (896, 65, [5, 5]), (3584, 2, [1, 1, 1]), (64, 16, [1, 2, 3] * 40), (7, 2, [])],
)
def test_fused_projections_and_means(
    device: torch.device, dtype: torch.dtype, d: int, k: int, lengths: list[int]
) -> None:
    torch.manual_seed(0)
    hidden, n = torch.randn(80, d + 5, device=device).to(dtype)[:, :d], sum(lengths)
    vectors = torch.cat([unit(k, d, device), torch.ones(k, 2, device=device)], dim=1)[:, :d]
    index = torch.randint(80, (n,), device=device)
    offsets = starts(lengths, device)
    out = poisoned(n, len(lengths), k, device)
    got = segment_project(hidden, index, offsets, vectors, out=out, fused=True)
    assert got[0] is out[0]
    check(got, hidden, index, lengths, vectors)
    again = segment_project(hidden, index, offsets, vectors, fused=True)
    assert torch.equal(got[0], again[0])
    assert torch.equal(got[1], again[1])


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 70), max_size=4), d=st.integers(1, 130), k=st.integers(1, 5),
    dtype=st.sampled_from(DTYPES), scale=st.sampled_from([1e-2, 1.0, 100.0]),
)  # fmt: skip
def test_any_segments(
    device: torch.device, lengths: list[int], d: int, k: int, dtype: torch.dtype, scale: float
) -> None:
    hidden = (torch.randn(9, d, device=device) * scale).to(dtype)
    index, vectors = torch.randint(9, (sum(lengths),), device=device), unit(k, d, device)
    check(segment_project(hidden, index, starts(lengths, device), vectors, fused=True), hidden, index, lengths, vectors)


@pytest.mark.parametrize("d", [1, 96])
def test_the_place_of_a_segment_changes_no_bit(device: torch.device, d: int) -> None:
    if d > 1 and device.type == "cpu":
        pytest.skip("numpy's matmul, which the interpreter calls, sums a row by its place in the tile")
    hidden, vectors = torch.randn(50, d, device=device).bfloat16(), unit(2, d, device)
    alone = torch.arange(10, 47, device=device)
    _, [mean] = segment_project(hidden, alone, starts([37], device), vectors, fused=True)
    index = torch.cat([torch.arange(29, device=device), alone, alone[:4]])
    _, means = segment_project(hidden, index, starts([29, 37, 4], device), vectors, fused=True)
    assert torch.equal(means[1], mean)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_row_stays_in_its_segment(device: torch.device, dtype: torch.dtype, bad: float) -> None:
    hidden, vectors = torch.randn(70, 33, device=device).to(dtype), unit(2, 33, device)
    index, lengths = torch.arange(70, device=device), [1, 40, 29]
    want = segment_project(hidden, index, starts(lengths, device), vectors, fused=True)
    hidden[20, 3] = bad
    with np.errstate(invalid="ignore"):
        tokens, means = segment_project(hidden, index, starts(lengths, device), vectors, fused=True)
    assert not tokens[20].isfinite().any()
    assert not means[1].isfinite().any()
    others = torch.cat([index[:20], index[21:]])
    assert torch.equal(tokens[others], want[0][others])
    assert torch.equal(means[[0, 2]], want[1][[0, 2]])


def test_a_position_outside_is_nan(device: torch.device) -> None:
    hidden, vectors = torch.randn(4, 33, device=device), unit(1, 33, device)
    index = torch.tensor([0, 4, -1, 3], device=device)
    tokens, means = segment_project(hidden, index, starts([1, 1, 1, 1], device), vectors, fused=True)
    assert tokens.isnan().flatten().tolist() == [False, True, True, False]
    assert means.isnan().flatten().tolist() == [False, True, True, False]


def test_what_does_not_fit_is_refused(device: torch.device) -> None:
    hidden, vectors = torch.ones(2, 4, device=device), torch.ones(1, 4, device=device)
    index, offsets = torch.arange(2, device=device), torch.tensor([0, 2], device=device)
    with pytest.raises(ValueError, match=r"hidden \(2, 4\) and vectors \(1, 3\) do not fit"):
        segment_project(hidden, index, offsets, vectors[:, :3])
    with pytest.raises(ValueError, match=r"vectors must be float32, not torch.bfloat16"):
        segment_project(hidden, index, offsets, vectors.bfloat16())
    with pytest.raises(ValueError, match=r"index must be one row of int64, not \(2,\) torch.int32"):
        segment_project(hidden, index.int(), offsets, vectors)
    with pytest.raises(ValueError, match=r"offsets must have s \+ 1 entries, at least one"):
        segment_project(hidden, index, offsets[:0], vectors)
    with pytest.raises(ValueError, match=r"hidden must be float32, bfloat16 or float16, not torch.float64"):
        segment_project(hidden.double(), index, offsets, vectors)
    with pytest.raises(ValueError, match=r"out\[1\] must be \(1, 1\), not \(2, 1\)"):
        segment_project(hidden, index, offsets, vectors, out=(torch.ones(2, 1), torch.ones(2, 1)))


def test_fused_refuses_an_empty_segment_on_the_cpu() -> None:
    vectors = torch.ones(1, 4)
    for fused in (False, True):
        with pytest.raises(ValueError, match="an empty segment has no mean"):
            segment_project(torch.ones(2, 4), torch.arange(2), torch.tensor([0, 2, 2]), vectors, fused=fused)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: nothing to wait for")
def test_nothing_waits_for_the_gpu() -> None:
    device = torch.device("cuda")
    hidden, vectors, index = torch.randn(40, 96, device=device), unit(2, 96, device), torch.arange(40, device=device)
    offsets = starts([10, 30], device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        segment_project(hidden, index, offsets, vectors)
        segment_project_reference(hidden, index, offsets, vectors)
    finally:
        torch.cuda.set_sync_debug_mode("default")
