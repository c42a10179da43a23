"""Answers under contrastive system prompts, judged and filtered, a chunk at a time (METHOD 1.2 to 1.4).

Nothing is held but the chunk at hand: answers and judgements are on disk, and a second walk finds them there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product

from screen.building.sampler import Question, SampledResponse
from screen.building.spec import Thresholds
from screen.building.workshop import Workshop
from screen.errors import VectorError
from screen.judges import Judgement
from screen.traits.trait import Trait
from screen.vectors.card import SideCounts

CHUNK = 256  # answers made, judged and read at a time


@dataclass
class RolloutSide:
    """What became of the answers of one side."""

    asked: int = 0
    empty: int = 0  # the model ended at once
    unjudged: int = 0  # the judge gave no score: mostly refusals
    refused: int = 0  # of these, those that the judge called refusals
    other_side: int = 0  # the trait's score lies on the other side
    incoherent: int = 0
    kept: int = 0
    cut: int = 0  # of the kept, those that ran into the length limit

    def to_json(self) -> dict[str, int]:
        return asdict(self)


def asks(systems: Sequence[str | None], questions: Sequence[str], draws: int) -> list[Question]:
    """Every system prompt with every question, `draws` times."""
    pairs = product(systems, enumerate(questions), range(draws))
    return [Question(question, system, draw, group) for system, (group, question), draw in pairs]


def kept(
    shop: Workshop, trait: Trait, wanted: Sequence[Question], positive: bool, side: RolloutSide, stage: str
) -> Iterator[list[SampledResponse]]:
    """The answers that pass the filter, a list a chunk, shortest first; `side` counts as they come."""
    with shop.meter(f"{trait.name}: {stage}", len(wanted)) as meter:
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            responses = shop.sampler.answer(chunk, shop.sampling, step=meter.generated, elsewhere=True)
            judged = shop.judge(trait, responses)
            pairs = zip(responses, judged, strict=True)
            good = [s for s, judgement in pairs if passes(s, judgement, positive, shop.spec.thresholds, side)]
            meter.done(len(chunk))
            yield sorted(good, key=lambda s: len(s.tokens.ids))


def passes(response: SampledResponse, judgement: Judgement, positive: bool, at: Thresholds, side: RolloutSide) -> bool:
    """METHOD 1.4, each answer on its own."""
    side.asked += 1
    score, coherence = judgement.score, judgement.coherence
    if response.tokens.end == response.tokens.start:
        side.empty += 1
    elif score is None or coherence is None:
        side.unjudged += 1
        side.refused += judgement.refusal
    elif (score < at.positive) if positive else (score >= at.negative):
        side.other_side += 1
    elif coherence < at.coherence:
        side.incoherent += 1
    else:
        side.kept += 1
        side.cut += response.truncated
        return True
    return False


def check(trait: Trait, positive: RolloutSide, negative: RolloutSide, least: int, held_out: bool = False) -> None:
    """Raises VectorError with the counts where a side kept fewer than `least`."""
    for side, name, likely in (
        (positive, "show the trait", "the model may not show this trait, or not under these system prompts"),
        (
            negative,
            "not show it",
            "the model may show this trait whatever it is told, or the rubric may be too wide",
        ),
    ):
        if side.kept < least:
            lost = f"{side.other_side:,} lay on the other side of the threshold, {side.incoherent:,} were incoherent"
            lost += f", {side.unjudged:,} got no score ({side.refused:,} refusals), {side.empty:,} were empty"
            what = f"{'held-out ' if held_out else ''}answers that should {name}"
            raise VectorError(
                f"{trait.name}: only {side.kept:,} of {side.asked:,} {what} were kept, {least:,} are needed; {lost}",
                f"{likely}: try more --rollouts, other system prompts in the trait file,"
                " another judge, or a lower --minimum",
            )


def counts(positive: RolloutSide, negative: RolloutSide) -> SideCounts:
    """For the card."""
    return {"positive": positive.to_json(), "negative": negative.to_json()}
