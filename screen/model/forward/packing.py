"""Attention over several sequences laid end to end: each token sees its own sequence and nothing else.

Registered with transformers as the attention implementation `screen_packed`. Stock implementations leak between
packed samples without an error when a mask or a cache is in play, so packing is taken only when it has been
proved equal on the loaded model (`proof.py`). Three ways, chosen there:

    varlen   torch's variable-length flash attention, one call a layer: CUDA, half precision
    blocks   matrix products over blocks of queries, causal blocks skipped: CPUs. torch's own attention on the CPU
             took 1.6 times as long in float32 and 2.4 times in bfloat16 (docs/decisions/0006)
    sdpa     torch's attention a sequence: the reference, and what is left on other devices
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from screen.model.forward.layout import Layout
from screen.model.forward.transfer import send

NAME = "screen_packed"
BLOCK = 64  # queries a block: 64 to 128 were alike in bfloat16, 64 the best in float32
_UNKNOWN = ("s_aux", "head_mask", "position_bias", "attention_bias", "block_table")


class Varlen(NamedTuple):
    """What varlen_attn wants: running sums of the pieces' tokens asked and seen, (pieces + 1,) int32; `gather`: the
    places of the tokens seen, None where they are all tokens in order."""

    asked: torch.Tensor
    seen: torch.Tensor
    most_asked: int
    most_seen: int
    gather: torch.Tensor | None


class Spans(NamedTuple):
    """A batch's pieces on the device: (start, end, places seen or None), or for all of them at once."""

    way: str
    pieces: tuple[tuple[int, int, torch.Tensor | None], ...]
    varlen: Varlen | None


_SPANS: ContextVar[Spans] = ContextVar("pieces of the packed batch")


def spans(layout: Layout, way: str, device: torch.device) -> Spans:
    if way != "varlen":
        pieces = ((p.start, p.end, None if p.seen is None else send(p.seen, device)) for p in layout.pieces)
        return Spans(way, tuple(pieces), None)
    asked = [p.end - p.start for p in layout.pieces]
    seen = [p.end - p.start if p.seen is None else len(p.seen) for p in layout.pieces]
    gather = None
    if any(p.seen is not None for p in layout.pieces):
        every = [np.arange(p.start, p.end) if p.seen is None else p.seen for p in layout.pieces]
        gather = send(np.concatenate(every), device)
    sums = [send(np.concatenate([[0], np.cumsum(n)]).astype(np.int32), device) for n in (asked, seen)]
    return Spans(way, (), Varlen(sums[0], sums[1], max(asked), max(seen), gather))


