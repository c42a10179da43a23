"""How vectors look in a terminal: the list, the card, the norm at each layer."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text
from screen_reports.console import Head, Terminal
from screen_reports.text import count, one_line

if TYPE_CHECKING:
    from screen.vectors.persona import PersonaVector

_STEPS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_PLAIN_STEPS = "_.-=+*#@"
_TOLD = ("trait", "format", "warnings", "layer", "pooling", "sign", "kept")  # shown above the card, or of no use
_FLAGS = {
    "layer": "state it with --layer",
    "model": "state it with --model-id",
    "pooling": "state it with --pooling",
}
_LONG = 40  # characters of a text that gets a line of its own
_DEEPEST = 24
Row = Mapping[str, Any]


def row_of(vector: PersonaVector) -> dict[str, Any]:
    """What a list shows of a vector; None where the card does not say."""
    card = vector.card
    parts: tuple[object, object] = (card.get("model"), card.get("kept"))
    model, kept = (part if isinstance(part, dict) else {} for part in parts)
    return {
        "file": vector.source,
        "trait": vector.trait,
        "model": model.get("name"),
        "n_layers": model.get("n_layers"),
        "layers": sorted(vector.hs_index.tolist()),
        "d_model": vector.d_model,
        "layer": vector.layer,
        "pooling": card.get("pooling"),
        "positive": kept.get("positive"),
        "negative": kept.get("negative"),
        "reference": bool(card.get("reference")),
    }


def norms_of(vector: PersonaVector) -> dict[str, float]:
    """The norm of the direction at each layer, in layer order."""
    norms = np.linalg.norm(vector.direction.astype(np.float64), axis=1)
    return {str(vector.hs_index[i]): float(norms[i]) for i in np.argsort(vector.hs_index)}


def print_list(terminal: Terminal, rows: Sequence[Row]) -> None:
    """One line a vector: what it is for, and what its card knows."""
    heads: list[Head] = [
        ("trait", "left"), ("layers", "right"), ("d_model", "right"), ("layer", "right"), ("pooling", "left"),
        ("pos/neg", "right"), ("ref.", "left"), ("model", "fill"),
    ]  # fmt: skip
    cells: list[list[str | Text]] = [
        [
            terminal.cut(row["trait"], 20),
            _span(row["layers"]),
            count(row["d_model"]),
            _or_dash(row["layer"]),
            terminal.cut(str(row["pooling"] or "-"), 13),
            _kept(row),
            "yes" if row["reference"] else "no",
            str(row["model"] or "-"),
        ]
        for row in rows
    ]
    terminal.table(heads, cells)


def print_card(terminal: Terminal, vector: PersonaVector, every: bool) -> None:
    """The facts that decide how a vector is used, the norm at each layer, and then the whole card."""
    row, norms = row_of(vector), norms_of(vector)
    _facts(terminal, row, vector.card)
    if every:
        _print_norms(terminal, norms, row["layer"])
    else:
        _fact_norms(terminal, norms, row["layer"])
    for warning in vector.warnings:
        terminal.fact("warning", warning)
    rest = {name: value for name, value in vector.card.items() if name not in _TOLD}
    if rest:
        terminal.put()
        terminal.put("card", style="bold")
        for indent, text in _lines(rest, 2):
            shown = textwrap.wrap(
                one_line(text), max(terminal.width, 40), initial_indent=" " * indent,
                subsequent_indent=" " * (indent + 2), break_on_hyphens=False, break_long_words=False,
            )  # fmt: skip
            terminal.print(Text("\n".join(shown)), soft_wrap=True)


def print_imported(terminal: Terminal, target: str, vector: PersonaVector) -> None:
    """What was written, how the file was read, and what nobody has said."""
    row, origin = row_of(vector), vector.card.get("origin")
    terminal.fact(
        "written", f"{target}: {row['trait']}, layers {_span(row['layers'])}, d_model {count(row['d_model'])}"
    )
    if isinstance(origin, Mapping):
        how = f" ({origin['convention']}: {origin.get('convention_from')})" if "convention" in origin else ""
        terminal.fact("from", f"{Path(row['file']).name}{how}")
        by = f" ({origin['sign_from']})" if "sign_from" in origin else ""
        terminal.fact("sign", f"{origin.get('sign')}{by}")
        missing = [name for name in _FLAGS if name in (origin.get("not_stated") or ())]
        if missing:
            terminal.fact("not said", "; ".join(f"{name} ({_FLAGS[name]})" for name in missing))
    for warning in vector.warnings:
        terminal.fact("warning", warning)


def sparkline(values: Sequence[float], plain: bool) -> str:
    """A character a value, from nothing to the highest."""
    steps = _PLAIN_STEPS if plain else _STEPS
    top = max(values, default=0.0) or 1.0
    return "".join(steps[min(int(value / top * len(steps)), len(steps) - 1)] for value in values)


def _lines(value: object, indent: int) -> Iterator[tuple[int, str]]:
    """A card as (indent, paragraph): what is short on one line, what is nested below its name."""
    if indent > _DEEPEST:
        yield indent, "..."
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            flat = _flat(inner)
            yield indent, f"{name}:" if flat is None else f"{name}: {flat}"
            if flat is None:
                yield from _lines(inner, indent + 2)
    elif isinstance(value, list):
        for inner in value:
            flat = _flat(inner)
            if flat is not None:
                yield indent, f"- {flat}"
                continue
            mark = "- "
            for deeper, text in _lines(inner, indent + 2):
                yield deeper - len(mark), f"{mark}{text}"
                mark = ""


def _flat(value: object) -> str | None:
    """`value` on one line, or None where it is nested or long."""
    if isinstance(value, Mapping | list):
        inside = value.values() if isinstance(value, Mapping) else value
        if any(isinstance(v, Mapping | list) or (isinstance(v, str) and len(v) > _LONG) for v in inside):
            return None
        if isinstance(value, Mapping):
            return ", ".join(f"{k} {_flat(v)}" for k, v in value.items()) or "-"
        return ", ".join(str(_flat(v)) for v in value) or "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)


def _facts(terminal: Terminal, row: Row, card: Row) -> None:
    terminal.fact("trait", f"{row['trait']} ({row['file']})")
    blocks = f", {row['n_layers']} blocks" if row["n_layers"] is not None else ""
    terminal.fact("model", f"{row['model'] or 'not stated'}{blocks}, d_model {count(row['d_model'])}")
    terminal.fact("layers", f"{_span(row['layers'])} of hidden_states")
    chosen = "none: state it with --layer" if row["layer"] is None else str(row["layer"])
    terminal.fact("screens at", chosen)
    sign = {"toward": "plus is toward the trait"}.get(str(card.get("sign")), str(card.get("sign") or "not stated"))
    terminal.fact("sign", sign)
    terminal.fact("pooling", str(row["pooling"] or "not stated"))
    kept = card.get("kept")
    if isinstance(kept, Mapping):
        terminal.fact("made from", ", ".join(f"{name} {value}" for name, value in kept.items()))


def _fact_norms(terminal: Terminal, norms: Mapping[str, float], layer: int | None) -> None:
    layers, values = list(norms), list(norms.values())
    high = max(range(len(values)), key=values.__getitem__)
    width = max(terminal.width - 12, 20)
    for start in range(0, len(values), width):  # more layers than the line is wide
        text = sparkline([*values[start : start + width], max(values)], terminal.plain)[:-1]
        terminal.fact("norms" if start == 0 else "", text)
    at = f", {norms[str(layer)]:.4g} at {layer}" if str(layer) in norms else ""
    terminal.fact("", f"{values[0]:.4g} at layer {layers[0]}{at}, highest {values[high]:.4g} at {layers[high]}")


def _print_norms(terminal: Terminal, norms: Mapping[str, float], layer: int | None) -> None:
    top = max(norms.values()) or 1.0
    block = "#" if terminal.plain else "\u2588"
    cells: list[list[str | Text]] = [
        [name, "*" if name == str(layer) else "", f"{norm:.4g}", block * round(40 * norm / top)]
        for name, norm in norms.items()
    ]
    terminal.table([("layer", "right"), ("", "left"), ("norm", "right"), ("", "left")], cells)


def _span(layers: Sequence[int]) -> str:
    if len(layers) > 2 and list(layers) == list(range(layers[0], layers[-1] + 1)):
        return f"{layers[0]}-{layers[-1]}"
    return ",".join(map(str, layers[:4])) + (",..." if len(layers) > 4 else "")


def _kept(row: Row) -> str:
    return "-" if row["positive"] is None else f"{row['positive']}/{_or_dash(row['negative'])}"


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)
