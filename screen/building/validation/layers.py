"""Which layer a vector is read at: by steering (METHOD 1.7), or by separation of held-out answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from screen.building.validation.steering import Point

_CLOSE = 0.01  # AUROCs that are no further apart count as equal: a few answers in a hundred thousand pairs


@dataclass(frozen=True, slots=True)
class Choice:
    """`by`: steering or separation, whichever it came to in the end; `coefficient`: of the best steering there."""

    layer: int
    by: str
    coefficient: float | None
    reason: str


def by_steering(points: Sequence[Point], auroc: Sequence[float], effect: Sequence[float], coherence: float) -> Choice:
    """The highest trait score at `coherence` or above, and of the layers within one standard error of it, the one that
    reads best: a few dozen answers do not tell these apart.

    Without a coherent point nothing can be told from steering: then by separation.
    """
    able = [p for p in points if p.coherence >= coherence]
    if not able:
        fallback = by_separation(sorted({p.layer for p in points}), auroc, effect)
        why = f"no steering left a coherence of {coherence:g}; {fallback.reason}"
        return Choice(fallback.layer, "separation", None, why)
    top = max(able, key=lambda p: p.score)
    close = [p for p in able if p.score >= top.score - top.error]
    best = max(close, key=lambda p: (round(auroc[p.layer], 3), effect[p.layer], p.score))
    reason = f"trait score {best.score:.1f} at coherence {best.coherence:.1f}, coefficient {best.coefficient:g}"
    if best is not top:
        reason += (
            f"; layer {top.layer} has {top.score:.1f}, within a standard error of {top.error:.1f}, and reads less well"
        )
    return Choice(best.layer, "steering", best.coefficient, reason)


def by_separation(layers: Iterable[int], auroc: Sequence[float], effect: Sequence[float]) -> Choice:
    """The largest effect among layers whose AUROC is as good as the best."""
    open_layers = list(layers)
    top = max(auroc[layer] for layer in open_layers)
    best = max((n for n in open_layers if auroc[n] >= top - _CLOSE), key=lambda n: effect[n])
    return Choice(best, "separation", None, f"AUROC {auroc[best]:.3f}, {effect[best]:.2f} standard deviations apart")
