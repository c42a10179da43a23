"""Controls: what directions that mean nothing would have given on the same rows (METHOD section 4)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


def directions(states: Float32, count: int, seed: int = 0) -> Float32:
    """(count, d) float32 unit vectors, random and with the covariance of the activations.

    states  (n, d) hidden states of answers; each direction is a random combination of these, centred, so that it varies
            as much over answers as a direction of the model does. With fewer than two states: plain random directions.
    """
    rng = np.random.default_rng(seed)
    n, d = states.shape
    if n < 2:
        made = rng.normal(size=(count, d))
    else:
        made = rng.normal(size=(count, n)) @ (states.astype(np.float64) - states.mean(axis=0, dtype=np.float64))
    norms = np.linalg.norm(made, axis=1, keepdims=True)
    made = np.where(norms > 0, made / np.where(norms > 0, norms, 1.0), rng.normal(size=(count, d)) / np.sqrt(d))
    return made.astype(np.float32)
