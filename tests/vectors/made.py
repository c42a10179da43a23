"""Vectors and files for the tests of this folder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from screen.vectors.formats import child, sandbox
from screen.vectors.interchange.incoming import foreign
from screen.vectors.interchange.stated import Stated
from screen.vectors.persona import PersonaVector


def matrices(first: int = 2) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    """float32 [n, d_model]: subnormals and -0.0 among them, never all zero."""
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    shapes = st.tuples(st.integers(first, 5), st.integers(1, 9))
    return hnp.arrays(np.float32, shapes, elements=numbers).filter(np.any)


def vector(direction: np.ndarray[Any, Any], first: int = 0, trait: str = "kind") -> PersonaVector:
    return PersonaVector(trait, direction, np.arange(first, first + len(direction)))


def same_bits(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def torch_bytes(value: object, **options: Any) -> bytes:
    import torch

    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


def import_here(data: bytes, stated: Stated) -> PersonaVector:
    """Parse in this process instead of in a child: the same code, at a thousandth of the price."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "_child", child.reply)
        return foreign(Path("kind.bin"), data, stated)
