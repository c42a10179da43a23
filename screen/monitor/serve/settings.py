"""How the proxy is to run, and what the process that scores is told. Loads no model library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from screen.monitor.change import PER, WINDOW
from screen.monitor.serve.groups import checked_by
from screen.monitor.serve.journal import Bounds
from screen.monitor.serve.scorer.webhook import checked
from screen.monitor.serve.upstream import Upstream


def as_given(device: str, dtype: str) -> tuple[str, str]:
    return device, dtype


@dataclass(frozen=True)
class ScorerSettings:
    """The settings of `MessageScorer.open`."""

    model: str = "pocket"
    vectors: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    layers: Mapping[str, int] = field(default_factory=dict)
    reference: str | None = None
    dtype: str = "float32"
    device: str = "cpu"
    template: str | None = None
    machine: Callable[[str, str], tuple[str, str]] = as_given  # (device, dtype): what "auto" is, asked where torch is


@dataclass(frozen=True)
class Order:
    """What a worker is to do. alone_to: exchanges up to this position are scored one by one, as a worker before died of
    one of them; deadly: positions that are not scored, and why."""

    folder: Path
    scorer: ScorerSettings
    parent: int
    per: float
    window: int
    webhook: str | None = None
    text: bool = False
    alone_to: int = 0
    deadly: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServeSettings:
    """`out`: the folder of journal and log. per: clean scores a false alarm, at the least; see change.py."""

    upstream: str
    out: Path
    scorer: ScorerSettings = field(default_factory=ScorerSettings)
    host: str = "127.0.0.1"
    port: int = 8010
    by: str = "model"
    webhook: str | None = None
    text: bool = False
    per: float = PER
    window: int = WINDOW
    bounds: Bounds = field(default_factory=Bounds)

    def check(self) -> Upstream:
        """Whatever can be told before anything is loaded. Raises UsageError."""
        checked_by(self.by)
        if self.webhook is not None:
            checked(self.webhook)
        return Upstream.of(self.upstream)

    def with_scorer(self, scorer: ScorerSettings) -> ServeSettings:
        return replace(self, scorer=scorer)
