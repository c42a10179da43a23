"""What every vector must be, wherever it comes from."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from screen.errors import VectorError
from screen.vectors.controls import COUNT
from screen.vectors.persona import PersonaVector


def has_trait_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9 _-]{0,63}", text) is not None


def _are_controls(rows: npt.NDArray[np.generic], d_model: int) -> bool:
    """Whether these are what `screen.vectors.controls.directions` gives."""
    if rows.dtype != np.float32 or rows.shape != (COUNT, d_model) or not np.isfinite(rows).all():
        return False
    return bool(np.allclose(np.linalg.norm(rows.astype(np.float64), axis=1), 1.0, atol=1e-3))


def checked(vector: PersonaVector) -> PersonaVector:
    """`vector`, if it is one. Raises VectorError naming what is wrong."""
    direction, index, where = vector.direction, vector.hs_index, vector.source
    problem = ""
    if direction.ndim != 2 or direction.dtype != np.float32 or 0 in direction.shape:
        problem = f"`direction` is {direction.dtype}{list(direction.shape)}, not float32 [n, d_model]"
    elif index.shape != (len(direction),) or index.dtype.kind != "i":
        problem = f"`hs_index` is {index.dtype}{list(index.shape)}, not one integer a direction"
    elif len(set(index.tolist())) != len(index) or (index < 0).any():
        problem = "`hs_index` repeats a layer or is negative"
    elif not np.isfinite(direction).all():
        problem = f"`direction` holds NaN or infinity (first at row {int(np.argwhere(~np.isfinite(direction))[0][0])})"
    elif vector.controls is not None and not _are_controls(vector.controls, vector.d_model):
        problem = f"`controls` are not {COUNT} unit vectors of {vector.d_model} float32"
    elif not direction.any():
        problem = "`direction` is zero at every layer"
    elif not has_trait_name(vector.trait):
        problem = f"{vector.trait!a} cannot be a trait's name (letters, digits, spaces, - and _; up to 64)"
    if problem:
        raise VectorError(f"{where}: {problem}", "the vector cannot be used; rebuild or fetch it again")
    return vector
