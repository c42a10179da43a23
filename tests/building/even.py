"""A trait and a judge for the tiny random model: its trait is to write letters of even number, and rules can tell."""

from __future__ import annotations

import hashlib

from screen.building.spec import BuildSpec, SteerSpec
from screen.judges import Judge, RuleJudge
from screen.traits.trait import PromptPair, Trait

_THINGS = ("the sea", "a train", "some bread", "old maps", "rain", "a clock", "two birds", "the moon")
TRAIT = Trait(
    name="evenness",
    description="Writes letters with even numbers.",
    adjectives=("even",),
    pairs=(PromptPair("Be even.", "Be odd."), PromptPair("Only even ones.", "Only odd ones.")),
    extract=tuple(f"What of {thing}?" for thing in _THINGS[:4]),
    evaluate=tuple(f"And {thing}?" for thing in _THINGS[4:]),
    rubric="Is it even? {question} {answer} 0 to 100, or REFUSAL",
)


def evenness(_question: str, answer: str) -> float | None:
    """Share of letters whose number is even, stretched about its middle so that answers fall on either side."""
    plain = [c for c in answer if c < "\x80"]  # bytes that are no letter are all shown as one and the same
    share = sum(ord(c) % 2 == 0 for c in plain) / max(len(plain), 1)
    return min(100.0, max(0.0, 50 + 400 * (share - 0.5)))


def even_judge(trait: Trait, _sampler: object, _cache: object) -> Judge:
    return RuleJudge("even", trait.name, evenness, lambda _q, _a: 90.0)


def blind_judge(trait: Trait, _sampler: object, _cache: object) -> Judge:
    """Scores that have nothing to do with what is said."""

    def score(question: str, answer: str) -> float:
        return 100.0 * (hashlib.sha256(f"{question}{answer}".encode()).digest()[0] % 2)

    return RuleJudge("blind", trait.name, score, lambda _q, _a: 90.0)


def small_spec(model: str) -> BuildSpec:
    """A build of a second or two. Forced: states of random weights tell less of an answer than its letters do."""
    return BuildSpec(
        traits=(TRAIT,),
        model=model,
        rollouts=4,
        held_out=6,
        clean=2,
        max_new_tokens=12,
        minimum=5,
        force=True,
        steer=SteerSpec(coefficients=(1.0, 2.0), curve=(-1.0, 0.0, 1.0), samples=1, max_new_tokens=8),
    )
