"""Whether a bundle is whole: kept + dropped + skipped = input, each row once, nothing altered.

By itself a bundle shows that its files are those of its manifest, and that the rows in them are those of rows.csv, each
once. Whether they are those of the dataset is known only beside it, and that the manifest is the one that was signed
off only by its seal. What was looked at is part of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from screen.data.files import InputFile, find_files
from screen.errors import UsageError
from screen.handover.bundle.beside import against_dataset
from screen.handover.bundle.contents import is_regular, problems
from screen.handover.bundle.manifest import MANIFEST, NoManifest, read_manifest, seal_of

DIGESTS = "its own digests"
SEAL = "the seal"
DATASET = "the dataset"
_ABSENT = f"{MANIFEST} is missing, or cannot be read: no bundle, or not a whole one"


@dataclass(frozen=True, slots=True)
class Verification:
    """`problems`: a sentence each, with the file and, where it can be told, the row; none where all is well.

    against  what the bundle was held against: its own digests, the seal, the dataset
    seal     of the manifest as it stands here; None where that is damaged
    """

    path: str
    problems: tuple[str, ...]
    against: tuple[str, ...]
    seal: str | None
    signed_by: str | None
    made: str | None
    counts: Mapping[str, int]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(path: Path, *, dataset: Sequence[str] = (), seal: str | None = None) -> Verification:
    """Look at every file of a bundle, and every row in it.

    dataset  its files, to hold every row against
    seal     that was noted down when it was signed off

    Raises UsageError where there is no folder, or the dataset cannot be read.
    """
    if not path.is_dir():
        raise UsageError(f"{path}: no such folder", "give the folder that `screen export --as audit` wrote")
    files: tuple[InputFile, ...] = find_files(dataset) if dataset else ()
    against = [DIGESTS]
    if not is_regular(path / MANIFEST):
        return _damaged(path, _ABSENT)
    try:
        data = (path / MANIFEST).read_bytes()
        manifest = read_manifest(data)
    except OSError:
        return _damaged(path, _ABSENT)
    except NoManifest as error:
        return _damaged(path, f"{MANIFEST} is not as it was sealed: {error}")
    found = list(problems(path, manifest))
    here = seal_of(data)
    if seal is not None:
        against.append(SEAL)
        found += [f"{MANIFEST} has the seal {here}, not {seal}"] if seal.strip().lower() != here else []
    if files and not found:
        against.append(DATASET)
        found += against_dataset(path, manifest, files)
    return Verification(
        str(path), tuple(found), tuple(against), here, manifest.signed_by, manifest.made, dict(manifest.counts)
    )


def _damaged(path: Path, problem: str) -> Verification:
    return Verification(str(path), (problem,), (DIGESTS,), None, None, None, {})
