"""Three ways of packed attention against a dense masked softmax in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from screen.model.forward import packing
from screen.model.forward.layout import Layout, lay_out

GQA = {"heads": 6, "groups": 2}


def sequences(lengths: list[int], beginnings: list[int]) -> tuple[list[np.ndarray], np.ndarray]:
    """Sequences of these lengths; each takes up to so many tokens from the one before it."""
    rng = np.random.default_rng(sum(lengths))
    made: list[np.ndarray] = []
    shared = []
    for n, wanted in zip(lengths, beginnings, strict=True):
        before = made[-1] if made else np.zeros(0, dtype=np.int32)
        common = min(wanted, len(before), n)
        made.append(np.concatenate([before[:common], rng.integers(0, 1 << 30, n - common)]).astype(np.int32))
        shared.append(common)
    return made, np.array(shared, dtype=np.intp)


def tensors(layout: Layout, dtype: torch.dtype, heads: int, groups: int, width: int = 8) -> list[torch.Tensor]:
    """q, k, v as transformers gives them: (1, heads, tokens, head_dim), views of (1, tokens, heads, head_dim)."""
    torch.manual_seed(len(layout.ids))
    n = len(layout.ids)
    return [torch.randn(1, n, h, width, dtype=torch.float64).to(dtype).transpose(1, 2) for h in (heads, groups, groups)]


def dense(
    layout: Layout, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, window: int | None, cap: Any
) -> torch.Tensor:
    """(1, tokens, heads, head_dim) float64: every token against its own sequence's tokens up to itself."""
    q, k, v = (t[0].double() for t in (q, k, v))
    k, v = (t.repeat_interleave(len(q) // len(t), dim=0) for t in (k, v))
    out = torch.full((q.shape[1], len(q), v.shape[2]), float("nan"), dtype=torch.float64)
    for places in layout.where:
        at = torch.from_numpy(places)
        scores = q[:, at] @ k[:, at].transpose(1, 2) * scale
        scores = scores if cap is None else torch.tanh(scores / cap) * cap
        back = torch.arange(len(at))[:, None] - torch.arange(len(at))
        hidden = (back < 0) if window is None else (back < 0) | (back >= window)
        out[at] = (scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v[:, at]).transpose(0, 1)
    return out[None]


def pieces_one_by_one(
    query: Any, key: Any, value: Any, cu_seq_q: Any, cu_seq_k: Any, max_q: int, max_k: int,
    *, scale: float, window_size: tuple[int, int] = (-1, -1), enable_gqa: bool = False,
) -> torch.Tensor:  # fmt: skip
    """torch's varlen_attn as it is documented: the last queries see all keys (bottom right)."""
    assert enable_gqa == (query.shape[1] != key.shape[1])
    assert window_size[1] == 0
    assert max_q == int(cu_seq_q.diff().max())
    assert max_k == int(cu_seq_k.diff().max())
    out = torch.full_like(query, float("nan"))
    window = None if window_size[0] < 0 else window_size[0] + 1
    for i in range(len(cu_seq_q) - 1):
        (a, b), (c, d) = cu_seq_q[i : i + 2], cu_seq_k[i : i + 2]
        q, k, v = query[a:b].transpose(0, 1), key[c:d].transpose(0, 1), value[c:d].transpose(0, 1)
        packing.sdpa(q, k, v, scale, window, None, out[a:b])
    return out


@pytest.fixture
def varlen(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Put a function in the place of torch's, which runs on CUDA only."""

    def put(function: Any) -> None:
        monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", function)
        packing._varlen_call.cache_clear()

    yield put
    packing._varlen_call.cache_clear()


def run(layout: Layout, way: str, tensors: list[torch.Tensor], **options: Any) -> torch.Tensor:
    with packing.attending(packing.spans(layout, way, torch.device("cpu"))):
        return packing.packed_attention(torch.nn.Module(), *tensors, **options)[0]


CASES = st.lists(st.tuples(st.integers(1, 150), st.integers(0, 90)), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(CASES, st.sampled_from([None, 1, 7, 64, 100]), st.sampled_from([None, 3.0]), st.sampled_from([(6, 2), (3, 3)]))
def test_blocks_and_sdpa_see_what_they_should(
    case: list[tuple[int, int]], window: int | None, softcap: float | None, heads: tuple[int, int]
) -> None:
    made, shared = sequences([n for n, _ in case], [c for _, c in case])
    layout = lay_out(made, shared)
    qkv = tensors(layout, torch.float32, *heads)
    want = dense(layout, *qkv, 0.7, window, softcap)
    for way in ("blocks", "sdpa"):
        got = run(layout, way, qkv, scaling=0.7, sliding_window=window, softcap=softcap)
        torch.testing.assert_close(got.double(), want, atol=2e-5, rtol=0)


@pytest.mark.parametrize("window", [None, 9])
@pytest.mark.parametrize("case", [[(3, 0)], [(40, 0), (30, 20), (30, 30), (1, 0)]])
def test_what_varlen_attention_is_told(case: list[tuple[int, int]], window: int | None, varlen: Any) -> None:
    varlen(pieces_one_by_one)
    made, shared = sequences([n for n, _ in case], [c for _, c in case])
    layout = lay_out(made, shared)
    qkv = tensors(layout, torch.float32, **GQA)
    got = run(layout, "varlen", qkv, scaling=None, sliding_window=window)
    torch.testing.assert_close(got.double(), dense(layout, *qkv, 8**-0.5, window, None), atol=1e-5, rtol=0)


def test_an_older_varlen_attention_is_called_its_own_way(varlen: Any) -> None:
    """Without `scale`, `window_size`, `enable_gqa`: queries are scaled, key heads repeated, and a window is refused."""

    def older(q: Any, k: Any, v: Any, asked: Any, seen: Any, most_asked: int, most_seen: int, is_causal: bool) -> Any:
        assert is_causal
        return pieces_one_by_one(q, k, v, asked, seen, most_asked, most_seen, scale=8**-0.5, window_size=(-1, 0))

    varlen(older)
    layout = lay_out(*sequences([40, 30], [0, 20]))
    qkv = tensors(layout, torch.float32, **GQA)
    got = run(layout, "varlen", qkv, scaling=0.9)
    torch.testing.assert_close(got.double(), dense(layout, *qkv, 0.9, None, None), atol=1e-5, rtol=0)
    with pytest.raises(NotImplementedError, match="knows no window"):
        run(layout, "varlen", qkv, sliding_window=5)


def test_what_is_not_known_is_refused() -> None:
    layout = lay_out(*sequences([4], [0]))
    qkv = tensors(layout, torch.float32, **GQA)
    for unknown in ({"attention_mask": torch.ones(1)}, {"s_aux": torch.ones(6)}):
        with pytest.raises(NotImplementedError):
            run(layout, "blocks", qkv, **unknown)
    with pytest.raises(NotImplementedError, match="softcap"):
        run(layout, "varlen", qkv, softcap=30.0)


def test_half_precision_is_as_good_as_torch_makes_it() -> None:
    """Scores are rounded to bfloat16 before the softmax, as transformers' eager attention does: within 3 times of
    torch's own error, which keeps them in float32."""
    layout = lay_out(*sequences([200, 150], [0, 100]))
    qkv = tensors(layout, torch.bfloat16, **GQA, width=64)
    want = dense(layout, *qkv, 64**-0.5, None, None)
    errors = {way: float((run(layout, way, qkv).double() - want).norm() / want.norm()) for way in ("blocks", "sdpa")}
    assert errors["blocks"] < min(0.01, 3 * errors["sdpa"])


def test_nan_stays_in_its_sequence() -> None:
    layout = lay_out(*sequences([70, 80], [0, 0]))
    q, k, v = tensors(layout, torch.float32, **GQA)
    v[:, :, 30] = float("nan")
    for way in ("blocks", "sdpa"):
        got = run(layout, way, [q, k, v])
        assert torch.isfinite(got[0, 70:]).all()
        assert torch.isnan(got[0, 30:70]).all()
