"""A baseline response: what the base model itself answers to a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from screen.model.forward.items import Branch

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class BaselineResponse:
    """The baseline response to one prompt: `ids` may be empty (it ended at once).

    Of `ids`, `[said:]` are the answer and `thought` is the range of the thought before it, without its tags. Where the
    limit cut it off in its thought there is no answer: `said` is len(ids).
    """

    ids: tuple[int, ...]
    text: str
    truncated: bool
    refused: bool
    said: int = 0
    thought: tuple[int, int] = (0, 0)

    @property
    def thinks(self) -> bool:
        return self.said > 0

    @property
    def unfinished(self) -> bool:
        """It never came to an answer: there is only a thought."""
        return self.thinks and self.said == len(self.ids)

    def branch(self, at: int) -> Branch | None:
        """It as a continuation of a prompt of `at` tokens; None where nothing of it can be measured."""
        made = Branch(at, np.array(self.ids, dtype=np.int32), self.said, self.thought)
        return made if made.lengths else None


class GivenResponse(NamedTuple):
    """An answer of the base model that the user gave: the prompt that it stands behind, and itself."""

    prompt: Ids
    answer: BaselineResponse

    @property
    def branch(self) -> Branch | None:
        return self.answer.branch(len(self.prompt))
