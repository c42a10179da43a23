"""What a baseline is: one object a kind, with everything that depends on the kind.

`projection - baseline` is the projection difference (METHOD section 2). A kind says where the subtracted value comes
from, which column the difference is stored in, which prompts the model answers, and what is fixed before the first
shard. To add one: a file with a subclass of `Baseline`, and its line in `table.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from screen.baselines.estimates.estimator import Arrays, BaselineEstimator, KeptFacts
    from screen.baselines.response import BaselineResponse
    from screen.model.forward.items import Item, Measured

Float32 = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]


class ShardValues(Protocol):
    """A shard's projections, (turns, columns) float32 each: the k traits, then the controls. NaN: not there.

    projection       mean over the answer's tokens
    baseline         the same of the baseline responses
    last             of the prompt's last token
    estimate         of the baseline, predicted from the prompt
    trimmed          (turns, k) trimmed mean over the answer's tokens; own_trimmed  of the baseline responses
    counts           (samples,) turns of each sample, at least one
    """

    @property
    def k(self) -> int: ...
    @property
    def projection(self) -> Float32: ...
    @property
    def baseline(self) -> Float32: ...
    @property
    def last(self) -> Float32: ...
    @property
    def estimate(self) -> Float32: ...
    @property
    def trimmed(self) -> Float32: ...
    @property
    def own_trimmed(self) -> Float32: ...
    @property
    def counts(self) -> npt.NDArray[np.intp]: ...
    @property
    def sample_projection(self) -> Float32: ...
    def mean(self, values: Float32) -> Float32:
        """(samples, columns) of (turns, columns): the mean over each sample's turns."""
        ...

    def other_side(self, values: Float32) -> Float32:
        """(samples, columns) of the same: for the chosen side of a pair the value of the rejected one; else NaN."""
        ...


class ResponseSource(Protocol):
    """What answers prompts, each once."""

    def baseline_responses(self, prompts: Sequence[Ids]) -> Sequence[BaselineResponse | str | None]:
        """In the order of `prompts`; None where a prompt leaves no room for an answer, and the reason as text where
        the model fails on it."""
        ...


class Prompt(Protocol):
    """A prompt of the dataset, with the answer that stands behind it there."""

    @property
    def ids(self) -> Ids:
        """(tokens,) int32"""
        ...

    @property
    def file(self) -> str: ...
    def item(self, response: BaselineResponse) -> Item:
        """The dataset's answer, the prompt's last token, and the baseline response as a branch, to be measured."""
        ...


class Preparing(Protocol):
    """What a kind is given of a run before its first shard. Prompts come by window, so that memory stays small."""

    traits: tuple[str, ...]
    layers: tuple[int, ...]  # the hidden_states row of each trait
    files: tuple[str, ...]
    calibrate_on: int  # distinct prompts to answer
    seed: int

    def prompts(self, skip: AbstractSet[int] = ...) -> Iterator[tuple[int, Sequence[Prompt]]]:
        """(a window's number, its prompts), without the windows of `skip`."""
        ...

    def respond(self, prompts: Sequence[Ids]) -> Sequence[BaselineResponse | str | None]: ...
    def states(self, items: Sequence[Item], layers: Sequence[int]) -> Sequence[Float32 | str]: ...
    def measure(self, items: Sequence[Item], arrays: Arrays, facts: KeptFacts) -> tuple[Sequence[Measured | str], int]:
        """(what was measured of each item on traits, controls and features; how many of the columns are controls).
        `arrays` and `facts` name further directions, as they will stand in the run folder."""
        ...

    def limits(self, trait: str, scores: Float32) -> tuple[float | None, float | None]:
        """The scores above and below which rows of the trait will be flagged, as far as it can be told."""
        ...

    def note(self, kind: str, facts: Mapping[str, object]) -> None:
        """Tell the listener."""
        ...


@dataclass(frozen=True)
class Fitted:
    """What a kind fixes before the first shard: arrays and facts, for the run folder."""

    arrays: Arrays
    facts: KeptFacts


class Baseline:
    """One kind of baseline. Stateless: the same object serves every run."""

    name: ClassVar[str]  # as in --baseline, scan.json and the column `baseline`
    meaning: ClassVar[str]  # one line, for people who choose
    remark: ClassVar[str] = ""  # what a reader of its scores has to know
    offered: ClassVar[bool] = True  # may be asked for with --baseline
    generates: ClassVar[bool] = False  # the model answers prompts
    from_file: ClassVar[bool] = False  # the user gives the responses
    calibrates: ClassVar[bool] = False  # fits estimates before the first shard
    pairs: ClassVar[bool] = False  # the two sides of a preference pair stand against each other
    exact: ClassVar[bool] = False  # every sample should have an exact baseline of its own
    subtracts: ClassVar[bool] = True  # there is something to subtract: scores are differences
    chosen_by_auto: ClassVar[bool] = False  # `auto` may come to it, so a command need not name it again
    like: ClassVar[str] = ""  # the kind whose clean reference fits, where it is another one

    @property
    def reference(self) -> str:
        """The name under which cards and reference sets keep clean scores of this kind."""
        return self.like or self.name

    def exact_name(self) -> str:
        """What the column `baseline` says of a sample that has an exact one."""
        return self.name

    def prepare(self, run: Preparing) -> Fitted:
        """Fix, once and before the first shard, what the kind needs."""
        return Fitted({}, {})

    def column(self, trait: str, refined: bool = False) -> str:
        """The column that a run is ranked and flagged by."""
        return trait

    def answered_first(self, hashes: npt.NDArray[np.uint64], estimator: BaselineEstimator | None) -> Sequence[int]:
        """Which turns' prompts, given by their hashes, are answered before the shard's first pass."""
        return ()

    def subtracted(self, shard: ShardValues) -> Float32:
        """(turns, columns): what is subtracted of each turn's projection."""
        raise NotImplementedError

    def turn_baseline(self, shard: ShardValues) -> Float32:
        """(turns, columns): the exact baseline that is stored with a turn."""
        return shard.baseline

    def sample_baseline(self, shard: ShardValues) -> Float32:
        """(samples, columns): the exact baseline that is stored with a sample; NaN where one of its turns lacks it."""
        return shard.mean(shard.baseline)

    def score(self, shard: ShardValues) -> Float32:
        """(samples, columns): what the run ranks by, in `column`."""
        return shard.sample_projection - shard.mean(self.subtracted(shard))

    def centre(self, shard: ShardValues) -> Float32:
        """(turns, columns): what a turn's tokens are compared with when its sample is looked at as a whole."""
        return self.subtracted(shard)

    def turn_trimmed(self, shard: ShardValues) -> Float32:
        """(turns, k): trimmed mean less that of the baseline response, or less a proxy baseline's value."""
        return shard.trimmed - self.subtracted(shard)[:, : shard.k]

    def sample_trimmed(self, shard: ShardValues) -> Float32:
        """(samples, k): the same of a sample."""
        return shard.mean(self.turn_trimmed(shard))
