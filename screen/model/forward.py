"""Hidden states at the screened layers, projected inside the forward pass. No gradients, no cache, no head."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from screen_kernels import project_tokens
from torch import segment_reduce

from screen.model import packed
from screen.model.batches import plan_packed, plan_padded
from screen.model.load import BaseModel

Float32 = npt.NDArray[np.float32]


NO_SEGMENTS = np.zeros(0, dtype=np.int32)


class Branch(NamedTuple):
    """Another continuation of an item's first `at` tokens; all of its (m,) int32 `ids` count."""

    at: int
    ids: npt.NDArray[np.int32]


class Item(NamedTuple):
    """A sequence to run, (seq,) int32, and what is wanted of it.

    positions  (n,) int32, the tokens whose projections are wanted
    segments   (s,) int32, lengths of runs of `positions` that sum to n, whose means are wanted; may be empty
    branches   other continuations of a part of it
    """

    ids: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int32]
    segments: npt.NDArray[np.int32] = NO_SEGMENTS
    branches: tuple[Branch, ...] = ()


class Measured(NamedTuple):
    """tokens: (n + branch tokens, k) float32 projections on the run's vectors, the item's own positions first.
    means: (s + branches, p) float32, the mean hidden state of each segment, then of each branch, on the probes."""

    tokens: Float32
    means: Float32


class _Deep(Exception):
    pass


def run_to(
    model: BaseModel, layers: Sequence[int], see: Callable[[int, torch.Tensor], None], inputs: Mapping[str, Any]
) -> None:
    """One forward pass that calls `see(l, hidden_states[l])` for each of `layers` and stops after the deepest.

    hidden_states[l]: (batch, seq, d_model). The last layer of the whole model is what transformers gives as
    `hidden_states[-1]`: taken after the final norm.
    """
    deepest = max(layers)
    with _hooks(model, [layer for layer in layers if layer < model.n_layers], deepest, see):
        try:
            out = model.decoder(**inputs, use_cache=False)
        except _Deep:
            return
    if deepest == model.n_layers:
        see(deepest, out.last_hidden_state)


