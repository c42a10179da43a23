"""Single rows of a run once more: the run's instruments loaded from its record, and rows read again where they stand.

For looking at tokens (`screen explain`), for judging the numerics (`screen check-numerics`) and for a second detector
(`screen lift`). Nothing of the run is changed; a row whose bytes have changed is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from screen.baselines.answers_file import GivenAnswers
from screen.baselines.kind import ResponseSource
from screen.baselines.none import NoBaseline
from screen.baselines.table import kind_of
from screen.data.dataset import Dataset, Window
from screen.data.from_spec import dataset_of
from screen.data.sample import RawRow, Skip
from screen.errors import InputError, StoreError
from screen.foreign import JsonObject
from screen.model.forward.plan import Batching
from screen.model.forward.projector import Projector
from screen.progress import Progress, Silent
from screen.scan.instruments import ANSWERS, Instruments, load_instruments
from screen.scan.scorer import Scorer, context_of, with_directions
from screen.scoring.context import ScoringContext
from screen.scoring.shard import ShardInput, score_shard
from screen.spec import ScanSpec
from screen.store import context as kept
from screen.store.folder import RunFolder
from screen.store.scan import Scan


@dataclass(frozen=True)
class Again:
    """A run's scorer, once more. `spec` is the run's, with what was asked to differ."""

    folder: RunFolder
    spec: ScanSpec
    scorer: Scorer

    @property
    def dataset(self) -> Dataset:
        return self.scorer.dataset

    @property
    def instruments(self) -> Instruments:
        return self.scorer.instruments

    def shard(self, rows: Sequence[int]) -> ShardInput:
        """These rows, rendered. Raises InputError for one that is not there or not as it was scored."""
        wanted, shas = set(rows), _hashes(self.folder, set(rows))
        entries = [e for e in self._entries(wanted) if e is not None]
        missing = wanted - {e.place.row for e in entries}
        changed = [e.place for e in entries if shas.get(e.place.row, e.place.sha256) != e.place.sha256]
        if missing or changed:
            what = f"row {min(missing)} is no longer there" if missing else f"{changed[0]} has changed"
            raise InputError(f"{what} since it was scored", "run `screen run` on the new file, or restore the old one")
        return self.scorer.read(Window(0, min(rows), max(rows) + 1, list(entries)))

    def _entries(self, wanted: set[int]) -> Iterator[RawRow | Skip | None]:
        last = max(wanted)
        for row, entry in enumerate(self.dataset.entries(lambda r: r in wanted)):
            yield entry
            if row >= last:
                return

    def score(self, rows: Sequence[int]) -> dict[str, pa.Table]:
        """The tables of these rows, scored anew."""
        s = self.scorer
        shard = self.shard(rows)
        return score_shard(shard, s.instruments.traits, s.projector, s.responses, s.baseline, context=s.context)


def reopen(
    scan: Scan,
    *,
    cache: Path | None = None,
    dtype: str | None = None,
    alone: bool = False,
    answering: bool = False,
    progress: Progress | None = None,
) -> Again:
    """Load a run's model, vectors and dataset again, by its own record.

    dtype      another dtype than the run's; alone  one sequence a pass, as the plain reference does
    answering  the model must be able to answer prompts that are not in `cache`
    """
    progress = progress or Silent()
    facts = scan.folder.facts
    spec = ScanSpec.from_json(facts["spec"])
    kind = kind_of(facts["baseline"])
    baseline = kind if answering or not kind.generates else NoBaseline()  # loaded without what only generation needs
    changes: dict[str, Any] = {"dtype": dtype} if dtype else {}
    spec = dataclasses.replace(spec, **changes)
    dataset = dataset_of(spec)
    instruments = load_instruments(spec, baseline, progress, longest=_as_proved(scan))
    _check_same(scan.folder.identity, instruments.identity(spec), dtype is not None)
    responses: ResponseSource | None = None
    if baseline.generates:
        # baseline responses are looked up as the run made them, whatever they are scored in now; an answer made now,
        # in another dtype, must not stand in the cache for the run's
        cached = instruments.responses(
            scan.folder.identity["model"], cache or scan.path / ANSWERS, _quiet, progress, since=spec.since
        )
        cached.only_kept(instruments.model.context)
        responses = cached
    given = GivenAnswers(Path(spec.answers)) if spec.answers else None
    calibration = kept.load(scan.path, scan.folder.run)
    if calibration is None:
        raise StoreError(
            f"{scan.path}: {kept.STANDARDS} is gone", "restore it, or run again into another folder with --out"
        )
    context = context_of(*calibration, instruments.vectors, refine=spec.refine and baseline.calibrates)
    d = context.directions
    projector = with_directions(instruments.projector, d)
    if alone:
        p = instruments.projector
        projector = Projector(
            p.model, instruments.vectors.matrix(), instruments.vectors.layers, Batching("alone"), p.budget,
            controls=d.vectors, control_layers=d.layers,
        )  # fmt: skip
    scorer = Scorer(dataset, instruments, baseline, projector, context, responses, given, spec.group_by)
    return Again(scan.folder, spec, scorer)


def open_whole(scan: Scan, progress: Progress | None = None) -> Again:
    """The same with the whole model and its head, for passes that need logits. It answers no prompts."""
    spec = dataclasses.replace(ScanSpec.from_json(scan.folder.facts["spec"]), answers=None, answer_by="model")
    dataset = dataset_of(spec)
    instruments = load_instruments(spec, None, progress or Silent(), longest=_as_proved(scan))
    _check_same(scan.folder.identity, instruments.identity(spec), other_dtype=False)
    projector = instruments.projector
    scorer = Scorer(dataset, instruments, NoBaseline(), projector, ScoringContext(), None, None, spec.group_by)
    return Again(scan.folder, spec, scorer)


def _quiet(_done: int, _of: int, _tokens: int) -> None:
    """Nobody is told of answers that come from the cache."""


def _as_proved(scan: Scan) -> Callable[[object], int]:
    """The longest row that the run's batching was proved on."""
    return lambda _renderer: int(scan.folder.facts["model"].get("longest_row", 0))


def _check_same(was: JsonObject, now: JsonObject, other_dtype: bool) -> None:
    """Model, tokenizer, vectors and rendering as they were. Raises InputError that names what is not."""
    free = {"dtype"} if other_dtype else set()
    differing = [f"the model's {k}" for k, v in was["model"].items() if k not in free and now["model"].get(k) != v]
    differing += [name for name in ("vectors", "rendering") if was[name] != now[name]]
    if differing:
        raise InputError(
            f"the run cannot be looked at again: {', '.join(differing)} changed since",
            "restore what the run was made with, or run it anew",
        )


def _hashes(folder: RunFolder, rows: set[int]) -> dict[int, str]:
    import pyarrow.parquet as pq

    digests: dict[int, str] = {}
    for entry in folder.published.values():
        if any(entry.first_row <= row < entry.end_row for row in rows):
            for name in ("scores", "skipped"):
                if name in entry.files:
                    table = pq.read_table(folder.whole(entry.files[name]), columns=["row", "sha256"])
                    digests |= dict(zip(table["row"].to_pylist(), table["sha256"].to_pylist(), strict=True))
    return {row: sha for row, sha in digests.items() if row in rows}
