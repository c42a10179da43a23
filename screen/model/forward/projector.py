"""Hidden states at the screened layers, projected inside the forward pass: the scores' raw material."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from screen_kernels import Inner, deepest_project, inner_of, project_tokens, segment_project
from torch import segment_reduce

from screen.model.faults import FAULTS, MemoryRanOut, device_failed, failed_device, no_memory, told
from screen.model.forward.blocks import narrows, run_together, together
from screen.model.forward.fused import stack
from screen.model.forward.items import Float32, Item, Measured, joined, parts_of
from screen.model.forward.kept import KeptStates, States, key_of
from screen.model.forward.layout import Places
from screen.model.forward.plan import Batch, Batching, cost, plan
from screen.model.forward.transfer import Coming, send
from screen.model.load import BaseModel

Step = Callable[[int, int], None]  # told the tokens of a batch that is done, and of all batches
Begin = Callable[[Sequence[int], float], None]  # told the items of a batch that is begun, and its cost
_MANY = 8  # directions times this, of the width: beyond it the deepest block's last product costs less than they do


class Projector:
    """Projections of chosen tokens on the run's vectors, and of segment means on further directions (controls).

    vectors   (k, d_model) float32 unit vectors; layers  the hidden_states row of each
    batching  as proved on the loaded model
    budget    tokens a batch, unless `measure` is given others
    controls    (p, d_model) float32; control_layers  the hidden_states row of each, none deeper than the vectors'
    kept      hidden states that `states` was told to keep, for `measure` of the same batches, whatever the controls
    """

    def __init__(
        self,
        model: BaseModel,
        vectors: Float32,
        layers: Sequence[int],
        batching: Batching,
        budget: int,
        *,
        controls: Float32 | None = None,
        control_layers: Sequence[int] = (),
        kept: KeptStates | None = None,
    ) -> None:
        self.model, self.batching, self.budget = model, batching, budget
        self._vectors = vectors, layers
        self._kept = KeptStates() if kept is None else kept
        self.k, self.p = len(layers), len(control_layers)
        self.layers = sorted({*layers, *control_layers})
        none = np.zeros((0, model.d_model), dtype=np.float32)
        self._directions = {
            n: _directions(model.device, n, (vectors, layers), (none if controls is None else controls, control_layers))
            for n in self.layers
        }
        self._ahead = 3 if model.device.type == "cuda" else 0  # batches queued behind the one whose results are read

    def with_controls(self, controls: Float32, control_layers: Sequence[int]) -> Projector:
        """The same projector, which also measures segments on these."""
        vectors, layers = self._vectors
        return Projector(
            self.model,
            vectors,
            layers,
            self.batching,
            self.budget,
            controls=controls,
            control_layers=control_layers,
            kept=self._kept,
        )

    def project(self, items: Sequence[Item], step: Step = lambda _tokens, _of: None) -> list[Float32 | str]:
        """The token projections of `measure` alone: (n, k) float32 an item, or why the model fails on it."""
        return [m if isinstance(m, str) else m.tokens for m in self.measure(items, step)]

    def measure(
        self,
        items: Sequence[Item],
        step: Step = lambda _tokens, _of: None,
        begin: Begin = lambda _items, _cost: None,
        *,
        budget: int | None = None,
    ) -> list[Measured | str]:
        """What is wanted of each item; for one on which the model fails even alone, the reason as text. `step` is told
        of each batch that is done, `begin` of each before it.

        budget  tokens a batch, all of which must fit: else MemoryRanOut is raised. None: the projector's own, and less
                where memory runs out
        """

        seen = self._seen_fused if self.batching.fused else self._seen
        halved = self.batching.fused and self._inner is not None
        return self._run(items, _Wanted(self.layers, seen, self.k, (self.p,), halved), step, begin, budget)

    @functools.cached_property
    def _inner(self) -> Inner | None:
        """The deepest layer's directions seen from inside its block, where that is less work than its last product."""
        both = self._directions[self.layers[-1]].both
        product = stack(self.model).last_product(self.layers[-1]) if self.layers[-1] < self.model.n_layers else None
        if product is None or _MANY * len(both) > self.model.d_model:
            return None
        return inner_of(both, product.weight, product.bias)

    def _seen(self, layer: int, states: torch.Tensor, chosen: _Chosen, out: _Out) -> None:
        mine, states = self._directions[layer], states.index_select(0, chosen.places)
        if len(mine.columns):
            out.tokens.index_copy_(1, mine.columns, project_tokens(states, mine.vectors))
        if len(mine.probe_columns) and len(out.means):
            out.means.index_copy_(1, mine.probe_columns, _means(states, chosen.offsets) @ mine.controls.T)

    def _seen_fused(self, layer: int, states: torch.Tensor, chosen: _Chosen, out: _Out) -> None:
        """As `_seen` in one kernel, which gathers the tokens itself; the controls' means are taken of projections. The
        deepest block's last product may have been left out."""
        mine = self._directions[layer]
        halves = stack(self.model).halves if self._inner is not None and layer == self.layers[-1] else None
        if halves is not None and self._inner is not None:
            tokens, means = deepest_project(halves.mid, halves.act, self._inner, chosen.places, chosen.offsets)
        else:
            tokens, means = segment_project(states, chosen.places, chosen.offsets, mine.both)
        k = len(mine.columns)
        out.tokens.index_copy_(1, mine.columns, tokens[:, :k])
        if len(out.means):
            out.means.index_copy_(1, mine.probe_columns, means[:, k:])

    def states(
        self,
        items: Sequence[Item],
        layers: Sequence[int],
        begin: Begin = lambda _items, _cost: None,
        *,
        keep: bool = False,
    ) -> list[Float32 | str]:
        """(s + branches, layers, d_model) float32 an item: the mean hidden states themselves, for few items.
        `keep`: they will be measured too, alone and at these layers; on a CPU they are then not run again."""

        def seen(layer: int, states: torch.Tensor, chosen: _Chosen, out: _Out) -> None:
            out.means[:, list(layers).index(layer)] = _means(states.index_select(0, chosen.places), chosen.offsets)

        wide = (len(layers), self.model.d_model)
        keep = keep and self.model.device.type == "cpu" and not self.batching.fused
        wanted = _Wanted(sorted(set(layers)), seen, 0, wide, halved=False, keep=keep)
        found = self._run(items, wanted, lambda _tokens, _of: None, begin)
        return [m if isinstance(m, str) else m.means for m in found]

    def _run(
        self, items: Sequence[Item], wanted: _Wanted, step: Step, begin: Begin, budget: int | None = None
    ) -> list[Measured | str]:
        parts = [part for item in items for part in parts_of(item)]
        owners = [i for i, item in enumerate(items) for _ in range(1 + len(item.branches))]

        def of_items(batch: Sequence[int]) -> None:
            begin(sorted({owners[i] for i in batch}), cost([len(parts[i].ids) for i in batch]))

        size = budget or self.budget
        while True:
            try:
                return joined(items, self._planned(parts, wanted, step, of_items, size))
            except MemoryRanOut:
                if self.model.device.type == "cuda":
                    torch.cuda.empty_cache()
                if budget is not None:
                    raise
                size = max(1, size // 2)

    def _planned(
        self, parts: Sequence[Item], wanted: _Wanted, step: Step, begin: Callable[[Sequence[int]], None], size: int
    ) -> list[Measured | str]:
        """The parts' results, batch by batch. On CUDA nobody waits for a batch before the next ones are queued."""
        out: list[Measured | str] = [""] * len(parts)
        tokens = sum(len(part.ids) for part in parts)
        waiting: deque[_Queued] = deque()

        def read() -> None:
            queued = waiting.popleft()
            try:
                measured = _split([parts[i] for i in queued.at], queued.coming)
            except RuntimeError as error:  # of a kernel that was queued before
                raise failed_device(self.model.device, error) from None
            for i, made in zip(queued.at, measured, strict=True):
                out[i] = made
            step(sum(len(parts[i].ids) for i in queued.at), tokens)

        for batch in plan(self.batching, [part.ids for part in parts], size, self.model.apart):
            for done in self._batch_or_halves(parts, batch, wanted, begin):
                if isinstance(done, _Queued):
                    waiting.append(done)
                else:
                    out[done[0]] = done[1]
            while len(waiting) > self._ahead:
                read()
        while waiting:
            read()
        return out

    def _batch_or_halves(
        self, parts: Sequence[Item], batch: Batch, wanted: _Wanted, begin: Callable[[Sequence[int]], None]
    ) -> list[_Queued | tuple[int, str]]:
        """A batch, or, where it fails, its halves: a poison sequence costs itself and nothing else. Raises MemoryRanOut
        where several sequences do not fit into memory."""
        at = batch.order.tolist()
        known = None if wanted.keep else self._kept.take([parts[i] for i in at], batch.shared, wanted.layers)
        if known is not None:
            return [_Queued(at, self._again([parts[i] for i in at], known, wanted))]
        begin(at)
        try:
            self._check_ids([parts[i] for i in at])
            return [_Queued(at, self._batch([parts[i] for i in at], batch.shared, wanted))]
        except FAULTS as error:
            if device_failed(error):
                raise failed_device(self.model.device, error) from None
            if len(at) == 1:
                return [(at[0], told(error))]
            if no_memory(error):
                raise MemoryRanOut from None
        middle = len(at) // 2
        halves = (Batch(batch.order[s], batch.shared[s]) for s in (slice(0, middle), slice(middle, None)))
        return [done for half in halves for done in self._batch_or_halves(parts, half, wanted, begin)]

    def _check_ids(self, parts: Sequence[Item]) -> None:
        """On the CPU, before the device sees them: an id outside the embedding kills a GPU process."""
        for item in parts:
            low, high = int(item.ids.min()), int(item.ids.max())
            if low < 0 or high >= self.model.vocab_size:
                raise IndexError(f"token id {low if low < 0 else high} is not in the model's {self.model.vocab_size}")

    @torch.inference_mode()
    def _batch(self, parts: Sequence[Item], shared: npt.NDArray[np.intp], wanted: _Wanted) -> Coming:
        device = self.model.device
        batch = together(self.model, self.batching, [part.ids for part in parts], shared)
        flat = np.concatenate([places[part.positions] for part, places in zip(parts, batch.where, strict=True)])
        chosen = _chosen(flat, np.concatenate([part.segments for part in parts]), device)
        out = _out(parts, wanted, device)
        kept: dict[int, torch.Tensor] = {}
        deepest, rows, last = max(wanted.layers), None, chosen
        if narrows(self.batching, wanted.layers) and len(flat) < batch.inputs["input_ids"].numel():
            # the deepest block gives the chosen tokens alone, one behind the other
            rows, last = chosen.places, chosen._replace(places=torch.arange(len(flat), device=device))

        def see(layer: int, hidden: torch.Tensor) -> None:
            states, these = hidden.flatten(0, 1), last if layer == deepest else chosen
            wanted.seen(layer, states, these, out)
            if wanted.keep:
                kept[layer] = states.index_select(0, these.places)

        run_together(self.model, self.batching, batch, wanted.layers, see, rows, wanted.halved)
        if wanted.keep:
            self._kept.put(key_of(parts, shared, wanted.layers), kept)
        return Coming(out.tokens, out.means)

    @torch.inference_mode()
    def _again(self, parts: Sequence[Item], known: States, wanted: _Wanted) -> Coming:
        """As `_batch`, of hidden states that were kept."""
        device = self.model.device
        flat = np.arange(sum(len(part.positions) for part in parts))  # what was kept are the chosen tokens alone
        chosen = _chosen(flat, np.concatenate([part.segments for part in parts]), device)
        out = _out(parts, wanted, device)
        for layer in wanted.layers:
            wanted.seen(layer, known[layer], chosen, out)
        return Coming(out.tokens, out.means)


class _Out(NamedTuple):
    tokens: torch.Tensor  # (positions, k)
    means: torch.Tensor  # (segments, ...)


def _out(parts: Sequence[Item], wanted: _Wanted, device: torch.device) -> _Out:
    positions, segments = sum(len(part.positions) for part in parts), sum(len(part.segments) for part in parts)
    return _Out(
        torch.zeros(positions, wanted.k, dtype=torch.float32, device=device),
        torch.zeros(segments, *wanted.wide, dtype=torch.float32, device=device),
    )


class _Chosen(NamedTuple):
    """The tokens wanted of a batch, (n,) int64 places, and where their segments begin and end, (s + 1,) int64; all of
    them are one segment where none is wanted."""

    places: torch.Tensor
    offsets: torch.Tensor


def _chosen(flat: Places, segments: npt.NDArray[np.int32], device: torch.device) -> _Chosen:
    if len(segments) and segments.sum() != len(flat):
        raise ValueError(f"segments of {segments.sum()} tokens in a batch where {len(flat)} are wanted")
    lengths = segments if len(segments) else np.array([len(flat)] if len(flat) else [], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return _Chosen(send(flat, device), send(offsets, device))


_Seen = Callable[[int, torch.Tensor, _Chosen, _Out], None]


class _Wanted(NamedTuple):
    """`seen(layer, (tokens, d_model) hidden states, tokens chosen, out)` is called at each of `layers`. `halved`: the
    deepest one's states are left in two halves. `keep`: all states are wanted again."""

    layers: Sequence[int]
    seen: _Seen
    k: int
    wide: tuple[int, ...]
    halved: bool
    keep: bool = False


class _Queued(NamedTuple):
    at: list[int]  # places of the parts
    coming: Coming


def _split(parts: Sequence[Item], coming: Coming) -> list[Measured]:
    """A batch's results, a part each."""
    tokens, means = coming.take()
    by_token = np.split(tokens, np.cumsum([len(part.positions) for part in parts])[:-1])
    by_segment = np.split(means, np.cumsum([len(part.segments) for part in parts])[:-1])
    return [Measured(t, m) for t, m in zip(by_token, by_segment, strict=True)]


def _means(states: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """(segments, d_model) float32"""
    return segment_reduce(states.float(), "mean", offsets=offsets, axis=0, unsafe=True)


class _Directions(NamedTuple):
    """A layer's directions on the device: columns in the results, (n,) int64, and rows, (n, d_model) float32."""

    columns: torch.Tensor
    vectors: torch.Tensor
    probe_columns: torch.Tensor
    controls: torch.Tensor
    both: torch.Tensor


def _directions(device: torch.device, layer: int, *kinds: tuple[Float32, Sequence[int]]) -> _Directions:
    found = []
    for rows, layers in kinds:
        at = [j for j, n in enumerate(layers) if n == layer]
        found += [torch.tensor(at, dtype=torch.int64), torch.from_numpy(np.ascontiguousarray(rows[at]))]
    return _Directions(*(t.to(device) for t in (*found, torch.cat([found[1], found[3]]))))
