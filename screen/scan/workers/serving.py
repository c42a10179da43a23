"""The process that runs the model: what it is asked, and what it tells. It holds no row, no text and no file.

In come (operation, arguments). Back go ("begin", things, cost) before each forward pass, ("step", tokens, of all) after
it, ("answered", prompts, answers), ("unanswered", prompt, why), and at last ("done", result) or ("failed", error class,
message, next step).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NamedTuple

import torch

from screen.errors import ScreenError
from screen.model.faults import MemoryRanOut
from screen.model.forward.items import Float32, Item, Measured
from screen.model.forward.kept import KeptStates
from screen.model.forward.plan import Batching
from screen.model.forward.projector import Projector
from screen.model.forward.proof import Proof
from screen.model.generate import Generator, Ids, Sampling, logits_after
from screen.model.host import Loading, timed_proof, without_weights
from screen.model.load import BaseModel
from screen.scan.workers.child import failure, keep_memory, live


@dataclass(frozen=True)
class ModelSetup:
    """What is fixed before the process starts. threads: of torch; batching: where it was proved before."""

    loading: Loading
    threads: int
    parent: int
    batching: Batching | None = None


class Ready(NamedTuple):
    """What is told of the loaded model, which has no weights here. `seconds`: of the proof."""

    model: BaseModel
    proof: Proof | None
    seconds: float
    threads: int


class DirectionSet(NamedTuple):
    """What a projector is made of."""

    vectors: Float32
    layers: tuple[int, ...]
    controls: Float32
    control_layers: tuple[int, ...]


class States(NamedTuple):
    """What is asked of a projector's `states`."""

    layers: tuple[int, ...]
    keep: bool


def serve(connection: Connection, parents_end: Connection | None, order: ModelSetup) -> None:
    """The body of the process."""
    live(connection, parents_end, order.parent, lambda: _serve(connection, order))


def _serve(connection: Connection, order: ModelSetup) -> None:
    if torch.cuda._is_in_bad_fork():
        connection.send(("unfit",))
        return
    torch.set_num_threads(order.threads)
    keep_memory()
    torch.ones(1 << 18).sum()  # by all threads: after an unsound fork it never comes back
    connection.send(("alive",))
    model = order.loading.load()
    proof, seconds = (None, 0.0) if order.batching else timed_proof(model, order.loading)
    batching = order.batching or (proof.batching if proof else Batching("alone"))
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    connection.send(("ready", Ready(without_weights(model), proof, seconds, torch.get_num_threads())))
    work = _Work(model, batching, connection.send)
    while True:
        operation, *arguments = connection.recv()
        try:
            result = getattr(work, operation)(*arguments)
        except ScreenError as error:
            connection.send(failure(error))
        else:
            connection.send(("done", result))


class _Work:
    """The operations."""

    def __init__(self, model: BaseModel, batching: Batching, tell: Callable[[object], None]) -> None:
        self._model, self._batching, self._tell = model, batching, tell
        self._kept = KeptStates()
        self._projectors: dict[int, Projector] = {}
        self._generators: dict[tuple[frozenset[int], Sampling], Generator] = {}

    def direct(self, key: int, d: DirectionSet, budget: int) -> None:
        """A projector under a number, to be named by it."""
        self._projectors[key] = Projector(
            self._model,
            d.vectors,
            d.layers,
            self._batching,
            budget,
            controls=d.controls,
            control_layers=d.control_layers,
            kept=self._kept,
        )

    def measure(
        self, key: int, budget: int | None, items: Sequence[Item], states: States | None
    ) -> Sequence[Measured | Float32 | str] | None:
        """Results: of `states` where those are asked for. None where memory ran out at this budget."""
        projector = self._projectors[key]
        if states is not None:
            return projector.states(items, states.layers, self._begin, keep=states.keep)
        try:
            return projector.measure(
                items, lambda tokens, of: self._tell(("step", tokens, of)), self._begin, budget=budget
            )
        except MemoryRanOut:
            return None

    def generator(self, eos: frozenset[int], sampling: Sampling) -> None:
        """Raises ModelError where the model cannot answer."""
        if (eos, sampling) not in self._generators:
            self._generators[eos, sampling] = Generator(self._model, eos, sampling)

    def answer(self, eos: frozenset[int], sampling: Sampling, prompts: Sequence[Ids], draws: Sequence[int]) -> None:
        self.generator(eos, sampling)
        self._generators[eos, sampling].answer(
            prompts,
            lambda places, answers: self._tell(("answered", list(places), list(answers))),
            draws,
            failed=lambda place, why: self._tell(("unanswered", place, why)),
            begin=self._begin_alone,
        )

    def logits(self, ids: Sequence[int]) -> Float32:
        return logits_after(self._model, ids)

    def _begin(self, things: Sequence[int], cost: float) -> None:
        self._tell(("begin", list(things), cost))

    def _begin_alone(self, things: Sequence[int], cost: float) -> None:
        """The pass before it is over."""
        self._tell(("pass", list(things), cost))
