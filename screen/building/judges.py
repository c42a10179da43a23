"""Which judge a build asks: rules, an endpoint, or a local model, each with its judgements kept by content."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Literal

from screen.building.sampler import Sampler
from screen.endpoint.client import KEY, URL, Endpoint
from screen.errors import UsageError
from screen.judges import EndpointJudge, Judge, JudgementStore, RuleJudge
from screen.pocket import TRAITS
from screen.traits.trait import Trait

Kind = Literal["auto", "rules", "endpoint", "local"]
KINDS: tuple[Kind, ...] = ("auto", "rules", "endpoint", "local")
JudgeFor = Callable[[Trait, Sampler, JudgementStore], Judge]  # the cache is for what a judge finds out about itself


def chosen(kind: Kind, model: str) -> Kind:
    """What `auto` comes to: rules for the embedded model, an endpoint where one is set, else the local model."""
    if kind != "auto":
        return kind
    if model == "pocket":
        return "rules"
    return "endpoint" if os.environ.get(URL) or os.environ.get(KEY) else "local"


def judge_for(kind: Kind, model: str) -> JudgeFor:
    """Raises UsageError where the endpoint is not set."""
    match chosen(kind, model):
        case "rules":
            return _rules
        case "endpoint":
            endpoint = Endpoint.from_env()
            return lambda trait, _sampler, cache: EndpointJudge(endpoint, trait, cache=cache)
        case _:
            return _local


def check_judge(kind: Kind, model: str, traits: Sequence[Trait]) -> None:
    """Raises UsageError where the endpoint is not set, or rules know one of the traits not; loads nothing."""
    judge_for(kind, model)
    if chosen(kind, model) == "rules":
        for trait in traits:
            _known(trait)


def _known(trait: Trait) -> None:
    if trait.name not in TRAITS:
        raise UsageError(
            f"there are no rules for the trait {trait.name!r}; the embedded model's judge knows {', '.join(TRAITS)}",
            "judge with --judge endpoint or --judge local",
        )


def _rules(trait: Trait, _sampler: Sampler, _cache: JudgementStore) -> Judge:
    from screen.pocket import judge

    _known(trait)
    return RuleJudge("screen.pocket.judge", trait.name, lambda q, a: judge.judge(trait.name, q, a), judge.coherence)


def _local(trait: Trait, sampler: Sampler, _cache: JudgementStore) -> Judge:
    from screen.judges.local import LocalJudge

    return LocalJudge(sampler.model, sampler.tokenizer, sampler.template, trait, fingerprint=sampler.fingerprint)