@contextmanager
def _hooks(
    model: BaseModel, layers: Sequence[int], deepest: int, see: Callable[[int, torch.Tensor], None]
) -> Iterator[None]:
    def after(layer: int) -> Callable[..., None]:
        def hook(_module: Any, _args: Any, output: Any) -> None:
            see(layer, output[0] if isinstance(output, tuple) else output)
            if layer == deepest:
                raise _Deep

        return hook

    def before(_module: Any, args: Any, kwargs: Any) -> None:
        see(0, args[0] if args else kwargs["hidden_states"])
        if deepest == 0:
            raise _Deep

    handles = [model.blocks[n - 1].register_forward_hook(after(n)) for n in layers if n > 0]
    if 0 in layers:
        handles.append(model.blocks[0].register_forward_pre_hook(before, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def padded_inputs(model: BaseModel, sequences: Sequence[npt.NDArray[np.int32]]) -> dict[str, torch.Tensor]:
    """Right-padded ids (batch, longest). No mask: a causal model's tokens never see the padding after them."""
    width = max(len(s) for s in sequences)
    ids = np.zeros((len(sequences), width), dtype=np.int64)
    for row, s in zip(ids, sequences, strict=True):
        row[: len(s)] = s
    return {"input_ids": torch.from_numpy(ids).to(model.device)}


def packed_inputs(model: BaseModel, sequences: Sequence[npt.NDArray[np.int32]]) -> dict[str, torch.Tensor]:
    """Ids laid end to end (1, tokens), positions starting anew with each sequence."""
    ids = np.concatenate(sequences).astype(np.int64)
    positions = np.concatenate([np.arange(len(s), dtype=np.int64) for s in sequences])
    return {
        "input_ids": torch.from_numpy(ids)[None].to(model.device),
        "position_ids": torch.from_numpy(positions)[None].to(model.device),
    }


def starts(sequences: Sequence[npt.NDArray[np.int32]]) -> list[int]:
    return [0, *np.cumsum([len(s) for s in sequences]).tolist()]


@contextmanager
def packing(model: BaseModel, sequences: Sequence[npt.NDArray[np.int32]]) -> Iterator[None]:
    """Run the block with packed attention; the model's own implementation is put back after it."""
    config = model.config
    usual = config._attn_implementation
    edges = starts(sequences)
    config._attn_implementation = packed.NAME
    try:
        with packed.bounds(tuple(itertools.pairwise(edges))):
            yield
    finally:
        config._attn_implementation = usual


class Projector:
    """Projections of chosen tokens on the run's vectors, and of segment means on further directions (probes).

    vectors  (k, d_model) float32 unit vectors; layers  the hidden_states row of each
    mode     "packed" or "padded" or "alone" (batch 1), as proved on the loaded model
    probes   (p, d_model) float32; probe_layers  the hidden_states row of each, none deeper than the vectors'
    """

    def __init__(
        self,
        model: BaseModel,
        vectors: Float32,
        layers: Sequence[int],
        mode: str,
        budget: int,
        *,
        probes: Float32 | None = None,
        probe_layers: Sequence[int] = (),
    ) -> None:
        self.model, self.mode, self.budget = model, mode, budget
        self.k, self.p = len(layers), len(probe_layers)
        self.layers = sorted({*layers, *probe_layers})
        self._vectors = _by_layer(model, vectors, layers)
        self._probes = _by_layer(model, probes, probe_layers) if probes is not None and self.p else {}

    def project(self, items: Sequence[Item], step: Callable[[int], None] = lambda _tokens: None) -> list[Float32 | str]:
        """The token projections of `measure` alone: (n, k) float32 an item, or why the model fails on it."""
        return [m if isinstance(m, str) else m.tokens for m in self.measure(items, step)]

    def measure(
        self, items: Sequence[Item], step: Callable[[int], None] = lambda _tokens: None
    ) -> list[Measured | str]:
        """What is wanted of each item; for one on which the model fails even alone, the reason as text. `step` is told
        the tokens of each batch."""

        def seen(layer: int, chosen: torch.Tensor, lengths: torch.Tensor, out: _Out) -> None:
            if layer in self._vectors:
                columns, rows = self._vectors[layer]
                out.tokens[:, columns] = project_tokens(chosen, rows)
            if layer in self._probes and len(lengths):
                columns, rows = self._probes[layer]
                out.means[:, columns] = segment_reduce(chosen.float(), "mean", lengths=lengths, unsafe=True) @ rows.T

        return self._run(items, self.layers, seen, self.k, (self.p,), step)

    def states(self, items: Sequence[Item], layers: Sequence[int]) -> list[Float32 | str]:
        """(s + branches, layers, d_model) float32 an item: the mean hidden states themselves, for few items."""

        def seen(layer: int, chosen: torch.Tensor, lengths: torch.Tensor, out: _Out) -> None:
            out.means[:, list(layers).index(layer)] = segment_reduce(
                chosen.float(), "mean", lengths=lengths, unsafe=True
            )

        wide = (len(layers), self.model.d_model)
        found = self._run(items, sorted(set(layers)), seen, 0, wide, lambda _tokens: None)
        return [m if isinstance(m, str) else m.means for m in found]

    def _run(
        self,
        items: Sequence[Item],
        layers: Sequence[int],
        seen: _Seen,
        k: int,
        wide: tuple[int, ...],
        step: Callable[[int], None],
    ) -> list[Measured | str]:
        parts = [part for item in items for part in _parts(item)]
        lengths = [len(part.ids) for part in parts]
        if self.mode == "alone":
            batches = [np.asarray([i]) for i in range(len(parts))]
        else:
            batches = (plan_packed if self.mode == "packed" else plan_padded)(lengths, self.budget)
        out: list[Measured | str] = [""] * len(parts)
        for batch in batches:
            made = self._batch_or_halves([parts[i] for i in batch], layers, seen, k, wide)
            for i, value in zip(batch.tolist(), made, strict=True):
                out[i] = value
            step(int(sum(lengths[i] for i in batch)))
        return _joined(items, out)

    def _batch_or_halves(
        self, parts: Sequence[Item], layers: Sequence[int], seen: _Seen, k: int, wide: tuple[int, ...]
    ) -> Sequence[Measured | str]:
        """A batch, or, where it fails, its halves: a poison sequence costs itself and nothing else."""
        try:
            self._check_ids(parts)
            return self._batch(parts, layers, seen, k, wide)
        except (RuntimeError, ValueError, IndexError, ArithmeticError) as error:
            if len(parts) == 1:
                return [f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"]
            middle = len(parts) // 2
            halves = (parts[:middle], parts[middle:])
            return [m for half in halves for m in self._batch_or_halves(half, layers, seen, k, wide)]

    def _check_ids(self, parts: Sequence[Item]) -> None:
        """On the CPU, before the device sees them: an id outside the embedding kills a GPU process."""
        for item in parts:
            low, high = int(item.ids.min()), int(item.ids.max())
            if low < 0 or high >= self.model.vocab_size:
                raise IndexError(f"token id {low if low < 0 else high} is not in the model's {self.model.vocab_size}")

    @torch.inference_mode()
    def _batch(
        self, parts: Sequence[Item], layers: Sequence[int], seen: _Seen, k: int, wide: tuple[int, ...]
    ) -> list[Measured]:
        sequences, device = [part.ids for part in parts], self.model.device
        if self.mode == "packed":
            inputs, edges = packed_inputs(self.model, sequences), starts(sequences)[:-1]
        else:
            inputs = padded_inputs(self.model, sequences)
            width = inputs["input_ids"].shape[1]
            edges = [row * width for row in range(len(parts))]
        flat = np.concatenate([part.positions + edge for part, edge in zip(parts, edges, strict=True)])
        index = torch.from_numpy(flat.astype(np.int64)).to(device)
        counts = np.concatenate([part.segments for part in parts]).astype(np.int64)
        lengths = torch.from_numpy(counts).to(device)
        out = _Out(
            torch.zeros(len(flat), k, dtype=torch.float32, device=device),
            torch.zeros(len(counts), *wide, dtype=torch.float32, device=device),
        )

        def see(layer: int, hidden: torch.Tensor) -> None:
            seen(layer, hidden.flatten(0, 1).index_select(0, index), lengths, out)

        if self.mode == "packed":
            with packing(self.model, sequences):
                run_to(self.model, layers, see, inputs)
        else:
            run_to(self.model, layers, see, inputs)
        tokens = np.split(out.tokens.cpu().numpy(), np.cumsum([len(part.positions) for part in parts])[:-1])
        means = np.split(out.means.cpu().numpy(), np.cumsum([len(part.segments) for part in parts])[:-1])
        return [Measured(t, m) for t, m in zip(tokens, means, strict=True)]


class _Out(NamedTuple):
    tokens: torch.Tensor  # (positions, k)
    means: torch.Tensor  # (segments, ...)


_Seen = Callable[[int, torch.Tensor, torch.Tensor, _Out], None]


def _by_layer(model: BaseModel, rows: Float32, layers: Sequence[int]) -> dict[int, tuple[list[int], torch.Tensor]]:
    """layer -> (its columns, (columns, d_model) float32 on the device)"""
    whole = torch.from_numpy(np.ascontiguousarray(rows)).to(model.device)
    columns = {n: [j for j, layer in enumerate(layers) if layer == n] for n in set(layers)}
    return {n: (at, whole[at]) for n, at in columns.items()}


def _parts(item: Item) -> list[Item]:
    """An item's own sequence, then each branch as a sequence of its own."""
    parts = [Item(item.ids, item.positions, item.segments)]
    for at, ids in item.branches:
        whole = np.concatenate([item.ids[:at], ids])
        lengths = np.array([len(ids)], dtype=np.int32)
        parts.append(Item(whole, np.arange(at, len(whole), dtype=np.int32), lengths))
    return parts


def _joined(items: Sequence[Item], parts: Sequence[Measured | str]) -> list[Measured | str]:
    """What came of each item's parts, put together; one part that fails fails its item."""
    out: list[Measured | str] = []
    at = 0
    for item in items:
        own = parts[at : at + 1 + len(item.branches)]
        at += len(own)
        failed = [p for p in own if isinstance(p, str)]
        whole = [p for p in own if not isinstance(p, str)]
        if failed:
            out.append(failed[0])
        elif len(whole) == 1:
            out.append(whole[0])
        else:
            out.append(Measured(np.concatenate([p.tokens for p in whole]), np.concatenate([p.means for p in whole])))
    return out
