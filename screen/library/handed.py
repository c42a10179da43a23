"""What was handed over of a run, looked at again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from screen.library.settings import paths

if TYPE_CHECKING:
    from screen.handover.bundle.verify import Verification


def verify(
    bundle: str | os.PathLike[str],
    *,
    dataset: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    seal: str | None = None,
) -> Verification:
    """Whether a bundle is whole: kept + dropped + skipped is the input, each row once, nothing altered.

    dataset  the files that were screened, to hold every row against
    seal     that was noted down when the bundle was signed off

    What is wrong is in `problems`, and never raised; what was looked at is in `against`. Raises UsageError where there
    is no folder, or the dataset cannot be read.

    >>> handed = run.export("audit", folder / "chats.audit", signed_by="A. Reviewer")
    >>> screen.verify(folder / "chats.audit", seal=handed.seal).against
    ('its own digests', 'the seal')
    """
    from screen.handover.bundle import verify as bundles

    return bundles.verify(Path(bundle), dataset=paths(dataset), seal=seal)
