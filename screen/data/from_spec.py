"""From a spec to its dataset: the one place that knows which of its fields say how rows are read."""

from __future__ import annotations

from pathlib import Path

from screen.data.dataset import Dataset, open_dataset
from screen.spec import ScanSpec

# the fields of a spec that say how its dataset is read
READING = ("dataset", "format", "map", "limit", "train_on", "render", "max_row_mib", "config")


def dataset_of(spec: ScanSpec, spool: Path | None = None) -> Dataset:
    """The dataset of a spec. `spool`: a folder for what comes from a pipe."""
    return open_dataset(
        spec.dataset,
        format=spec.format,
        map=spec.map,
        limit=spec.limit,
        train_on=spec.train_on,
        render=spec.render,
        max_row_mib=spec.max_row_mib,
        spool=spool,
        config=Path(spec.config) if spec.config else None,
    )
