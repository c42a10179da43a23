"""A first choice of batching that fails is told, and the proof runs sequences as long as the data's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from screen.model.forward import packing, proof
from screen.model.load import load_model
from screen.progress import Silent
from screen.scan.run import run_scan
from screen.spec import ScanSpec
from screen.store.folder import RunFolder


class Told(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def note(self, kind: str, facts: Mapping[str, Any]) -> None:
        if kind == "warning":
            self.warnings.append(facts["message"])


def test_a_first_choice_that_fails_is_a_warning_with_its_reason(
    make_spec: Callable[..., ScanSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(baseline="last-prompt")
    plain, told = Told(), Told()
    run_scan(spec, tmp_path / "plain", progress=plain)
    real = proof._ways

    def broken(model: Any) -> Iterator[proof.Batching]:
        yield proof.Batching("packed", "varlen")  # which no CPU has
        yield from real(model)

    monkeypatch.setattr(proof, "_ways", broken)
    run_scan(spec, tmp_path / "out", progress=told)
    assert [w for w in plain.warnings if "fastest" in w] == []
    [said] = [w for w in told.warnings if "fastest" in w]
    assert said.startswith(
        "the model is run packed, blocks, prefix sharing, which is not the fastest way: packed, varlen failed"
    )


def test_the_proof_is_as_long_as_the_longest_of_the_first_rows(
    make_spec: Callable[..., ScanSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that only long sequences show is found before the run."""
    real = packing.spans

    def short_only(layout: Any, *rest: Any) -> Any:
        if max(len(w) for w in layout.where) > 70:
            raise RuntimeError("too long for me")
        return real(layout, *rest)

    monkeypatch.setattr(packing, "spans", short_only)
    told = Told()
    run_scan(make_spec(baseline="last-prompt"), tmp_path / "out", progress=told)
    facts = RunFolder.read(tmp_path / "out").facts["model"]
    assert facts["longest_row"] > 70
    assert facts["batching"] == "padded"
    assert "too long for me" in told.warnings[0]


def test_how_long_a_proof_may_be(tiny_model: Path) -> None:
    model = load_model("test", tiny_model, deepest=2, generate=False, dtype="float32", device="cpu")
    assert max(len(s) for s in proof._odd_sequences(model, 0)) == 64
    assert max(len(s) for s in proof._odd_sequences(model, 300)) == 300
    assert max(len(s) for s in proof._odd_sequences(model, 9999)) == 512
    model.config.sliding_window = 4096
    object.__setattr__(model, "context", 1 << 20)
    assert max(len(s) for s in proof._odd_sequences(model, 9999)) == 4160
