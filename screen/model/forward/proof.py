"""How sequences may share a forward pass, proved on the loaded model before any work.

Packing is fastest and breaks silently on models with their own attention; padding is nearly always right. Odd
lengths are run together and alone, and their hidden states compared; the choice, the measured difference and the
reason go into `scan.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import torch
from screen_kernels import available

from screen.errors import ModelError
from screen.model.forward.blocks import narrows, run_together, together
from screen.model.forward.items import Item
from screen.model.forward.layout import Ids
from screen.model.forward.noise import lengthened, rounded
from screen.model.forward.plan import Batching, plan
from screen.model.forward.projector import Projector
from screen.model.forward.transfer import send
from screen.model.load import BaseModel

# Bounds on the largest |difference| of a hidden state, as a share of its norm. In half precision it is this many times
# what rounding alone does to the loaded model (`noise.py`), within limits: a leak differs by about the norm itself.
_FLOAT32 = 1e-4
_TIMES = 2.0
_LEAST, _MOST = 0.01, 0.25
_LENGTHS = (5, 33, 2, 64, 17, 48)
_LONGEST = {"cuda": 16384}  # tokens of the data's longest row that are tried, by kind of device; 512 elsewhere
_AGREES = "agrees with batch 1"

States = dict[int, list[torch.Tensor]]  # layer -> a sequence each, (seq, d_model) float32


@dataclass(frozen=True, slots=True)
class Proof:
    """`difference`: what was measured for `batching`, within `bound`. `noise`: what the bound is relative to, None in
    float32. `reason`: why not a faster one."""

    batching: Batching
    difference: float
    reason: str
    noise: float | None
    bound: float

    @property
    def fell_back(self) -> bool:
        """Whether a faster way was tried first."""
        return self.reason != _AGREES


def prove(model: BaseModel, layers: Sequence[int], longest: int = 0) -> Proof:
    """Choose the fastest way of batching whose hidden states agree with batch 1 at every one of `layers`.

    longest  tokens of the longest row that is known: one as long is tried, up to a limit by device, and past the
             model's sliding window in any case where that row is
    """
    sequences = _odd_sequences(model, longest)
    alone = _alone(model, layers, sequences)
    if not all(torch.isfinite(t).all() for states in alone.values() for t in states):
        raise ModelError("the model's hidden states are not finite on plain tokens", "check the weights and --dtype")
    noise, bound = _bound(model, layers, sequences, alone)
    _, without = _kernels(model)
    reasons = [f"the kernels are left out: {without}"] if without else []
    for batching in _ways(model):
        try:
            gap = _difference(_states(model, layers, sequences, batching), alone)
            if batching.fused and gap <= bound:
                gap = max(gap, _projection_gap(model, batching, sequences, alone))
        except Exception as error:  # any failure of a fast path means: not this path, and say why
            reasons.append(f"{batching} failed ({type(error).__name__}: {str(error)[:120]})")
            continue
        if gap <= bound:
            return Proof(batching, gap, "; ".join(reasons) or _AGREES, noise, bound)
        reasons.append(f"{batching} differs from batch 1 by {gap:.1e} of the norm, more than {bound:.1e}")
    return Proof(Batching("alone"), 0.0, "; ".join(reasons), noise, bound)


def _alone(model: BaseModel, layers: Sequence[int], sequences: Sequence[Ids]) -> States:
    """Hidden states at batch 1."""
    alone: States = {n: [] for n in layers}
    for s in sequences:
        for layer, states in _states(model, layers, [s], Batching("alone")).items():
            alone[layer] += states
    return alone


def _bound(
    model: BaseModel, layers: Sequence[int], sequences: Sequence[Ids], alone: States
) -> tuple[float | None, float]:
    """(noise, bound): how far batch 1 is from itself where each block's input is moved by a last place and the order of
    arithmetic is another, and what is allowed for it. In float32 a constant is allowed, far below any leak."""
    if model.dtype == torch.float32:
        return None, _FLOAT32
    with rounded(model, layers):
        moved = _alone(model, layers, [lengthened(model, s) for s in sequences])
    cut = {n: [t[: len(s)] for t, s in zip(states, sequences, strict=True)] for n, states in moved.items()}
    noise = _difference(cut, alone)
    return noise, min(max(_TIMES * noise, _LEAST), _MOST)


def _ways(model: BaseModel) -> Iterator[Batching]:
    """Fastest first."""
    attention: list[Literal["varlen", "blocks", "sdpa"]] = ["sdpa"]
    if model.device.type == "cuda" and model.dtype != torch.float32:
        attention.insert(0, "varlen")
    elif model.device.type == "cpu":
        attention.insert(0, "blocks")
    fused = (True, False) if _kernels(model)[0] else (False,)
    for way, parts, sharing in product(attention, fused, (True, False)):
        yield Batching("packed", way, sharing, parts)
    yield Batching("padded")


def _kernels(model: BaseModel) -> tuple[bool, str | None]:
    """Whether the fused kernels may be tried, and, on a CUDA device, why not. On a CPU plain torch is as fast
    (docs/decisions/0006)."""
    if model.device.type != "cuda":
        return False, None
    reason = available()
    return reason is None, reason


def _odd_sequences(model: BaseModel, longest: int) -> list[Ids]:
    rng = np.random.default_rng(0)
    window = getattr(model.config.get_text_config(), "sliding_window", None)
    window = window or getattr(model.config, "window_size", None)
    lengths = list(_LENGTHS)
    if isinstance(window, int) and window <= 512:
        lengths.append(2 * window + 3)  # long enough that a wrong window shows
    if model.apart is not None and model.apart <= 512:
        lengths.append(model.apart + 9)
    most = _LONGEST.get(model.device.type, 512)
    if isinstance(window, int):
        most = max(most, window + _LENGTHS[3])
    if min(longest, most) > max(lengths):
        lengths.append(min(longest, most))
    lengths = [min(n, model.context) for n in lengths]
    plain = [rng.integers(0, model.vocab_size, n).astype(np.int32) for n in lengths]
    shared = [np.concatenate([s[: len(s) // 2], s[: n % 7 + 1]]) for n, s in enumerate(plain) if len(s) > 40]
    return [*plain, *shared, plain[-1]]  # some begin alike, and two are equal


@torch.inference_mode()
def _states(model: BaseModel, layers: Sequence[int], sequences: Sequence[Ids], batching: Batching) -> States:
    """Hidden states of the sequences in one batch of this kind, in their order."""
    seen: States = {n: [torch.empty(0)] * len(sequences) for n in layers}
    for order, shared in plan(batching, sequences, sum(len(s) for s in sequences) * len(sequences), model.apart):
        batch = together(model, batching, [sequences[i] for i in order], shared)
        whole = last = [send(places, model.device) for places in batch.where]
        rows = None
        if narrows(batching, layers):
            rows = torch.cat(whole)
            last = list(torch.split(torch.arange(len(rows), device=model.device), [len(p) for p in whole]))

        def see(layer: int, hidden: torch.Tensor, order: Any = order, whole: Any = whole, last: Any = last) -> None:
            for i, at in zip(order, last if layer == max(layers) else whole, strict=True):
                seen[layer][i] = hidden.flatten(0, 1)[at].float().cpu()

        run_together(model, batching, batch, layers, see, rows)
    return seen


def _projection_gap(model: BaseModel, batching: Batching, sequences: Sequence[Ids], alone: States) -> float:
    """Largest difference of a fused projection, or of a segment's mean, from that of the states at batch 1, as a share
    of their norm: of the second half of each sequence, on a random direction a layer."""
    layers = sorted(alone)
    vectors = np.random.default_rng(1).normal(size=(len(layers), model.d_model)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    halves = [np.arange(len(s) // 2, len(s), dtype=np.int32) for s in sequences]
    items = [Item(s, at, np.array([len(at)], dtype=np.int32)) for s, at in zip(sequences, halves, strict=True)]
    budget = sum(len(s) for s in sequences)
    worst = 0.0
    projector = Projector(model, vectors, layers, batching, budget, controls=vectors, control_layers=layers)
    for n, (made, at) in enumerate(zip(projector.measure(items), halves, strict=True)):
        if isinstance(made, str):
            raise RuntimeError(made)
        for j, layer in enumerate(layers):
            states = alone[layer][n].numpy()[at]
            norms, plain = np.linalg.norm(states, axis=1), states @ vectors[j]
            gaps = np.abs(made.tokens[:, j] - plain) / norms
            worst = max(worst, float(gaps.max()), float(abs(made.means[0, j] - plain.mean()) / norms.mean()))
    return worst if np.isfinite(worst) else float("inf")


def _difference(ours: dict[int, list[torch.Tensor]], alone: dict[int, list[torch.Tensor]]) -> float:
    """Largest ||h - h_alone|| / ||h_alone|| over all tokens of all layers."""
    worst = 0.0
    for layer, states in alone.items():
        for a, b in zip(ours[layer], states, strict=True):
            gap = (a - b).norm(dim=-1) / b.norm(dim=-1).clamp_min(1e-12)
            worst = max(worst, float(gap.max()))
    return worst if np.isfinite(worst) else float("inf")
