"""Single rows of a run once more: the run's instruments loaded from its record, and rows read again where they stand.

For looking at tokens (`screen explain`), for judging the numerics (`screen check-numerics`) and for a second detector
(`screen lift`). Nothing of the run is changed; a row whose bytes have changed is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from screen.baselines.given import GivenAnswers
from screen.data.dataset import Dataset, Window, open_dataset
from screen.errors import InputError
from screen.model.forward.plan import Batching
from screen.model.forward.projector import Projector
from screen.progress import Progress, Silent
from screen.scan.instruments import Instruments, load_instruments
from screen.scan.prepare import prepare
from screen.scan.read import read_window
from screen.scoring.context import ScoringContext
from screen.scoring.shard import ShardInput, score_shard
from screen.spec import BaselineKind, ScanSpec
from screen.store.folder import RunFolder
from screen.store.scan import Scan


@dataclass
class Again:
    """A run's dataset and instruments. `spec` is the run's, with what was asked to differ."""

    folder: RunFolder
    spec: ScanSpec
    dataset: Dataset
    instruments: Instruments
    context: ScoringContext

    def shard(self, rows: Sequence[int]) -> ShardInput:
        """These rows, rendered. Raises InputError for one that is not there or not as it was scored."""
        wanted, shas = set(rows), _hashes(self.folder, set(rows))
        entries = [e for e in self._entries(wanted) if e is not None]
        missing = wanted - {e.place.row for e in entries}
        changed = [e.place for e in entries if shas.get(e.place.row, e.place.sha256) != e.place.sha256]
        if missing or changed:
            what = f"row {min(missing)} is no longer there" if missing else f"{changed[0]} has changed"
            raise InputError(f"{what} since it was scored", "run `screen run` on the new file, or restore the old one")
        given = GivenAnswers(Path(self.spec.answers)) if self.spec.answers else None
        window = Window(0, min(rows), max(rows) + 1, list(entries))
        return read_window(window, self.dataset, self.instruments.renderer, group_by=self.spec.group_by, given=given)

    def _entries(self, wanted: set[int]) -> Iterator[Any]:
        last = max(wanted)
        for row, entry in enumerate(self.dataset.entries(lambda r: r in wanted)):
            yield entry
            if row >= last:
                return

    def score(self, rows: Sequence[int]) -> dict[str, pa.Table]:
        """The tables of these rows, scored anew."""
        kind: BaselineKind = self.instruments.kind
        e = self.instruments
        return score_shard(self.shard(rows), e.traits, e.projector, e.answers, kind, context=self.context)


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
    kind: BaselineKind = facts["baseline"]
    asked = kind if answering or kind not in ("generate", "calibrated") else "none"
    changes: dict[str, Any] = {"dtype": dtype} if dtype else {}
    spec = dataclasses.replace(spec, baseline=asked, **changes)
    dataset = _dataset(spec)
    instruments = load_instruments(spec, dataset.shape, progress, longest=_as_proved(scan))
    _check_same(scan.folder.identity, instruments.identity, dtype is not None)
    instruments.settle(asked, progress, chosen=True)
    # baseline responses are looked up as the run made them, whatever they are scored in now
    instruments.identity["model"] = scan.folder.identity["model"]
    instruments.attach(cache or scan.path / "baselines", lambda _done, _of, _tokens: None, progress)
    if instruments.answers is not None:
        # an answer made now, in another dtype, must not stand in the cache for the run's
        instruments.answers.only_kept(instruments.model.context)
    context = prepare(spec, dataset, instruments, scan.folder, progress, {}, {})
    if alone:
        p, d = instruments.projector, context.directions
        instruments.projector = Projector(
            p.model, instruments.vectors.matrix(), instruments.vectors.layers, Batching("alone"), p.budget,
            controls=d.vectors, control_layers=d.layers,
        )  # fmt: skip
    return Again(scan.folder, spec, dataset, instruments, context)


def open_whole(scan: Scan, progress: Progress | None = None) -> Again:
    """The same with the whole model and its head, for passes that need logits. Its engine answers no prompts."""
    spec = dataclasses.replace(ScanSpec.from_json(scan.folder.facts["spec"]), baseline="generate", answer_by="model")
    dataset = _dataset(spec)
    instruments = load_instruments(spec, dataset.shape, progress or Silent(), longest=_as_proved(scan))
    _check_same(scan.folder.identity, instruments.identity, other_dtype=False)
    return Again(scan.folder, dataclasses.replace(spec, answers=None), dataset, instruments, ScoringContext())


def _as_proved(scan: Scan) -> Callable[[object], int]:
    """The longest row that the run's batching was proved on."""
    return lambda _renderer: int(scan.folder.facts["model"].get("longest_row", 0))


def _dataset(spec: ScanSpec) -> Dataset:
    return open_dataset(
        spec.dataset,
        format=spec.format,
        map=spec.map,
        limit=spec.limit,
        train_on=spec.train_on,
        render=spec.render,
        max_row_mib=spec.max_row_mib,
        config=Path(spec.config) if spec.config else None,
    )


def _check_same(was: Mapping[str, Any], now: Mapping[str, Any], other_dtype: bool) -> None:
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

    found: dict[int, str] = {}
    for entry in folder.published.values():
        if any(entry.first_row <= row < entry.end_row for row in rows):
            for name in ("scores", "skipped"):
                if name in entry.files:
                    table = pq.read_table(folder.whole(entry.files[name]), columns=["row", "sha256"])
                    found |= dict(zip(table["row"].to_pylist(), table["sha256"].to_pylist(), strict=True))
    return {row: sha for row, sha in found.items() if row in rows}
