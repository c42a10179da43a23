"""Whether a server serves the model that is loaded here: two greedy answers made by both.

A server rounds differently, so where two tokens are all but equally likely it may take the other one. The gap of two
logits in bfloat16 differs from that in float32 by up to 1.0 % of the largest (docs/endpoints.md); a first difference
between tokens closer than NEAR_TIE of the largest logit is a near tie, which is told; any other is another model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import numpy as np
import numpy.typing as npt

from screen.errors import ModelError
from screen.model.generate import Response, Sampling
from screen.rendering.templates.chat_template import Template
from screen.rendering.tokenizer import Tokenizer

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
NEAR_TIE: Final = 2.0**-6  # of the largest logit
LENGTH: Final = 24  # tokens of each answer
LEAST: Final = 8  # tokens that must agree in all, before what may be near ties
QUESTIONS: Final = ("Name three colours and say why you like each of them.", "What should I do with a day off work?")


@dataclass(frozen=True)
class SameModel:
    """Compares a server's answers with this model's. `tell` is given the sentence of a near tie."""

    answer: Callable[[Sampling, Sequence[Ids]], Sequence[Response | None]]  # by the model here
    logits: Callable[[Sequence[int]], Floats]  # (vocab,) after the last token
    tokenizer: Tokenizer
    eos: frozenset[int]
    prompts: tuple[Ids, ...]
    tell: Callable[[str], None]

    def check(self, name: str, ask: Callable[[Ids, Sampling], Response]) -> None:
        """`ask` has the server answer. Raises ModelError where it answers as another model does."""
        sampling = Sampling(max_new_tokens=LENGTH, rows=len(self.prompts))
        own = self.answer(sampling, self.prompts)
        agreed, ties = 0, 0
        for prompt, ours in zip(self.prompts, own, strict=True):
            if ours is None:
                raise ModelError("a short question cannot be answered by the model here", "use another --model")
            theirs = ask(prompt, sampling)
            same, differs = common(self._ended(ours), self._ended(theirs))
            agreed += same
            if differs and not self._near_tie(prompt, ours, theirs, same):
                raise self._another(name, ours, theirs, same)
            ties += differs
        if ties and agreed < LEAST:
            raise ModelError(
                f"the endpoint {name!r} agrees with this model on only {agreed} tokens of two greedy answers",
                "have it serve this very model, in full precision, or leave --answer-by and --answers out",
            )
        if ties:
            self.tell(
                f"{ties} of {len(self.prompts)} greedy answers of the endpoint {name!r} differ from this model's own,"
                " at a token where two are all but equally likely"
            )

    def _ended(self, answer: Response) -> list[int]:
        """The tokens, and -1 for an end that the model chose."""
        return [*answer.ids, *(() if answer.truncated else (-1,))]

    def _near_tie(self, prompt: Ids, ours: Response, theirs: Response, at: int) -> bool:
        taken = [self._token(answer, at) for answer in (ours, theirs)]
        logits = self.logits([*prompt.tolist(), *ours.ids[:at]])
        values = [max(float(logits[i]) for i in (self.eos if token == -1 else (token,))) for token in taken]
        return abs(values[0] - values[1]) <= NEAR_TIE * float(np.abs(logits).max())

    def _token(self, answer: Response, at: int) -> int:
        return answer.ids[at] if at < len(answer.ids) else -1

    def _another(self, name: str, ours: Response, theirs: Response, at: int) -> ModelError:
        here, there = (self.tokenizer.decode(a.ids[: at + 8])[-80:] for a in (ours, theirs))
        return ModelError(
            f"the endpoint {name!r} answers as another model: a greedy answer differs from this model's own at token"
            f" {at + 1}: here {here!r}, there {there!r}",
            "have it serve the model of --model, unquantised, with no repetition penalty and no prompt of its own",
        )


def common(a: Sequence[int], b: Sequence[int]) -> tuple[int, bool]:
    """How many tokens both begin with, and whether they differ after that."""
    for at, (x, y) in enumerate(zip_longest(a, b)):
        if x != y:
            return at, True
    return len(a), False


def proof_prompts(tokenizer: Tokenizer, template: Template) -> tuple[Ids, ...]:
    """The two questions as the model reads them. Raises ModelError where the template makes no prompt."""
    prefix = tokenizer.prefix_ids if template.adds_prefix else ()
    texts = [template.prompt([{"role": "user", "content": question}]) for question in QUESTIONS]
    return tuple(np.array([*prefix, *e.ids], dtype=np.int32) for e in tokenizer.encode(texts))
