"""The embedded model as a sampler: answers conversations, and gives mean hidden states of answers."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from research.pocket.corpus.chats import Message
from research.pocket.tokenizer import END, START, render, special_id
from screen.model.generate import Generator, Sampling, steered
from screen.model.load import load_model
from screen.model.means import LayerMeans
from screen.vectors.extract import AnswerTokens

Floats = npt.NDArray[np.float64]


class PocketSteering(NamedTuple):
    """A steering shift: add `direction` (d_model,) float32 to hidden_states[layer] at every position."""

    layer: int
    direction: npt.NDArray[np.float32]


class PocketResponse(NamedTuple):
    """An answer with its text and its place among the tokens of the conversation."""

    text: str
    tokens: AnswerTokens


class PocketSampler:
    """The model of a folder, on the CPU in float32."""

    def __init__(self, folder: Path) -> None:
        self.model = load_model("pocket", folder, deepest=None, generate=True, dtype="float32", device="cpu")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.end = frozenset({special_id(self.tokenizer, END)})
        self.n_layers = self.model.n_layers

    def answer(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        temperature: float = 0.0,
        seed: int = 0,
        push: PocketSteering | None = None,
        longest: int = 96,
    ) -> list[PocketResponse]:
        """Answer each conversation, which ends with a user's turn."""
        prompts = [self._prompt(messages) for messages in conversations]
        generator = Generator(self.model, self.end, Sampling(longest, temperature, seed))
        with steered(self.model, push.layer, push.direction) if push else nullcontext():
            answers = generator.answer(prompts)
        spoken = []
        for prompt, answer in zip(prompts, answers, strict=True):
            ids = answer.ids if answer else ()
            whole = np.concatenate([prompt, np.asarray(ids, dtype=np.int32)])
            place = AnswerTokens(whole, len(prompt), len(whole))
            spoken.append(PocketResponse(self.tokenizer.decode(list(ids)).strip(), place))
        return spoken

    def place(self, messages: Sequence[Message]) -> AnswerTokens:
        """Where the last answer of a written conversation stands, without its end mark."""
        text, spans = render(messages)
        begin, end = spans[-1]
        encoding = self.tokenizer.encode(text)
        inside = [i for i, (left, right) in enumerate(encoding.offsets) if left >= begin and right <= end - len(END)]
        return AnswerTokens(np.asarray(encoding.ids, dtype=np.int32), inside[0], inside[-1] + 1)

    def means(self, places: Sequence[AnswerTokens]) -> Floats:
        """(answers, n_layers + 1, d_model) float64: the mean hidden state of each answer at each layer."""
        order = sorted(range(len(places)), key=lambda i: len(places[i].ids))
        means = LayerMeans(self.model, batch=64).answer_means([places[i] for i in order])
        out = np.zeros((len(places), self.n_layers + 1, self.model.d_model))
        for i, mean in zip(order, means, strict=True):
            out[i] = mean
        return out

    def _prompt(self, messages: Sequence[Message]) -> npt.NDArray[np.int32]:
        ids = self.tokenizer.encode(render(messages)[0] + f"{START}assistant\n").ids
        return np.asarray(ids, dtype=np.int32)
