from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from screen_kernels import rope_
from screen_kernels.rope import rope_reference

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
OF_TERMS = {torch.bfloat16: 2**-6, torch.float16: 2**-9}


def angles(tokens: int, rot_dim: int, device: torch.device) -> torch.Tensor:
    return torch.rand(tokens, rot_dim // 2, device=device).repeat(1, 2) * 6


def check(got: torch.Tensor, before: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> None:
    """The contract of the module's docstring."""
    [want, _] = rope_reference(before, before, cos, sin)
    if got.dtype == torch.float32:
        assert torch.equal(got, want)
        return
    rot_dim = cos.shape[1]
    turned = before[..., :rot_dim].double().abs()
    swapped = turned.roll(rot_dim // 2, dims=-1)
    bound = OF_TERMS[got.dtype] * (turned * cos[:, None].abs() + swapped * sin[:, None].abs()) + 1.2e-7
    assert bool(((got.double() - want.double()).abs()[..., :rot_dim] <= bound).all())
    assert torch.equal(got[..., rot_dim:], before[..., rot_dim:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_reference_is_that_of_transformers(dtype: torch.dtype) -> None:
    from transformers.models.phi3.modeling_phi3 import apply_rotary_pos_emb

    q, k = torch.randn(5, 4, 32).to(dtype), torch.randn(5, 2, 32).to(dtype)
    cos, sin = angles(5, 24, q.device).cos().to(dtype), angles(5, 24, q.device).sin().to(dtype)
    theirs = apply_rotary_pos_emb(q.transpose(0, 1)[None], k.transpose(0, 1)[None], cos[None], sin[None])
    for ours, other in zip(rope_reference(q, k, cos, sin), theirs, strict=True):
        assert torch.equal(ours, other[0].transpose(0, 1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("head_dim", "rot_dim"), [(2, 2), (32, 32), (80, 32), (96, 72)])
@pytest.mark.parametrize("tokens", [1, 7])
def test_views_of_a_fused_qkv(
    device: torch.device, dtype: torch.dtype, head_dim: int, rot_dim: int, tokens: int
) -> None:
    torch.manual_seed(0)
    qkv = torch.randn(tokens, 7, head_dim, device=device).to(dtype)
    before = qkv.clone()
    cos, sin = (f(angles(tokens, rot_dim, device)).to(dtype) for f in (torch.cos, torch.sin))
    rope_(qkv[:, :3], qkv[:, 3:5], cos, sin, fused=True)
    check(qkv[:, :3], before[:, :3], cos, sin)
    check(qkv[:, 3:5], before[:, 3:5], cos, sin)
    assert torch.equal(qkv[:, 5:], before[:, 5:])
    assert torch.equal(qkv[..., rot_dim:], before[..., rot_dim:])


@settings(max_examples=15, deadline=None)
@given(
    tokens=st.integers(0, 4), heads=st.integers(1, 5), kv_heads=st.integers(1, 3), half=st.integers(1, 20),
    tail=st.integers(0, 5), dtype=st.sampled_from(DTYPES), full=st.booleans(),
)  # fmt: skip
def test_heads_first_and_float32_angles(
    device: torch.device, tokens: int, heads: int, kv_heads: int, half: int, tail: int, dtype: torch.dtype, full: bool
) -> None:
    q = torch.randn(heads, tokens, 2 * half + tail, device=device).to(dtype).transpose(0, 1)
    k = torch.randn(tokens, kv_heads, 2 * half + tail + 3, device=device).to(dtype)[..., 3:]
    before = q.clone(), k.clone()
    kind = torch.float32 if full else dtype
    cos, sin = (torch.randn(tokens, 2 * half, device=device).to(kind) for _ in range(2))
    rope_(q, k, cos, sin, fused=True)
    check(q, before[0], cos, sin)
    check(k, before[1], cos, sin)


def test_a_bad_token_stays_alone(device: torch.device) -> None:
    q, k = torch.randn(4, 2, 8, device=device), torch.randn(4, 1, 8, device=device)
    cos, sin = angles(4, 8, device).cos(), angles(4, 8, device).sin()
    want, _ = rope_reference(q, k, cos, sin)
    q[1] = float("nan")
    with np.errstate(invalid="ignore"):
        rope_(q, k, cos, sin, fused=True)
    assert q[1].isnan().all()
    assert torch.equal(q[[0, 2, 3]], want[[0, 2, 3]])


def test_plain_is_in_place_too() -> None:
    q, k = torch.randn(4, 2, 8), torch.randn(4, 1, 8)
    cos, sin = angles(4, 8, q.device).cos(), angles(4, 8, q.device).sin()
    want = rope_reference(q, k, cos, sin)
    rope_(q, k, cos, sin, fused=False)
    assert torch.equal(q, want[0])
    assert torch.equal(k, want[1])


def test_what_does_not_fit_is_refused(device: torch.device) -> None:
    q, k, cos = (torch.ones(s, device=device) for s in ((3, 4, 8), (3, 2, 8), (3, 8)))
    with pytest.raises(ValueError, match=r"rot_dim must be even and of 2 to head_dim 8, not 10"):
        rope_(q, k, torch.ones(3, 10), torch.ones(3, 10))
    with pytest.raises(ValueError, match=r"rot_dim must be even and of 2 to head_dim 8, not 3"):
        rope_(q, k, cos[:, :3], cos[:, :3])
    with pytest.raises(ValueError, match=r"sin must be \(3, 8\), not \(2, 8\)"):
        rope_(q, k, cos, cos[:2])
    with pytest.raises(ValueError, match=r"k must be torch.float32 as q is, cos and sin both that or float32"):
        rope_(q, k.half(), cos, cos)
    with pytest.raises(ValueError, match=r"k must be \(3, 2, 8\), not \(2, 2, 8\)"):
        rope_(q, k[:2], cos, cos)
    with pytest.raises(ValueError, match=r"q is an expanded view and cannot be rotated in place"):
        rope_(q[:, :1].expand(3, 4, 8), k, cos, cos)
