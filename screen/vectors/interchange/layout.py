"""Which hidden_states row each direction of a foreign file belongs to, and who says so. Nothing is guessed.

A file of another tool numbers its rows in one of two ways: row i is `hidden_states[i]`, or row i is the output of
block i, which is `hidden_states[i + 1]`. Scores taken one layer off still correlate at .94 to .99 with the right
ones, so a mistake would not be seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from screen.errors import UsageError, VectorError
from screen.vectors.formats.arrays import FileContents
from screen.vectors.formats.gguf import ARCHITECTURE
from screen.vectors.formats.sandbox import ParsedFile

SHIFTS = {"hs": 0, "block": 1, "persona-vectors": 0, "assistant-axis": 1, "repeng": 1, "llama.cpp": 0}
_CONTAINERS = {"persona-vectors": "pt", "assistant-axis": "pt", "repeng": "gguf", "llama.cpp": "gguf"}
_COUNT = "controlvector.layer_count"
_NUMBERED = re.compile(r"(.*?)(0|[1-9]\d{0,5})")
OWN = "direction and hs_index, as screen writes them"
_AXIS = {"axis", "default_mean", "role_mean"}  # what the assistant-axis pipeline saves together
_ASK = (
    "state it with --convention: hs (row i = hidden_states[i], as in persona-vectors files) or block (row i = the"
    " output of block i = hidden_states[i+1], as in assistant-axis files)"
)


@dataclass(frozen=True, slots=True)
class DirectionRows:
    """`numbers`: how the file numbers each row of `values` (n, d_model), or () where it is one bare direction."""

    values: npt.NDArray[np.generic]
    numbers: tuple[int, ...]
    dtype: str
    key: str
    by_position: bool = False  # the rows of one array, which says no more than their order


@dataclass(frozen=True, slots=True)
class LayerLayout:
    """A convention, by name, and who says so."""

    convention: str
    said_by: str
    index: tuple[int, ...]  # the hidden_states row of each direction


def pick(parsed: ParsedFile, path: Path, key: str | None) -> DirectionRows:
    """The rows that are directions. Raises UsageError where the file holds several things that could be."""
    arrays = parsed.contents.arrays
    if parsed.contents.kind == "gguf":
        return _control_vector(parsed, path)
    if key is not None and key not in arrays:
        raise UsageError(f"{path}: there is no array {key!a}", f"it holds {_names(parsed.contents)}; choose with --key")
    if key is None and {"direction", "hs_index"} <= set(arrays):
        return _indexed(parsed, path)
    if key is None and len(arrays) == 1:
        (key,) = arrays
    if key is None and arrays.keys() >= _AXIS:
        key = "axis"
    if key is not None:
        return _single(parsed, path, key)
    numbered = {name: number for name in arrays if (number := _NUMBERED.fullmatch(name))}
    if arrays and len(numbered) == len(arrays) and len({m[1] for m in numbered.values()}) == 1:
        return _stacked(parsed, path, {int(m[2]): name for name, m in numbered.items()})
    if not arrays:
        raise VectorError(f"{path}: it holds no array of numbers", "check the file")
    raise UsageError(
        f"{path}: it holds several arrays", f"say which one is the vector: --key, of {_names(parsed.contents)}"
    )


def layer_layout(
    rows: DirectionRows, contents: FileContents, path: Path, convention: str | None, n_layers: int | None, by_name: bool
) -> LayerLayout:
    """The layout of `rows`. `by_name`: the file's name is one that the persona-vectors scripts give."""
    if convention is not None:
        family = _CONTAINERS.get(convention)
        if family is not None and family != contents.kind:
            raise UsageError(f"{path}: {convention} files are .{family}, this one is .{contents.kind}", _ASK)
        name, said_by = convention, "stated"
    else:
        name, said_by = _stated_by(rows, contents, path, n_layers, by_name)
    index = tuple(number + SHIFTS[name] for number in rows.numbers)
    if n_layers is not None and max(index) > n_layers:
        raise UsageError(
            f"{path}: by the convention {name} it has a direction for hidden_states[{max(index)}], but the model has"
            f" {n_layers} layers",
            "check --convention, and the model or layer count you state",
        )
    return LayerLayout(name, said_by, index)


