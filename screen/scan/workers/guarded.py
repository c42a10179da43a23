"""The model in a process of its own: what kills or hangs it costs the one sequence that does, and nothing else.

A process that dies is tried once more, with all of its work. What dies again is looked for by halving what was under
way, what hangs by running each of it alone; it is left out once it has ended a process of its own, alone. What is left
is then run as if it had never been there: the bytes are those of a run without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from screen.errors import ModelError
from screen.model.faults import MemoryRanOut
from screen.model.forward.items import Float32, Item, Measured, parts_of
from screen.model.forward.plan import Batching, cost
from screen.model.forward.projector import Step
from screen.model.forward.proof import Proof
from screen.model.generate import Failed, Ids, Response, Sampling
from screen.model.host import Loading
from screen.model.load import BaseModel
from screen.scan.workers.guard import Death, Guard
from screen.scan.workers.serving import DirectionSet, States

T = TypeVar("T")
_FRUITLESS = 3  # deaths of which no one thing is the cause, until the run ends
_ANSWER = b"answer to"
_PLAIN = np.zeros(4, dtype=np.int32)


class Guarded:
    """A `Host` whose model is in another process."""

    def __init__(self) -> None:
        self._guard = Guard()
        self._loaded: tuple[BaseModel, Proof] | None = None

    def __enter__(self) -> Guarded:
        return self

    def __exit__(self, *_error: object) -> None:
        self._guard.end()

    @property
    def threads(self) -> int:
        return self._guard.threads

    @property
    def facts(self) -> dict[str, object]:
        return self._guard.facts

    def load(self, loading: Loading) -> tuple[BaseModel, Proof]:
        self._loaded = self._guard.load(loading)
        return self._loaded

    def projector(self, vectors: Float32, layers: Sequence[int], budget: int) -> GuardedProjector:
        assert self._loaded is not None
        model, proof = self._loaded
        none = np.zeros((0, model.d_model), dtype=np.float32)
        return GuardedProjector(
            self._guard, model, proof.batching, DirectionSet(vectors, tuple(layers), none, ()), budget
        )

    def generator(self, eos: frozenset[int], sampling: Sampling) -> GuardedGenerator:
        return GuardedGenerator(self._guard, eos, sampling)

    def logits(self, ids: Sequence[int]) -> Float32:
        reply = self._guard.call("logits", list(ids), cost=cost([len(ids)]))
        if isinstance(reply, Death):
            raise ModelError(f"the process that runs the model died: {reply.how}", "run the same command again")
        logits: Float32 = reply
        return logits

    def close(self) -> None:
        self._guard.close()


class GuardedProjector:
    """Measures as a `Projector` does."""

    def __init__(
        self, guard: Guard, model: BaseModel, batching: Batching, directions: DirectionSet, budget: int
    ) -> None:
        self.model, self.batching, self.budget = model, batching, budget
        self._guard, self._directions = guard, directions
        self._start = 0  # the process that was told the directions
        self._killers = guard.killers

    def with_controls(self, controls: Float32, control_layers: Sequence[int]) -> GuardedProjector:
        directions = self._directions._replace(controls=controls, control_layers=tuple(control_layers))
        return GuardedProjector(self._guard, self.model, self.batching, directions, self.budget)

    def measure(
        self, items: Sequence[Item], step: Step = lambda _tokens, _of: None, *, budget: int | None = None
    ) -> list[Measured | str]:
        return self._endure(items, None, step, budget)

    def states(self, items: Sequence[Item], layers: Sequence[int], *, keep: bool = False) -> list[Float32 | str]:
        return self._endure(items, States(tuple(layers), keep), lambda _tokens, _of: None)

    def _endure(self, items: Sequence[Item], states: States | None, step: Step, budget: int | None = None) -> list[Any]:
        out: list[Any] = [self._killers.get(_key(item)) if self._killers else None for item in items]

        def attempt(these: Sequence[int], step: Step = lambda _tokens, _of: None) -> list[Any] | Death:
            return self._once([items[i] for i in these], states, step, these, budget)

        well = [i for i, known in enumerate(out) if known is None]
        left, results, killers = endure(well, lambda these: attempt(these, step), attempt, self._plain)
        for i, why in killers.items():
            out[i] = self._killers[_key(items[i])] = why
        for i, one in zip(left, results, strict=True):
            out[i] = one
        return out

    def _once(
        self,
        items: Sequence[Item],
        states: States | None,
        step: Step,
        names: Sequence[int],
        budget: int | None = None,
    ) -> list[Any] | Death:
        if not items:
            return []
        self._guard.ensure()
        if self._start != self._guard.starts:
            told = self._guard.call("direct", id(self), self._directions, self.budget)
            if isinstance(told, Death):
                return told
            self._start = self._guard.starts
        whole = cost([len(part.ids) for item in items for part in parts_of(item)])
        made = self._guard.call(
            "measure",
            id(self),
            budget,
            items,
            states,
            cost=whole,
            on_message=lambda _kind, tokens, of: step(tokens, of),
        )
        if isinstance(made, Death):
            return made.named(names)
        if made is None:
            raise MemoryRanOut
        results: list[Any] = made
        return results

    def _plain(self) -> bool:
        """Whether a plain sequence can be run."""
        return not isinstance(self._once([Item(_PLAIN, _PLAIN[-1:])], None, lambda _tokens, _of: None, [0]), Death)


class GuardedGenerator:
    """Answers as a `Generator` does."""

    def __init__(self, guard: Guard, eos: frozenset[int], sampling: Sampling) -> None:
        self._guard, self._eos, self._sampling = guard, eos, sampling
        if isinstance(reply := guard.call("generator", eos, sampling), Death):
            raise ModelError(f"the process that runs the model died: {reply.how}", "run the same command again")

    def answer(
        self,
        prompts: Sequence[Ids],
        done: Callable[[Sequence[int], Sequence[Response]], None] | None = None,
        *,
        failed: Failed | None = None,
    ) -> list[Response | None]:
        out: list[Response | None] = [None] * len(prompts)
        over: set[int] = set()  # answered, or told of as failed

        def tell(names: Sequence[int], kind: str, places: Any, made: Any) -> None:
            if kind == "unanswered":
                over.add(names[places])
                if failed is not None:
                    failed(names[places], made)
                return
            at = [names[i] for i in places]
            over.update(at)
            for i, answer in zip(at, made, strict=True):
                out[i] = answer
            if done is not None:
                done(at, made)

        def attempt(these: Sequence[int]) -> Death | None:
            these = [i for i in these if i not in over]
            return self._once([prompts[i] for i in these], these, lambda *message: tell(these, *message))

        def plain() -> bool:
            return not isinstance(self._once([_PLAIN], [0], lambda *_message: None), Death)

        known = [self._guard.killers.get((_ANSWER, p.tobytes())) for p in prompts]
        _, _, found = endure([i for i, why in enumerate(known) if why is None], attempt, attempt, plain)
        self._guard.killers.update({(_ANSWER, prompts[i].tobytes()): why for i, why in found.items()})
        for i, why in [*enumerate(known), *found.items()]:
            if why is not None and failed is not None:
                failed(i, why)
        return out

    def _once(self, prompts: Sequence[Ids], names: Sequence[int], told: Callable[..., None]) -> Death | None:
        if not prompts:
            return None
        draws = [0] * len(prompts)
        whole = cost([len(p) for p in prompts])
        made = self._guard.call("answer", self._eos, self._sampling, prompts, draws, cost=whole, on_message=told)
        return made.named(names) if isinstance(made, Death) else None


def _key(item: Item) -> tuple[bytes, ...]:
    return tuple(part.ids.tobytes() for part in parts_of(item))


def endure(
    things: Sequence[int],
    whole: Callable[[Sequence[int]], T | Death],
    trial: Callable[[Sequence[int]], object],
    plain: Callable[[], bool],
) -> tuple[list[int], T, dict[int, str]]:
    """(the things that kill no process, what `whole` gives for them, the others with how the process ended).

    `trial` runs some of them for nothing but to see whether they kill; `plain`: whether what is surely harmless can be
    run. Raises ModelError where the process dies and no single thing is the cause.
    """
    left, fruitless, again = list(things), 0, True
    killers: dict[int, str] = {}
    while True:
        results = whole(left)
        if not isinstance(results, Death):
            return left, results, killers
        if again and not results.hung:  # one death may have been of anything
            again = False
            continue
        suspects = results.suspects or tuple(left)
        guilty = _each(suspects, trial, plain) if results.hung else _search(suspects, trial)
        if not guilty:
            fruitless += 1
        elif not plain():
            raise ModelError(
                f"the process that runs the model dies of any sequence ({results.how})", "see --in-process, or --device"
            )
        else:
            killers |= guilty
            left = [i for i in left if i not in guilty]
        if fruitless == _FRUITLESS:
            raise ModelError(
                f"the process that runs the model died again and again, and no row alone kills it: {results.how}",
                "if it is memory, lower --batch-tokens",
            )


def _each(things: Sequence[int], trial: Callable[[Sequence[int]], object], plain: Callable[[], bool]) -> dict[int, str]:
    """The things that end a process alone, and how: where an end is a long wait, none is spent on a group. Stops where
    it is not the things' fault."""
    killers: dict[int, str] = {}
    for i in things:
        if isinstance(died := trial([i]), Death):
            killers[i] = died.how
            if not plain():
                break
    return killers


def _search(things: Sequence[int], trial: Callable[[Sequence[int]], object]) -> dict[int, str]:
    """One thing that kills a process alone, and how, by halving; empty where there is none."""
    if len(things) == 1:
        return _each(things, trial, lambda: True)
    half, rest = things[: len(things) // 2], things[len(things) // 2 :]
    if isinstance(trial(half), Death) and (killers := _search(half, trial)):
        return killers
    return _search(rest, trial)
