"""How a vector's validation looks: in the terminal, and as a picture beside its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from screen_reports.console import Terminal

    from screen.judges import Agreement
    from screen.vectors.card import SteeringPoint, Validation, VectorCard


def steering_of(card: VectorCard) -> list[SteeringPoint]:
    """The steering at every layer that a card tells of, if it does."""
    choice: object = card.get("layer_choice")
    points = choice.get("steering") if isinstance(choice, Mapping) else None
    return list(points) if isinstance(points, list) else []


def draw(path: Path, trait: str, facts: Validation, steering: list[SteeringPoint]) -> Path:
    """Write `evil.svg` beside `evil.safetensors`."""
    from screen_reports.curves import vector_picture

    from screen.disk import storing, write_atomically

    target = path.with_suffix(".svg")
    with storing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, vector_picture(trait, facts["layer"], facts, steering).encode())
    return target


def print_report(trait: str, path: Path, facts: Validation, judge: Agreement | None = None) -> None:
    """One vector's report in the terminal."""
    from screen_reports.console import Terminal

    from screen.errors import near

    terminal = Terminal()
    terminal.put()
    terminal.fact("vector", f"{near(path)}: {trait}, layer {facts['layer']}")
    positive, negative = (facts["held_out"]["sides"][side]["kept"] for side in ("positive", "negative"))
    area = f"AUROC {facts['auroc_at_layer']:.3f}{_interval(facts.get('auroc_interval'))}"
    terminal.fact("held out", f"{area} on {positive} and {negative} answers")
    terminal.fact("controls", "; ".join(_control(name, value) for name, value in facts["controls"].items()))
    for other, cosine in facts["cosine"].items():
        cross = facts["cross_auroc"][other]
        terminal.fact("beside", f"the {other} vector: cosine {cosine:+.3f}, AUROC {cross:.3f} on {trait}'s answers")
    if (share := facts["top_ten_share"][facts["layer"]]) is not None:
        terminal.fact("norm", f"{100 * share:.0f} % of the squared norm lies in the ten largest dimensions")
    if judge is not None:
        stored = asdict(judge)
        agreement = {name: _number(value) for name, value in stored.items() if not name.endswith("_interval")}
        agreement |= {n: f"{figure}{_interval(stored.get(f'{n}_interval'))}" for n, figure in agreement.items()}
        terminal.fact("judge", ", ".join(f"{name} {figure}" for name, figure in agreement.items()))
    for warning in facts["warnings"]:
        terminal.fact("note", warning)
    if facts["failed"]:
        terminal.fact("warning", f"no better than {', '.join(facts['failed'])}")
    _curves(terminal, facts)


def _curves(terminal: Terminal, facts: Validation) -> None:
    layers = [
        [f"{n} *" if n == facts["layer"] else f"{n}  ", _number(a), _number(e)]
        for n, (a, e) in enumerate(zip(facts["auroc"], facts["effect"], strict=True))
    ]
    terminal.put()
    terminal.table([("layer  ", "right"), ("AUROC", "right"), ("effect", "right")], layers)
    steering = [[f"{p['coefficient']:+g}", f"{p['score']:.1f}", f"{p['coherence']:.1f}"] for p in facts["steering"]]
    terminal.put()
    terminal.table([("coefficient", "right"), ("trait", "right"), ("coherence", "right")], steering)


def _control(name: str, value: object) -> str:
    words = name.replace("_", " ")
    if isinstance(value, Mapping):
        return f"{words} {value['mean']:.3f} (95th percentile {value['p95']:.3f})"
    return f"{words} {value:.3f}"


def _interval(ends: Sequence[float] | None) -> str:
    """ " (0.983 to 1.000)"; nothing for a card that was written without."""
    return f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else ""


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)
