"""A file of another tool, and what the user states about it -> a PersonaVector whose card tells where all came from."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from screen.errors import UsageError, VectorError
from screen.vectors.card import ModelLock, VectorCard
from screen.vectors.checks import checked, has_trait_name
from screen.vectors.formats.sandbox import parse
from screen.vectors.interchange import layout
from screen.vectors.interchange.provenance import ASSISTANT, not_stated, origin, sign_in_file, warnings_for
from screen.vectors.interchange.stated import Stated
from screen.vectors.persona import Float32, PersonaVector

_UPSTREAM = {
    "response_avg_diff": "response_mean",
    "prompt_avg_diff": "prompt_mean",
    "prompt_last_diff": "prompt_last",
}


def foreign(path: Path, data: bytes, stated: Stated) -> PersonaVector:
    """The vector in `data`. Raises VectorError for what cannot be one, UsageError for what must be stated."""
    parsed = parse(path, data)
    contents = parsed.contents
    named = upstream_name(path) if contents.kind == "pt" else None
    rows = layout.pick(parsed, path, stated.key)
    alone = rows.by_position and stated.layer is not None and named is None and stated.convention is None
    if not rows.numbers or (alone and len(rows.numbers) == 1):
        numbering = _bare(path, stated)
    else:
        numbering = layout.layer_layout(rows, contents, path, stated.convention, stated.n_layers, named is not None)
    _check_width(path, rows, stated)
    direction, warnings = _float32(rows.values, path)
    if stated.turned:
        direction = -direction
    trait = _trait(path, stated, numbering.convention, named)
    pooling = _pooling(path, stated, named)
    plain = PersonaVector(trait, direction, np.asarray(numbering.index, np.int64), {}, str(path))
    plain = checked(plain)
    sign, sign_from = sign_in_file(path, trait, numbering, stated)
    warnings += warnings_for(plain, pooling, numbering, contents)
    card: VectorCard = {
        "pooling": pooling,
        "sign": "toward",
        "model": _model(stated, numbering, direction),
        "warnings": warnings,
        "origin": {
            **origin(path, data, contents, rows, numbering),
            "sign": sign,
            "sign_from": sign_from,
            "stated": stated.given(),
            "not_stated": not_stated(stated, pooling),
        },
    }
    if stated.layer is not None:
        card["layer"] = stated.layer
        plain.unit(stated.layer)  # raises where there is no usable direction at that layer
    return replace(plain, card=card, warnings=tuple(warnings))


def upstream_name(path: Path) -> tuple[str, str] | None:
    """('evil', 'response_mean') from `evil_response_avg_diff.pt`; a model's name before it is left out."""
    for suffix, pooling in _UPSTREAM.items():
        if path.stem.endswith("_" + suffix):
            pieces = path.stem[: -len(suffix) - 1].split("_")
            while len(pieces) > 1 and re.search(r"\d", pieces[0]):  # a model's name: qwen2.5-7b_altruism
                pieces = pieces[1:]
            return "_".join(pieces), pooling
    return None


def _bare(path: Path, stated: Stated) -> layout.LayerLayout:
    if stated.convention is not None:
        raise UsageError(
            f"{path}: it holds one direction, so there are no rows to number",
            "state its hidden_states row with --layer instead of --convention (block i is layer i+1)",
        )
    if stated.layer is None or stated.layer < 0:
        raise UsageError(
            f"{path}: it holds one direction and does not say of which layer",
            "state its hidden_states row: --layer L (0 = embeddings, L = output of the L-th block)",
        )
    if stated.n_layers is not None and stated.layer > stated.n_layers:
        raise UsageError(f"{path}: --layer {stated.layer} is beyond the model's {stated.n_layers} layers", "check both")
    return layout.LayerLayout("hs", "stated by --layer", (stated.layer,))


def _check_width(path: Path, rows: layout.DirectionRows, stated: Stated) -> None:
    width = rows.values.shape[1]
    if stated.d_model not in (None, width):
        raise UsageError(
            f"{path}: its directions have {width:,} numbers; the stated model's hidden size is {stated.d_model:,}",
            "check which model the file was made for",
        )


def _float32(values: npt.NDArray[np.generic], path: Path) -> tuple[Float32, list[str]]:
    """`values` as float32: exact for narrower floats, rounded and said for wider ones."""
    if values.dtype.kind != "f":
        raise VectorError(
            f"{path}: the directions are {values.dtype}, not floating-point numbers",
            "choose another array with --key, or save them as float32",
        )
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(values, dtype=np.float32)
    if (np.isinf(narrow) & np.isfinite(values)).any():
        raise VectorError(f"{path}: some of its {values.dtype} numbers do not fit float32", "rescale the vector")
    with np.errstate(invalid="ignore"):
        exact = bool((narrow == values).all())
    return narrow, [] if exact or not np.isfinite(values).all() else [f"rounded from {values.dtype} to float32"]


def _trait(path: Path, stated: Stated, convention: str, named: tuple[str, str] | None) -> str:
    if stated.trait is not None:
        return stated.trait
    if convention == "assistant-axis":
        if not stated.turned:
            return ASSISTANT
        raise UsageError(f"{path}: turned round, it no longer points toward {ASSISTANT}", "name what: --trait NAME")
    name = named[0] if named else path.stem
    if not has_trait_name(name):
        raise UsageError(f"{path}: {name!a} cannot be a trait's name", "name the trait: --trait NAME")
    return name


def _pooling(path: Path, stated: Stated, named: tuple[str, str] | None) -> str:
    if named and stated.pooling not in (None, named[1]):
        raise UsageError(
            f"{path}: its name says {named[1]}, --pooling says {stated.pooling}", "rename the file if its name is wrong"
        )
    return stated.pooling or (named[1] if named else "unstated")


def _model(stated: Stated, numbering: layout.LayerLayout, direction: Float32) -> ModelLock:
    """What is known of the model: the run checks these against the model it loads."""
    known: ModelLock = {"d_model": int(direction.shape[1])}
    whole = {"persona-vectors": len(direction) - 1, "assistant-axis": len(direction)}.get(numbering.convention)
    n_layers = stated.n_layers if stated.n_layers is not None else whole
    if stated.model is not None:
        known["name"] = stated.model
    if n_layers is not None:
        known["n_layers"] = n_layers
    if stated.config_sha256 is not None:
        known["config_sha256"] = stated.config_sha256
    return known
