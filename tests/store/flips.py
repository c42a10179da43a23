"""Flip bits of the files of a small run, one at a time: found, with the file named, or the same output.

    python -m tests.store.flips            # every bit of every control file, 1,000 bits of shards

The run is of fake scores, finished, with context, a lift, a catalogue, a reference set, answers and judgements.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from screen.errors import ScreenError
from screen.select.scores import score_values
from screen.store import context, liftfile, scanfile
from screen.store.cache.answers import AnswerCache, KeptResponse
from screen.store.cache.judgements import JudgementCache
from screen.store.folder import RunFolder
from screen.store.labels.file import append, read
from screen.store.labels.record import Draw, DrawnStratum, Label
from screen.store.reference import Reference
from screen.store.scan import Scan
from screen.store.sql import catalogue
from tests.store import fake

KEYS = [f"{n:064x}" for n in range(1 << 200, (1 << 200) + 4)]


class Part(NamedTuple):
    """A file, and what is read of it. `forgets`: damage may make it answer less, never otherwise."""

    path: Path
    read: Callable[[], Any]
    forgets: bool = False


def make(folder: Path) -> Path:
    run = folder / "run"
    fake.scan(run, rows=9, size=4)
    at = RunFolder.read(run)
    context.save(run, at.run, {"random.2": np.ones((2, 3), np.float32)}, {"screened": [2]})
    liftfile.keep(at, pa.table({"row": [0, 1], "evil_lift": pa.array([0.5, 1.5], pa.float32())}))
    catalogue.build(at)
    said = Label(1, "drop", None, "a note @ last", "2026-01-01T00:00:00Z")
    stratum = DrawnStratum("above", 0.0, None, 3, (1,), (4, 5))
    append(at, [said, Draw("evil", 0.9, None, 0, (stratum,), said.at), said])
    scores = {"evil": np.arange(5, dtype=np.float32)}
    card = {"vectors": {}, "model": {}, "rendering": {}, "baseline": "generate", "rows": 5}
    Reference("clean", scores, card).save(folder / "clean.reference")
    answers = AnswerCache([], write_to=folder / "answers")
    for key in KEYS:
        answers.put({key: KeptResponse((1, 2, 500), False)})
    judged = JudgementCache(folder / "judgements")
    for key in KEYS:
        judged.put(key, {"score": 71.5, "words": "it does"})
    return run


def parts(folder: Path) -> dict[str, Part]:
    """Every file by name, each with everything that a verb reads of it."""
    run = folder / "run"

    def resumed() -> Any:
        with RunFolder.open(run, fake.identity()) as again:
            return again.facts, again.summary, sorted(again.published)

    def looked() -> Any:
        scan = Scan.open(run)
        return scan.folder.facts, scan.summary, scan.status(), scan.folder.published

    readers: dict[str, Callable[[], Any]] = {
        "scan.json": lambda: (looked(), scanfile.load(run)),
        "summary.json": looked,
        "manifest.jsonl": lambda: (looked(), resumed()),
        "standards.safetensors": lambda: _plain(context.load(run, RunFolder.read(run).run)),
        "lift.parquet": lambda: liftfile.find(RunFolder.read(run)),
        "index.safetensors": lambda: _ranked(run),
        "labels.jsonl": lambda: read(RunFolder.read(run)),
        "lift.json": lambda: liftfile.find(RunFolder.read(run)),
    }
    found = {name: Part(run / name, read) for name, read in readers.items()}
    reference = folder / "clean.reference"
    found["clean.reference"] = Part(reference, lambda: _reference(reference))
    (segment,) = (folder / "answers").iterdir()
    found["answers"] = Part(segment, lambda: AnswerCache([folder / "answers"]).get(KEYS), forgets=True)
    (judged,) = (folder / "judgements").iterdir()
    found["judgements"] = Part(judged, lambda: _judged(judged.parent), forgets=True)
    return found


def shards(run: Path) -> list[Part]:
    names = {file.name: table for e in RunFolder.read(run).published.values() for table, file in e.files.items()}
    return [Part(run / n, lambda t=table: RunFolder.read(run).tables(t)) for n, table in sorted(names.items())]  # type: ignore[misc]


def _ranked(run: Path) -> Any:
    """As a reader takes scores: from the index, or from the shards where it does not hold."""
    scan = Scan.open(run)
    return [score_values(scan, trait).tobytes() for trait in scan.traits]


def _plain(found: Any) -> Any:
    return {name: array.tobytes() for name, array in found[0].items()}, found[1]


def _reference(path: Path) -> Any:
    found = Reference.load(path)
    return found.card, {t: v.tobytes() for t, v in found.scores.items()}


def _judged(path: Path) -> dict[str, Any]:
    cache = JudgementCache(path)
    return {key: value for key in KEYS if (value := cache.get(key)) is not None}


def flipped(data: bytes, bit: int) -> bytes:
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]


def unseen(part: Part, bits: Iterator[int] | range) -> list[int]:
    """The flipped bits that neither raise an error with the file's name nor leave what is read as it was."""
    whole, wanted = part.path.read_bytes(), part.read()
    try:
        return [bit for bit in bits if not _noticed(part, flipped(whole, bit), wanted)]
    finally:
        part.path.write_bytes(whole)


def _noticed(part: Part, data: bytes, wanted: Any) -> bool:
    part.path.write_bytes(data)
    try:
        found = part.read()
    except ScreenError as error:
        return part.path.name in str(error) and bool(error.next_step)
    return bool(found == wanted or (part.forgets and found.items() <= wanted.items()))


def main() -> int:
    rng, lost = random.Random(0), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = make(folder)
        for part in parts(folder).values():
            bits = 8 * part.path.stat().st_size
            missed = unseen(part, range(bits))
            lost += len(missed)
            print(f"{part.path.name}: {bits:,} bits, {len(missed)} unseen")
        for part in (every := shards(run)):
            count = -(-1000 // len(every))
            missed = unseen(part, iter([rng.randrange(8 * part.path.stat().st_size) for _ in range(count)]))
            lost += len(missed)
            print(f"{part.path.parent.name}/{part.path.name}: {count} random bits, {len(missed)} unseen")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
