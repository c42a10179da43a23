"""A conversation with a steered model, and what steering cost in it."""

from __future__ import annotations

from screen.errors import UsageError
from screen.experiment.inference.steered_model import AskedPrompt, SteeredModel, TimedAnswers
from screen.experiment.inference.trial import Trial, weigh
from screen.model.generate import Response, Sampling
from screen.rendering.templates.chat_template import Message


class SteeredChat:
    """Answers message after message, each with all that was said before it."""

    def __init__(self, model: SteeredModel, sampling: Sampling) -> None:
        self._model, self._sampling = model, sampling
        self._said: list[Message] = []
        self._asked: list[AskedPrompt] = []
        self._answers: list[TimedAnswers] = []

    def begin_anew(self) -> None:
        """Forget what was said; what was answered still counts for the cost."""
        self._said = []

    def answer(self, message: str) -> str:
        """The steered answer. Raises UsageError where the conversation fills the model's context; it is as it was."""
        said: list[Message] = [*self._said, {"role": "user", "content": message}]
        asked = AskedPrompt(message, self._model.sampler.prompt_of(said))
        if len(asked.prompt) >= self._model.model.context:
            raise UsageError("the conversation fills the model's context", "begin anew with /new")
        if not self._asked:
            self._model.warm([asked], self._sampling)
        answers = self._model.answer([asked], self._sampling, added=True)
        self._asked.append(asked)
        self._answers.append(answers)
        self._said = [*said, {"role": "assistant", "content": answers.texts[0]}]
        return answers.texts[0]

    def cost(self) -> Trial | None:
        """The same prompts answered without the vectors, and both sides weighed; None where nothing was said."""
        if not self._asked:
            return None
        each = [self._model.answer([one], self._sampling, added=False) for one in self._asked]
        return weigh(self._model, self._asked, 1, _joined(each), _joined(self._answers), None)


def _joined(each: list[TimedAnswers]) -> TimedAnswers:
    responses: list[Response] = [r for answers in each for r in answers.responses]
    texts = [text for answers in each for text in answers.texts]
    return TimedAnswers(tuple(responses), tuple(texts), sum(answers.seconds for answers in each))