def _stated_by(
    rows: DirectionRows, contents: FileContents, path: Path, n_layers: int | None, by_name: bool
) -> tuple[str, str]:
    """The convention that the file itself says, and where it does."""
    kind, count = contents.kind, len(rows.numbers)
    if kind == "gguf":
        written = contents.types.get(_COUNT, "missing")
        if written in ("u32", "i32"):
            return ("repeng" if written == "u32" else "llama.cpp"), f"{_COUNT} is {written}"
        raise UsageError(
            f"{path}: {_COUNT} is {written}, so it does not say whether repeng or llama.cpp numbered its layers",
            "state it: --convention repeng (direction.k = hidden_states[k+1]) or llama.cpp (direction.k ="
            " hidden_states[k])",
        )
    if rows.key == "direction" and "hs_index" in contents.arrays:
        return "hs", OWN
    if contents.arrays.keys() >= _AXIS and rows.key == "axis":
        return "assistant-axis", "its keys axis, default_mean, role_mean"
    shape = list(rows.values.shape)
    if kind == "pt" and by_name:
        if n_layers in (None, count - 1):
            return "persona-vectors", "the file's name"
        raise UsageError(
            f"{path}: its name is one of persona-vectors, whose files have {(n_layers or 0) + 1} rows for a model with"
            f" {n_layers} layers; this one is {shape}",
            _ASK,
        )
    raise UsageError(f"{path}: nothing in it says which layers its {count} rows {shape} belong to", _ASK)


def _control_vector(parsed: ParsedFile, path: Path) -> DirectionRows:
    architecture = parsed.contents.says.get("general.architecture")
    if architecture != ARCHITECTURE:
        raise VectorError(
            f"{path}: a GGUF file of the architecture {str(architecture)[:60]!a}, not a control vector",
            "give a file that repeng or llama.cpp's cvector-generator wrote",
        )
    names: dict[int, str] = {}
    for name in parsed.contents.arrays:
        match = re.fullmatch(r"direction\.(0|[1-9]\d{0,5})", name)
        if match is None:
            raise VectorError(f"{path}: it holds the tensor {name[:80]!a}, and not only directions", "check the file")
        names[int(match[1])] = name
    if not names:
        raise VectorError(f"{path}: it holds no direction", "check the file")
    return _stacked(parsed, path, names)


def _stacked(parsed: ParsedFile, path: Path, names: dict[int, str]) -> DirectionRows:
    """One array a layer, by number."""
    arrays = parsed.contents.arrays
    first = arrays[names[min(names)]]
    for name in names.values():
        if len(arrays[name].shape) != 1 or arrays[name].shape != first.shape or arrays[name].dtype != first.dtype:
            raise VectorError(
                f"{path}: {name!a} is {arrays[name].dtype}{list(arrays[name].shape)}, unlike the first of its"
                f" directions, {first.dtype}{list(first.shape)}",
                "a vector has one direction [d_model] a layer; check the file",
            )
    numbers = tuple(sorted(names))
    return DirectionRows(np.stack([parsed.array(names[k]) for k in numbers]), numbers, first.dtype, "")


def _single(parsed: ParsedFile, path: Path, key: str) -> DirectionRows:
    """One array: a row a layer, or one bare direction."""
    array = parsed.contents.arrays[key]
    if len(array.shape) not in (1, 2) or 0 in array.shape:
        raise VectorError(
            f"{path}: {key or 'it'!s} is {array.dtype}{list(array.shape)}, neither [layers, d_model] nor [d_model]",
            "choose another array with --key, or reshape it",
        )
    values = parsed.array(key)
    if values.ndim == 1:
        return DirectionRows(values[None], (), array.dtype, key)
    return DirectionRows(values, tuple(range(len(values))), array.dtype, key, by_position=True)


def _indexed(parsed: ParsedFile, path: Path) -> DirectionRows:
    """`direction` with `hs_index`, as screen writes them."""
    direction, index = parsed.array("direction"), parsed.array("hs_index")
    if direction.ndim != 2 or index.shape != direction.shape[:1] or index.dtype.kind != "i":
        raise VectorError(f"{path}: `hs_index` is not one integer for each row of `direction`", "check the file")
    return DirectionRows(
        direction, tuple(int(i) for i in index), parsed.contents.arrays["direction"].dtype, "direction"
    )


def _names(contents: FileContents) -> str:
    shown = [ascii(name[:40]) for name in list(contents.arrays)[:8]]
    return ", ".join(shown) + (", ..." if len(contents.arrays) > 8 else "") or "none"
