"""A run's scores along its control directions, read back; and which trait is compared with which of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from screen.scoring.schema import RANDOM
from screen.store import context
from screen.store.folder import RunFolder, read_published


def control_sets(folder: RunFolder) -> dict[str, str]:
    """Trait -> the key of the set of directions that it is compared with; empty in a run that has none."""
    calibration = context.load(folder.path, folder.run)
    return dict(calibration[1].get("set_of", {})) if calibration is not None else {}


def control_scores(folder: RunFolder, key: str, n: int) -> npt.NDArray[np.float32]:
    """(n, RANDOM) float32 along one set of directions, a row a sample in row order; (n, 0) in a run without it."""
    parts = []
    for file in folder.tables("controls"):
        table = read_published(file, columns=["set", "random"])
        chosen = table.filter(pc.equal(table["set"], key))["random"].combine_chunks()
        parts.append(chosen.flatten().to_numpy(zero_copy_only=False).reshape(-1, RANDOM))
    whole: npt.NDArray[np.float32] = np.concatenate(parts) if parts else np.zeros((0, RANDOM), dtype=np.float32)
    return whole if len(whole) == n else np.zeros((n, 0), dtype=np.float32)
