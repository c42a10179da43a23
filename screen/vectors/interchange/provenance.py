"""Where an imported vector's numbers come from, as its card tells it; and what to beware of."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from screen.errors import UsageError
from screen.vectors.card import Origin
from screen.vectors.formats.arrays import FileContents
from screen.vectors.interchange.layout import OWN, SHIFTS, DirectionRows, LayerLayout
from screen.vectors.interchange.stated import Stated
from screen.vectors.persona import PersonaVector

ASSISTANT = "assistant-like"
_SIGNED = ("persona-vectors", "repeng", "llama.cpp")  # tools that write the side asked for as plus


def origin(path: Path, data: bytes, contents: FileContents, rows: DirectionRows, numbering: LayerLayout) -> Origin:
    """The file, its hash, and how it was read."""
    says = {k[:80]: v[:200] if isinstance(v, str) else v for k, v in list(contents.says.items())[:32]}
    return {
        "format": contents.kind,
        "file": path.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "convention": numbering.convention,
        "convention_from": numbering.said_by,
        "rows": f"number k is hidden_states[{'k+1' if SHIFTS[numbering.convention] else 'k'}]",
        "dtype": "bfloat16" if rows.dtype == "bf16" else np.dtype(rows.dtype).name,
        "shape": [int(n) for n in rows.values.shape],
        "key": rows.key,
        "says": {k: v for k, v in says.items() if not isinstance(v, float) or np.isfinite(v)},
    }


def sign_in_file(path: Path, trait: str, numbering: LayerLayout, stated: Stated) -> tuple[str, str]:
    """Which way the file's numbers point and what was done about it; and who says so. Raises where nobody does."""
    axis = numbering.convention == "assistant-axis"
    if stated.sign is None:
        if axis and trait != ASSISTANT:
            raise UsageError(
                f"{path}: plus means {ASSISTANT} in an assistant-axis file, and nothing says how {trait} lies to that",
                f"state it: --sign toward where {ASSISTANT} is {trait}, or --sign away, which turns it round",
            )
        if not axis and numbering.convention not in _SIGNED and numbering.said_by != OWN:
            raise UsageError(
                f"{path}: nothing in it says whether plus points toward {trait} or away from it",
                "state it: --sign toward, or --sign away, which turns it round; or the tool's --convention",
            )
    done = "turned round on import" if stated.turned else "kept"
    means = ASSISTANT if axis else f"the opposite of {trait}" if stated.turned else trait
    by = (
        "stated"
        if stated.sign is not None
        else numbering.said_by
        if numbering.said_by == OWN
        else f"{numbering.convention} files"
    )
    return f"plus means {means} in the file; {done}", by


def not_stated(stated: Stated, pooling: str) -> list[str]:
    """What neither the file nor the user says."""
    missing = {
        "layer": stated.layer is None,
        "model": stated.model is None,
        "pooling": pooling == "unstated",
    }
    return [name for name, is_missing in missing.items() if is_missing]


def warnings_for(vector: PersonaVector, pooling: str, numbering: LayerLayout, contents: FileContents) -> list[str]:
    """What a reader of the scores should know of this vector."""
    name = Path(vector.source).name
    warnings: list[str] = []
    if pooling == "unstated":
        warnings.append(f"{name} does not say over which tokens it was averaged; scores are defined on response means")
    elif pooling != "response_mean":
        kind = pooling.replace("_", " ")
        warnings.append(f"{name} is a {kind} difference, not the response mean that scores are defined on")
    counted = {"repeng": "u32", "llama.cpp": "i32"}.get(numbering.convention)
    if counted and counted != contents.types.get("controlvector.layer_count"):
        warnings.append(
            f"the layers are numbered as {numbering.convention} does because you state it; the file does not say so"
        )
    norms = np.linalg.norm(vector.direction.astype(np.float64), axis=1)
    if numbering.convention == "repeng" and np.abs(norms - 1).max() > 1e-3:
        warnings.append("its directions are not of unit norm, as repeng's own are")
    if norms.max() > 1e5:
        warnings.append(f"its longest direction has the norm {norms.max():.3g}, which is far from any persona vector's")
    zero = [numbering.index[i] for i in np.flatnonzero(norms == 0)]
    if zero:
        warnings.append(f"the direction is zero, and cannot be used, at layer {', '.join(map(str, zero[:12]))}")
    return warnings
