"""PersonaVector -> the bytes of another tool's file, and what that file cannot hold."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from screen.errors import UsageError
from screen.vectors.formats import gguf, pt
from screen.vectors.interchange.provenance import ASSISTANT
from screen.vectors.persona import Float32, PersonaVector

_UNIT = 1e-6  # a float32 row this near to norm 1 is left as it is, so that a round trip changes no bit
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Exported:
    """A file's bytes; `notes` says what it does not hold, or holds differently."""

    data: bytes
    notes: tuple[str, ...]


def export(vector: PersonaVector, target: str) -> Exported:
    """`vector` as `target`, one of TARGETS. Raises UsageError where that layout cannot hold its layers."""
    data, notes = TARGETS[target][1](vector)
    return Exported(data, ("the card (model, pooling, sign, layer) is not in it: keep the native file", *notes))


def _persona_vectors(vector: PersonaVector) -> tuple[bytes, list[str]]:
    index, direction = _sorted(vector)
    _must_be(vector, index, 0, "persona-vectors")
    name = f"{vector.trait}_{_SUFFIXES.get(str(vector.card.get('pooling')), 'response_avg_diff')}.pt"
    return _tensor(direction), [f"those scripts know a file by its name: {name}"]


def _assistant_axis(vector: PersonaVector) -> tuple[bytes, list[str]]:
    index, direction = _without(vector, 0)
    _must_be(vector, index, 1, "assistant-axis")
    notes = _left_out(vector, index) + _renumbered(vector, 1)
    if vector.trait != ASSISTANT:
        notes.append(f"readers of this layout take plus as {ASSISTANT}; here plus means {vector.trait}")
    return _tensor(direction), notes


def _repeng(vector: PersonaVector) -> tuple[bytes, list[str]]:
    index, direction = _without(vector, 0)
    norms = np.linalg.norm(direction.astype(np.float64), axis=1)
    if (norms == 0).any():
        zero = ", ".join(str(i) for i in index[norms == 0])
        raise UsageError(f"{vector.source or vector.trait}: layer {zero} is zero, which has no unit norm",
                         "repeng files hold unit directions; export it to npz, or rebuild the vector")  # fmt: skip
    off = np.abs(norms - 1) > _UNIT
    unit = direction.copy()
    unit[off] = (direction[off].astype(np.float64) / norms[off, None]).astype(np.float32)
    notes = _left_out(vector, index) + _renumbered(vector, 1)
    if off.any():
        notes.append("repeng's directions are of unit norm: the norm of each layer is not in it")
    bodies = {int(i) - 1: row.tobytes() for i, row in zip(index, unit, strict=True)}
    return gguf.write(bodies, _hint(vector), "u32"), notes


def _llama_cpp(vector: PersonaVector) -> tuple[bytes, list[str]]:
    index, direction = _without(vector, 0)
    bodies = {int(i): row.tobytes() for i, row in zip(index, direction, strict=True)}
    notes = [*_left_out(vector, index), "written with the norms it has; llama.cpp's own directions are of unit norm"]
    return gguf.write(bodies, _hint(vector), "i32"), notes


def _npy(vector: PersonaVector) -> tuple[bytes, list[str]]:
    index, direction = _sorted(vector)
    first, rows = int(index[0]), len(index)
    if rows == 1:
        return _npy_bytes(direction[0]), [
            f"one direction, of layer {first}: import it with --layer {first} --sign toward"
        ]
    if first > 1 or not np.array_equal(index, np.arange(first, first + rows)):
        raise UsageError(
            f"{vector.source or vector.trait}: an .npy file cannot say that its rows are layers {_span(index)}",
            "export it to npz, which keeps the layer of each row",
        )
    name = ("hs", "block")[first]
    return _npy_bytes(direction), [
        f"it does not say which layers its rows are: import it with --convention {name} --sign toward"
    ]


def _npz(vector: PersonaVector) -> tuple[bytes, list[str]]:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in (("direction", vector.direction), ("hs_index", np.asarray(vector.hs_index, "<i8"))):
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), _npy_bytes(array))
    return out.getvalue(), ["`hs_index` holds the hidden_states row of each row of `direction`"]


TARGETS: dict[str, tuple[str, Callable[[PersonaVector], tuple[bytes, list[str]]]]] = {
    "persona-vectors": (".pt", _persona_vectors),
    "assistant-axis": (".pt", _assistant_axis),
    "repeng": (".gguf", _repeng),
    "llama.cpp": (".gguf", _llama_cpp),
    "npy": (".npy", _npy),
    "npz": (".npz", _npz),
}
_SUFFIXES = {"prompt_mean": "prompt_avg_diff", "prompt_last": "prompt_last_diff"}


def _tensor(direction: Float32) -> bytes:
    return pt.write(direction.tobytes(), (direction.shape[0], direction.shape[1]))


def _sorted(vector: PersonaVector) -> tuple[npt.NDArray[np.int64], Float32]:
    order = np.argsort(vector.hs_index)
    return vector.hs_index[order], np.ascontiguousarray(vector.direction[order], dtype="<f4")


def _without(vector: PersonaVector, layer: int) -> tuple[npt.NDArray[np.int64], Float32]:
    """Rows in layer order but for `layer`, which the target has no place for."""
    index, direction = _sorted(vector)
    kept = index != layer
    if not kept.any():
        raise UsageError(
            f"{vector.source or vector.trait}: its one direction is of layer {layer}, which this format cannot hold",
            "export it to npz",
        )
    return index[kept], direction[kept]


def _must_be(vector: PersonaVector, index: npt.NDArray[np.int64], first: int, target: str) -> None:
    if not np.array_equal(index, np.arange(first, first + len(index))):
        raise UsageError(
            f"{vector.source or vector.trait}: {target} files hold every layer from {first} on; this vector has"
            f" {_span(index)}",
            "export it to npz, which keeps the layer of each row",
        )


def _left_out(vector: PersonaVector, index: npt.NDArray[np.int64]) -> list[str]:
    gone = sorted(set(vector.hs_index.tolist()) - set(index.tolist()))
    return ["layer 0 (the embeddings) is left out: the format has no place for it"] if gone else []


def _renumbered(vector: PersonaVector, shift: int) -> list[str]:
    layer = vector.layer
    return [] if layer is None or layer < shift else [f"the recommended layer {layer} is number {layer - shift} in it"]


def _span(index: npt.NDArray[np.int64]) -> str:
    """ "0 to 28", or "3, 7, 20" where there are gaps."""
    values = index.tolist()
    if len(values) > 2 and values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")


def _hint(vector: PersonaVector) -> str:
    """The architecture, where an import brought one along; llama.cpp only shows it."""
    origin: object = vector.card.get("origin")
    says = origin.get("says") if isinstance(origin, dict) else None
    hint = says.get("controlvector.model_hint") if isinstance(says, dict) else None
    return hint if isinstance(hint, str) else ""


def _npy_bytes(array: npt.NDArray[np.generic]) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.ascontiguousarray(array), allow_pickle=False)
    return out.getvalue()
