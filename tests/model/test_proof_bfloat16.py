"""In bfloat16 the proof allows what rounding does to the loaded model, and no leak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from screen.model.forward import packing
from screen.model.forward.layout import Layout, Piece
from screen.model.forward.plan import Batching
from screen.model.forward.proof import prove
from screen.model.load import BaseModel, load_model

LAYERS = (2, 4)


def load(folder: Path, dtype: str = "bfloat16") -> BaseModel:
    return load_model("t", folder, deepest=4, generate=False, dtype=dtype, device="cpu")


def leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sequence that is packed sees the one token before it too."""
    real = packing.spans

    def leaking(layout: Layout, *rest: Any) -> Any:
        pieces = [_before(p) if p.start else p for p in layout.pieces]
        return real(layout._replace(pieces=tuple(pieces)), *rest)

    monkeypatch.setattr(packing, "spans", leaking)


def _before(piece: Piece) -> Piece:
    seen = np.arange(piece.start, piece.end) if piece.seen is None else piece.seen
    return piece._replace(seen=np.concatenate([[piece.start - 1], seen]))


def test_honest_packing_passes_and_a_leak_does_not(
    architecture: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, folder = architecture
    model = load(folder)
    honest = prove(model, LAYERS)
    assert honest.batching.mode == ("padded" if name == "gpt_neo" else "packed")
    assert honest.noise is not None
    assert honest.difference <= honest.noise < 0.1
    assert honest.bound == 2 * honest.noise
    leak(monkeypatch)
    leaking = prove(model, LAYERS)
    assert leaking.batching == Batching("padded")
    assert "packed, blocks, prefix sharing differs" in leaking.reason


def test_the_bound_grows_with_the_models_noise(llama: Path) -> None:
    """Steeper attention makes more of each rounding, and is not mistaken for a leak."""
    calm, steep = load(llama), load(llama)
    for block in steep.blocks:
        block.self_attn.q_proj.weight.data *= 4  # type: ignore[union-attr, operator]
    one, other = prove(calm, LAYERS), prove(steep, LAYERS)
    assert other.bound > 1.5 * one.bound
    assert other.batching == one.batching == Batching("packed", "blocks", True)


def test_float32_has_a_bound_of_its_own(llama: Path) -> None:
    proof = prove(load(llama, "float32"), LAYERS)
    assert (proof.noise, proof.bound) == (None, 1e-4)