@contextmanager
def attending(batch: Spans) -> Iterator[None]:
    """State the pieces of the packed batch that runs inside the block."""
    token = _SPANS.set(batch)
    try:
        yield
    finally:
        _SPANS.reset(token)


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Causal attention a sequence. query (1, heads, tokens, head_dim), key and value (1, kv_heads, tokens, head_dim).

    Returns ((1, tokens, heads, head_dim), None). `sliding_window` w lets token i see i-w+1 to i, as transformers
    defines it. Raises NotImplementedError for arguments whose meaning is not known here: the proof then fails
    and another path is taken.
    """
    odd = [name for name in _UNKNOWN if kwargs.get(name) is not None]
    if odd or attention_mask is not None:
        raise NotImplementedError(f"packed attention does not know {', '.join(odd) or 'attention masks'}")
    scale = query.shape[3] ** -0.5 if scaling is None else float(scaling)
    q, k, v = (t[0].transpose(0, 1) for t in (query, key, value))
    return attend(q, k, v, scale, sliding_window, softcap)[None], None


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, window: int | None, softcap: float | None
) -> torch.Tensor:
    """As `packed_attention`: q (tokens, heads, head_dim), k and v (tokens, kv_heads, head_dim), gives like q."""
    batch = _SPANS.get()
    if batch.varlen is not None:
        return _varlen(q, k, v, batch.varlen, scale, window, softcap)
    one = blocks if batch.way == "blocks" else sdpa
    out = q.new_empty(len(q), q.shape[1], v.shape[2])
    rows = k.contiguous(), v.contiguous()  # whole rows are gathered 50 times as fast as a row of each head
    for start, end, places in batch.pieces:
        if places is None:
            ks, vs = k[start:end], v[start:end]
        else:
            ks, vs = (t.index_select(0, places) for t in rows)
        qs, ks, vs = (t.transpose(0, 1) for t in (q[start:end], ks, vs))
        one(qs, ks, vs, scale, window, softcap, out[start:end])
    return out


def sdpa(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
    out: torch.Tensor,
) -> None:
    """The last `asked` of `seen` tokens attend: q (heads, asked, head_dim), k and v (kv_heads, seen, head_dim), into
    out (asked, heads, head_dim). The reference for `blocks`."""
    asked, seen = q.shape[1], k.shape[1]
    if softcap is None:
        simple = asked == seen and (window is None or seen <= window)
        mask = None if simple else _visible(asked, seen, window, q.device)
        gqa = q.shape[0] != k.shape[0]
        attended = scaled_dot_product_attention(
            q[None], k[None], v[None], attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=gqa
        )[0]
    else:
        k, v = (t.repeat_interleave(q.shape[0] // t.shape[0], dim=0) for t in (k, v))
        scores = torch.tanh(q @ k.transpose(1, 2) * scale / softcap) * softcap
        scores = scores.masked_fill(~_visible(asked, seen, window, q.device), float("-inf"))
        attended = scores.softmax(-1, dtype=torch.float32).to(q.dtype) @ v
    out.copy_(attended.transpose(0, 1))


def _visible(asked: int, seen: int, window: int | None, device: torch.device) -> torch.Tensor:
    """(asked, seen) bool: what the last `asked` of `seen` tokens see."""
    back = torch.arange(seen - asked, seen, device=device)[:, None] - torch.arange(seen, device=device)
    return (back >= 0) if window is None else (back >= 0) & (back < window)


def blocks(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    scale: float,
    window: int | None,
    softcap: float | None,
    out: torch.Tensor,
) -> None:
    """As `sdpa`, by blocks of queries: the heads that share keys are rows of one product, keys that no query of the
    block sees are left out, and masks are triangles added to the blocks at both ends of what is seen."""
    heads, asked, width = q.shape
    groups, seen = k.shape[0], k.shape[1]
    q = q.reshape(groups, heads // groups, asked, width)
    kt = k.transpose(1, 2)
    for a in range(0, asked, BLOCK):
        b = min(asked, a + BLOCK)
        first, last = seen - asked + a, seen - asked + b  # the block's queries, as places among what is seen
        low = 0 if window is None else max(0, first - window + 1)
        scores = torch.bmm(q[:, :, a:b].reshape(groups, -1, width), kt[:, :, low:last]).mul_(scale)
        if softcap is not None:
            scores.div_(softcap).tanh_().mul_(softcap)
        n = b - a
        grid = scores.view(groups, -1, n, last - low)
        grid[..., first - low :].add_(_triangle(n, q.dtype, q.device))
        if window is not None and last - low > window:
            grid.masked_fill_(~_visible(n, last - low, window, q.device), float("-inf"))
        attended = torch.bmm(scores.softmax(-1), v[:, low:last])
        out[a:b] = attended.view(heads, n, v.shape[2]).transpose(0, 1)


@functools.lru_cache(maxsize=2 * BLOCK)
def _triangle(n: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """(n, n): -inf above the diagonal, 0 elsewhere."""
    return torch.full((n, n), float("-inf"), dtype=dtype, device=device).triu(1)


def _varlen(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    sums: Varlen,
    scale: float,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    """(tokens, heads, head_dim), from q like it, k and v (tokens, kv_heads, head_dim)."""
    if softcap is not None:
        raise NotImplementedError("variable-length attention knows no softcap")
    if sums.gather is not None:
        k, v = k.index_select(0, sums.gather), v.index_select(0, sums.gather)
    attended: torch.Tensor = _varlen_call()(q, k, v, sums, scale, window)
    return attended


@functools.cache
def _varlen_call() -> Callable[..., torch.Tensor]:
    """torch's varlen_attn, whose arguments differ from release to release, by one signature. Raises
    NotImplementedError where this torch has none that can do it."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        raise NotImplementedError(f"torch {torch.__version__} has no variable-length attention") from None
    known = inspect.signature(varlen_attn).parameters

    def call(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, sums: Varlen, scale: float, window: int | None
    ) -> torch.Tensor:
        options: dict[str, Any] = {}
        if "window_size" in known:
            options["window_size"] = (-1 if window is None else window - 1, 0)
        elif "is_causal" in known and window is None:
            options["is_causal"] = True
        else:
            raise NotImplementedError(f"varlen_attn of torch {torch.__version__} knows no window")
        if "scale" in known:
            options["scale"] = scale
        else:
            q = q * (scale * q.shape[2] ** 0.5)  # it divides by the root of head_dim
        if q.shape[1] != k.shape[1]:
            if "enable_gqa" in known:
                options["enable_gqa"] = True
            else:
                k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], dim=1) for t in (k, v))
        out = varlen_attn(q, k, v, sums.asked, sums.seen, sums.most_asked, sums.most_seen, **options)
        return cast(torch.Tensor, out)

    return call


AttentionInterface.register(NAME, packed_attention)
