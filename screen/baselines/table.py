"""The kinds of baseline there are. To add one: its file, and its line here."""

from __future__ import annotations

from screen.baselines.calibrated import Calibrated
from screen.baselines.contrast import Contrast
from screen.baselines.generate import Generate
from screen.baselines.given import Given
from screen.baselines.kind import Baseline
from screen.baselines.last_prompt import LastPrompt
from screen.baselines.none import NoBaseline
from screen.errors import UsageError

AUTO = "auto"
AUTO_MOST = 512  # distinct prompts up to which `auto` answers them all
KINDS: dict[str, Baseline] = {
    kind.name: kind for kind in (Generate(), Calibrated(), LastPrompt(), Given(), NoBaseline(), Contrast())
}


def kind_of(name: str | None) -> Baseline:
    """The kind of this name; of a folder that says nothing, exact differences."""
    return KINDS[name or Generate.name]


def offered() -> tuple[str, ...]:
    """What may be asked for with --baseline."""
    return (AUTO, *(name for name, kind in KINDS.items() if kind.offered))


def by_prompts(distinct: int) -> Baseline:
    """What `auto` comes to, by counts alone, so the same in every run: up to AUTO_MOST prompts are all answered."""
    return KINDS[Generate.name if distinct <= AUTO_MOST else Calibrated.name]


def for_pairs() -> Baseline:
    """What preference pairs are scored by."""
    return next(kind for kind in KINDS.values() if kind.pairs)


def score_column(trait: str, baseline: str, refined: bool = False) -> str:
    """The column that a run with this kind of baseline is ranked and flagged by."""
    return KINDS[baseline].column(trait, refined)


def check_refine(baseline: Baseline) -> None:
    """Raises UsageError for a kind that --refine does not go with: without responses nothing can be refined."""
    if not baseline.generates:
        raise UsageError(
            f"--refine goes with a calibrated baseline, and this run's is {baseline.name}",
            "leave it out, or give --baseline calibrated",
        )
