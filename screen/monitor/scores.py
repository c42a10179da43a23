"""Scores of messages: each assistant turn's, beside how clean data score.

The numbers are the turns of a scan (screen/scoring): a turn of a log and the same turn as a row of a dataset score
alike. Texts go in and stay out: a `MessageScore` holds none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from screen.data.readers.rows import BadRow
from screen.data.records.reading import How
from screen.data.sample import Place, Sample, Skip
from screen.data.shapes.forms import MIXED, build_mixed
from screen.model.host import Host
from screen.monitor.known import BASELINE, Standard, standards
from screen.progress import Progress, Silent
from screen.rendering.rendered import Rendered
from screen.scan.instruments import Instruments, load_instruments
from screen.scan.plan import cards_of
from screen.scoring.shard import ShardInput, score_shard
from screen.spec import ScanSpec
from screen.store.reference import Reference


@dataclass(frozen=True, slots=True)
class TraitScore:
    """score       projection less the baseline's, in units of the activations at the trait's layer
    projection  mean over the turn's tokens; sds  see `Standard.sds`; high  whether it passes the standard's limit.
    None where it has no standard."""

    score: float
    projection: float
    sds: float | None
    high: bool | None

    @property
    def baseline(self) -> float:
        """What was subtracted: here the projection of the prompt's last token."""
        return self.projection - self.score


@dataclass(frozen=True, slots=True)
class MessageScore:
    """One assistant turn. `row`: of the conversation; `turn`: the message's index in it; `tokens`: scored tokens."""

    row: int
    turn: int
    tokens: int
    traits: Mapping[str, TraitScore]


def of_turns(turns: pa.Table, columns: Mapping[str, str], known: Mapping[str, Standard]) -> Iterator[MessageScore]:
    """The messages of a `turns` table (screen.scoring.schema). `columns`: trait -> the column of its score.

    A trait without a score on a turn is left out there.
    """
    wanted = [*columns.values(), *(f"{trait}_projection" for trait in columns)]
    found = {name: turns[name].to_pylist() for name in ("row", "turn", "answer_tokens", *wanted)}
    for i, (row, turn) in enumerate(zip(found["row"], found["turn"], strict=True)):
        traits = {}
        for trait, column in columns.items():
            if (score := found[column][i]) is not None:
                s = known.get(trait)
                high = None if s is None or s.limit is None else score > s.limit
                sds = None if s is None else s.sds(score)
                traits[trait] = TraitScore(score, found[f"{trait}_projection"][i], sds, high)
        yield MessageScore(row, turn, found["answer_tokens"][i], traits)


class MessageScorer:
    """A model, its vectors and a reference, ready to score conversations as they come. Loads once, generates nothing.

    known  trait -> how clean rows score on it, for the traits that have that
    """

    def __init__(self, instruments: Instruments, known: Mapping[str, Standard]) -> None:
        self.instruments, self.known = instruments, known
        self.columns = {trait: BASELINE.column(trait) for trait in instruments.traits}

    @classmethod
    def open(
        cls,
        *,
        model: str = "pocket",
        vectors: Sequence[str] = (),
        traits: Sequence[str] = (),
        layers: Mapping[str, int] | None = None,
        reference: str | Path | None = None,
        dtype: str = "float32",
        device: str = "cpu",
        template: str | None = None,
        host: Host | None = None,
        progress: Progress | None = None,
    ) -> MessageScorer:
        """The settings of `screen run`. `host`: what runs the model; None: this process.

        Raises ModelError and VectorError for what does not load or does not fit, InputError for a reference of another
        model, of other vectors or of another kind of baseline, and where no trait has a reference.
        """
        given = {"dtype": dtype, "device": device, "template": template, "layers": dict(layers or {})}
        fields = {"dataset": (), "model": model, "vectors": tuple(vectors), "traits": tuple(traits), **given}
        spec = ScanSpec.from_json(fields)
        held = None if reference is None else Reference.load(Path(reference))  # a wrong file is told first
        instruments = load_instruments(spec, BASELINE, progress or Silent(), host)
        if held is None:
            cards = cards_of(instruments.vectors, BASELINE)
            return cls(instruments, standards({trait: card["reference"] for trait, card in cards.items()}))
        held.check(instruments.identity(spec), BASELINE)
        return cls(instruments, standards({trait: held.as_card(trait) for trait in instruments.traits}))

    @property
    def traits(self) -> tuple[str, ...]:
        return self.instruments.traits

    def score(self, conversations: Sequence[object]) -> list[list[MessageScore] | Skip]:
        """Of each conversation (a row of any chat shape that a dataset may have, such as {"messages": [...]}) its
        assistant turns, `row` being its index here; or why it has no score. One call, one pass over the model."""
        skips: dict[int, Skip] = {}
        samples: list[Sample] = []
        for row, value in enumerate(conversations):
            place = Place(row, "-", None, -1, -1, "")
            try:
                samples += _read(value, place)
            except BadRow as bad:
                skips[row] = Skip(place, "shape", bad.code, bad.message)
        fine: list[tuple[Sample, Rendered]] = []
        for sample, rendered in zip(samples, self.instruments.renderer.render(samples), strict=True):
            if isinstance(rendered, Skip):
                skips[sample.row] = rendered
            else:
                fine.append((sample, rendered))
        found: dict[int, list[MessageScore]] = {}
        if fine:
            tables = score_shard(ShardInput(fine), self.traits, self.instruments.projector, None, BASELINE)
            for message in of_turns(tables["turns"], self.columns, self.known):
                found.setdefault(message.row, []).append(message)
            for failed in tables["skipped"].select(["row", "code", "message"]).to_pylist():
                place = Place(failed["row"], "-", None, -1, -1, "")
                skips[failed["row"]] = Skip(place, "score", failed["code"], failed["message"])
        return [skips[row] if row in skips else found[row] for row in range(len(conversations))]


def _read(value: object, place: Place) -> list[Sample]:
    """Raises BadRow for what is no conversation."""
    if not isinstance(value, dict):
        raise BadRow("not_an_object", "the conversation is not a JSON object with named fields")
    return build_mixed(value, place, How(MIXED))
