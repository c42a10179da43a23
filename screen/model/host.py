"""Where the model runs: in this process, or in one that works for it (`screen.scan.workers.guard`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from torch import nn

from screen.model.forward.items import Float32, Item, Measured
from screen.model.forward.plan import Batching
from screen.model.forward.projector import Projector, Step
from screen.model.forward.proof import Proof, prove
from screen.model.generate import Failed, Generator, Ids, Response, Sampling, logits_after
from screen.model.load import BaseModel, load_model


@dataclass(frozen=True)
class Loading:
    """What is to be loaded, as for `load_model`. layers, longest: for the proof of batching."""

    name: str
    folder: Path
    deepest: int
    generate: bool
    dtype: str
    device: str
    layers: tuple[int, ...]
    longest: int = 0

    def load(self) -> BaseModel:
        return load_model(
            self.name,
            self.folder,
            deepest=self.deepest,
            generate=self.generate,
            dtype=self.dtype,
            device=self.device,
        )


class Measuring(Protocol):
    """What a `Projector` does, wherever its model is."""

    @property
    def budget(self) -> int:
        """Tokens a batch."""
        ...

    @property
    def model(self) -> BaseModel: ...
    @property
    def batching(self) -> Batching: ...
    def measure(self, items: Sequence[Item], step: Step = ..., *, budget: int | None = ...) -> list[Measured | str]:
        """`budget`: tokens a batch, all of which must fit, or MemoryRanOut is raised; None: its own, and less where
        memory runs out."""
        ...

    def states(self, items: Sequence[Item], layers: Sequence[int], *, keep: bool = ...) -> list[Float32 | str]: ...
    def with_controls(self, controls: Float32, control_layers: Sequence[int]) -> Measuring: ...


class Answering(Protocol):
    """What a `Generator` does, wherever its model is."""

    def answer(
        self,
        prompts: Sequence[Ids],
        done: Callable[[Sequence[int], Sequence[Response]], None] | None = ...,
        *,
        failed: Failed | None = ...,
    ) -> Sequence[Response | None]:
        """In the order of `prompts`; `done(indices, answers)` is told as they come, `failed(index, why)` of a prompt
        that the model cannot answer."""
        ...


class Host(Protocol):
    """Loads one model, and makes what runs it. The model that `load` gives may be without its weights."""

    @property
    def threads(self) -> int:
        """torch's threads where the model runs."""
        ...

    @property
    def facts(self) -> dict[str, object]:
        """For the record."""
        ...

    def load(self, loading: Loading) -> tuple[BaseModel, Proof]: ...
    def projector(self, vectors: Float32, layers: Sequence[int], budget: int) -> Measuring: ...
    def generator(self, eos: frozenset[int], sampling: Sampling) -> Answering: ...
    def logits(self, ids: Sequence[int]) -> Float32:
        """(vocab,) logits after the last token."""
        ...

    def close(self) -> None:
        """Let go of the model."""
        ...


class Here:
    """This process."""

    def __init__(self) -> None:
        self._loaded: tuple[BaseModel, Proof] | None = None

    @property
    def threads(self) -> int:
        import torch

        return torch.get_num_threads()

    @property
    def facts(self) -> dict[str, object]:
        return {"process": "the run's own"}

    def load(self, loading: Loading) -> tuple[BaseModel, Proof]:
        model = loading.load()
        self._loaded = model, prove(model, loading.layers, loading.longest)
        return self._loaded

    def projector(self, vectors: Float32, layers: Sequence[int], budget: int) -> Projector:
        assert self._loaded is not None
        model, proof = self._loaded
        return Projector(model, vectors, layers, proof.batching, budget)

    def generator(self, eos: frozenset[int], sampling: Sampling) -> Generator:
        assert self._loaded is not None
        return Generator(self._loaded[0], eos, sampling)

    def logits(self, ids: Sequence[int]) -> Float32:
        assert self._loaded is not None
        return logits_after(self._loaded[0], ids)

    def close(self) -> None:
        from screen.model.forward.fused import give_up

        if self._loaded is not None:
            give_up(self._loaded[0])


def timed_proof(model: BaseModel, loading: Loading) -> tuple[Proof, float]:
    """(the proof, seconds that it took)"""
    began = time.monotonic()
    proof = prove(model, loading.layers, loading.longest)
    return proof, time.monotonic() - began


def without_weights(model: BaseModel) -> BaseModel:
    """What is known of a model, to be sent to another process."""
    bare = nn.Module()
    bare.config = model.config
    return replace(model, decoder=bare, blocks=(), causal=None)
