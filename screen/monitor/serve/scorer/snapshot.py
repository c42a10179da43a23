"""What the process that scores has counted, as the one that serves shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Snapshot:
    """Of the worker's counts, for the metrics. By (trait, group) or as named."""

    outcomes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    high: Mapping[tuple[str, str], int] = field(default_factory=dict)
    alarms: Mapping[tuple[str, str], int] = field(default_factory=dict)
    means: Mapping[tuple[str, str], float] = field(default_factory=dict)
    evidence: Mapping[tuple[str, str], float] = field(default_factory=dict)
    webhooks: Mapping[str, int] = field(default_factory=dict)
