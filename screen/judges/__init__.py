"""Judges: how much of a trait an answer shows, 0 to 100, and how coherent it is. Importing this loads no torch."""

from screen.judges.agreement import Agreement, agreement
from screen.judges.cache import JudgementStore, MemoryCache
from screen.judges.cached import CachedJudge
from screen.judges.judgement import Judge, Judgement, Pair
from screen.judges.remote import EndpointJudge
from screen.judges.rules import RuleJudge

__all__ = [
    "Agreement",
    "CachedJudge",
    "EndpointJudge",
    "Judge",
    "Judgement",
    "JudgementStore",
    "MemoryCache",
    "Pair",
    "RuleJudge",
    "agreement",
]
