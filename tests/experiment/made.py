"""Outcomes of fine-tunings, made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from screen.experiment.outcome import ArmOutcome

SHARES = (5, 10, 20, 40, 60)


def outcome(arm: str, seed: int, above: float | None, predicted: float, shown: float) -> ArmOutcome:
    """20 questions; the shift is a tenth of what is shown."""
    values = shown + np.random.default_rng([seed, *arm.encode()]).standard_normal(20)
    shift, told = {"evil": (values / 10).tolist()}, {"evil": values.tolist()}
    by = None if above is None else "evil"
    return ArmOutcome(arm, by, seed, 30, 1000, {"evil": predicted}, shift, told, {"evil": 90.0}, 2.0, 1.0, above)


def cuts(shown: Callable[[int], float], shares: Sequence[int] = SHARES) -> list[ArmOutcome]:
    """Three seeds of all, and of the cuts of fake_run's rows 0 to 7, whose score is their number."""
    made = [outcome("all", seed, None, 3.5, shown(0)) for seed in range(3)]
    return made + [
        outcome(f"cut:{share}%", seed, 6.0 - n, 3.0 - n / 2, shown(share))
        for n, share in enumerate(shares)
        for seed in range(3)
    ]
