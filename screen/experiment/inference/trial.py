"""The same questions answered with vectors added and without, side by side: the trait, coherence, loss, speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from screen.experiment.inference.steered_model import AskedPrompt, SteeredModel, TimedAnswers
from screen.experiment.lesson import Lesson
from screen.experiment.outcome import mean_over
from screen.foreign import JsonObject
from screen.model.generate import Sampling
from screen.progress import ANSWER, Progress, Silent, Tally
from screen.stats import Interval

Floats = npt.NDArray[np.float64]
LEAST = 5  # questions: of fewer no interval is told
LossOf = Literal["own answers", "texts"]


@dataclass(frozen=True, slots=True)
class TrialSide:
    """One way of answering. Scores and coherence are 0 to 100; an answer without a score counts 0.

    scores     trait -> (answers,)
    coherence  (answers,); empty without a judge
    cut        answers that reached the length limit
    loss       nats a token
    """

    answers: tuple[str, ...]
    scores: Mapping[str, tuple[float, ...]]
    coherence: tuple[float, ...]
    tokens: int
    seconds: float
    cut: int
    loss: float | None

    @property
    def speed(self) -> float | None:
        """Tokens a second."""
        return self.tokens / self.seconds if self.tokens and self.seconds > 0 else None


@dataclass(frozen=True)
class Trial:
    """Both sides, of the same questions in the same order, `draws` answers to each in a row.

    unjudged  trait -> why there is no score
    loss_of   "texts": that were given; "own answers": what the model said without the vectors
    """

    questions: tuple[str, ...]
    draws: int
    without: TrialSide
    steered: TrialSide
    unjudged: Mapping[str, str]
    loss_of: LossOf
    loss_tokens: int

    def change(self, name: str) -> Interval | None:
        """How much higher a trait's score, or "coherence", is with the vectors; the interval is over questions, at
        least LEAST of them."""
        sides = [s.coherence if name == "coherence" else s.scores.get(name, ()) for s in (self.steered, self.without)]
        if not sides[0] or len(self.questions) < LEAST:
            return None
        steered, without = (np.array(side).reshape(len(self.questions), self.draws).mean(axis=1) for side in sides)
        return mean_over((steered - without)[None])

    def to_json(self) -> JsonObject:
        changes = {name: self.change(name) for name in (*self.without.scores, "coherence")}
        return {
            "questions": list(self.questions),
            "draws": self.draws,
            "without": _side(self.without),
            "steered": _side(self.steered),
            "change": {name: change._asdict() for name, change in changes.items() if change is not None},
            "unjudged": dict(self.unjudged),
            "loss_of": self.loss_of,
            "loss_tokens": self.loss_tokens,
        }


def _side(side: TrialSide) -> JsonObject:
    means = {trait: float(np.mean(scores)) for trait, scores in side.scores.items()}
    coherent = float(np.mean(side.coherence)) if side.coherence else None
    return {**asdict(side), "means": means, "mean_coherence": coherent, "tokens_per_second": side.speed}


def try_steering(
    model: SteeredModel,
    questions: Sequence[str],
    draws: int,
    sampling: Sampling,
    texts: Sequence[Lesson] | None = None,
    progress: Progress | None = None,
) -> Trial:
    """Answer every question `draws` times without the vectors, then with them, by the same seeds; and weigh both.

    `texts`: what the loss is taken of; None: what the model itself said without the vectors.
    """
    progress = progress or Silent()
    asked = [AskedPrompt(q, model.sampler.prompt(q), draw) for q in questions for draw in range(draws)]
    model.warm(asked, sampling)
    without, steered = (
        model.answer(asked, sampling, added, _step(progress, len(asked), "steered" if added else "unsteered"))
        for added in (False, True)
    )
    return weigh(model, asked, draws, without, steered, texts)


def weigh(
    model: SteeredModel,
    asked: Sequence[AskedPrompt],
    draws: int,
    without: TimedAnswers,
    steered: TimedAnswers,
    texts: Sequence[Lesson] | None,
) -> Trial:
    """Judge both sides and take the loss of each."""
    lessons = _own(asked, without) if texts is None else texts
    before, after = (
        TrialSide(
            answers.texts,
            *_judged(model, asked, answers),
            answers.tokens,
            answers.seconds,
            sum(r.truncated for r in answers.responses),
            model.loss(lessons, added),
        )
        for answers, added in ((without, False), (steered, True))
    )
    questions = tuple(one.question for one in asked[::draws])
    tokens = sum(len(lesson.learnt) for lesson in lessons)
    kind: LossOf = "own answers" if texts is None else "texts"
    return Trial(questions, draws, before, after, model.unjudged, kind, tokens)


def _judged(
    model: SteeredModel, asked: Sequence[AskedPrompt], answers: TimedAnswers
) -> tuple[dict[str, tuple[float, ...]], tuple[float, ...]]:
    """(trait -> scores, coherences): every judge asks for coherence by the same words, so the first one's is taken."""
    scores: dict[str, tuple[float, ...]] = {}
    coherence: tuple[float, ...] = ()
    for trait in model.judges:
        judged = model.judge(trait, asked, answers)
        scores[trait] = tuple(j.score or 0.0 for j in judged)
        coherence = coherence or tuple(j.coherence or 0.0 for j in judged)
    return scores, coherence


def _own(asked: Sequence[AskedPrompt], answers: TimedAnswers) -> list[Lesson]:
    """The answers' tokens, each after its prompt."""
    lessons = []
    for one, response in zip(asked, answers.responses, strict=True):
        ids = np.concatenate([one.prompt, np.asarray(response.ids, dtype=np.int32)])
        lessons.append(Lesson(ids, np.arange(len(one.prompt), len(ids), dtype=np.int32)))
    return [lesson for lesson in lessons if len(lesson.learnt)]


def _step(progress: Progress, total: int, stage: str) -> Callable[[int, int], None]:
    began, done, spent = time.monotonic(), 0, 0

    def step(answers: int, tokens: int) -> None:
        nonlocal done, spent
        done, spent = done + answers, spent + tokens
        progress.tick(Tally(done, total, 0, spent, time.monotonic() - began, stage, done, unit=ANSWER))

    return step
