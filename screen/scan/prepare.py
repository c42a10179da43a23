"""What is fixed before the first shard: which baseline, control directions, and the calibration where there is one.

Kept in the run folder (`screen.store.context`), so that a resumed run and every worker go by the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from screen.data.dataset import Dataset
from screen.errors import InputError, StoreError
from screen.model.forward.items import Item
from screen.model.host import Measuring
from screen.progress import Progress
from screen.rendering.rendered import Sequence as TokenSequence
from screen.scan.instruments import Instruments
from screen.scan.read import read_window
from screen.scoring import calibrate
from screen.scoring.context import BaselineEstimator, ControlSet, Directions, ScoringContext, prompt_hashes
from screen.scoring.findings.flags import Threshold, threshold
from screen.scoring.passes import item_of
from screen.scoring.scored import BaselineResponse
from screen.spec import BaselineKind, ScanSpec
from screen.stats import spearman
from screen.store import context as kept
from screen.store.folder import RunFolder
from screen.vectors import controls
from screen.vectors.persona import VectorSet

AUTO_MOST = 2048  # distinct prompts up to which `auto` answers them all
STATES = 64  # rows whose activations the control directions are drawn from where no reference brings any
COMPONENTS = 32  # principal components of the last prompt token, a screened layer
_ROWS = 256
Float32 = npt.NDArray[np.float32]


class _Ask(NamedTuple):
    """A distinct prompt of the sample: its first turn in the data, and where that stands."""

    sequence: TokenSequence
    number: int
    file: str

    @property
    def prompt(self) -> npt.NDArray[np.int32]:
        return self.sequence.ids[: self.sequence.turns[self.number].prompt_end]


def decide(spec: ScanSpec, dataset: Dataset, instruments: Instruments) -> BaselineKind:
    """`auto` by counts alone, so the same in every run: up to AUTO_MOST distinct prompts are all answered."""
    seen: set[int] = set()
    for window in dataset.windows(_ROWS):
        seen.update(prompt_hashes([ask.prompt for ask in _asks(window, dataset, instruments)]).tolist())
        if len(seen) > AUTO_MOST:
            return "calibrated"
    return "generate"


def prepare(
    spec: ScanSpec,
    dataset: Dataset,
    instruments: Instruments,
    folder: RunFolder,
    progress: Progress,
    cuts: Mapping[str, Threshold],
    references: Mapping[str, Float32],
) -> ScoringContext:
    """The run's context: read where it has them, made and kept where it does not.

    cuts  trait -> the threshold, as far as a reference tells it
    """
    found = _kept(folder, progress)
    if found is None:
        arrays, facts = _make(spec, dataset, instruments, progress, cuts)
        kept.save(folder.path, folder.run, arrays, facts)
        found = kept.load(folder.path, folder.run)
        assert found is not None
    arrays, facts = found
    if facts.get("calibration"):
        progress.note("calibration", facts["calibration"])
    directions = _directions(arrays, facts, instruments.vectors)
    instruments.projector = with_directions(instruments.projector, directions)
    drawn = tuple(facts.get("drawn", (0, 0)))
    return ScoringContext(
        directions, BaselineEstimator.from_kept(arrays, facts), references, spec.refine, (drawn[0], drawn[1])
    )


def _kept(folder: RunFolder, progress: Progress) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]] | None:
    """Those on the disk. Damaged ones are made anew as long as no shard is on record that was scored by them."""
    try:
        return kept.load(folder.path, folder.run)
    except StoreError as error:
        if folder.published or folder.damaged:
            raise
        progress.note("warning", {"message": f"{error.message}: no shard was scored by it yet, so it is made anew"})
        return None


def with_directions(projector: Measuring, directions: Directions) -> Measuring:
    """The same projector, which also measures the control and feature directions."""
    return projector.with_controls(directions.vectors, directions.layers)


def _make(
    spec: ScanSpec, dataset: Dataset, instruments: Instruments, progress: Progress, cuts: Mapping[str, Threshold]
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    sets, facts = _control_sets(spec, dataset, instruments)
    arrays: dict[str, npt.NDArray[Any]] = {f"random.{key}": rows for key, rows in sets.items()}
    facts |= {"screened": sorted(set(instruments.vectors.layers)), "components": 0}
    if instruments.baseline == "calibrated":
        more, told = _calibrate(spec, dataset, instruments, arrays, facts, progress, cuts)
        arrays |= more
        facts |= told
    return arrays, facts


def _directions(arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any], vectors: VectorSet) -> Directions:
    """Layer 0 a trait, the random directions, then the features: traits at other layers, principal components."""
    d = vectors.vectors[0].d_model
    zero = [v.unit(0) if 0 in v.hs_index else np.zeros(d, dtype=np.float32) for v in vectors.vectors]
    columns = [(row, 0) for row in zero]
    sets = tuple(ControlSet(**s) for s in facts["sets"])
    for s in sets:
        columns += [(row, s.layer) for row in arrays[f"random.{s.key}"]]
    if facts["components"]:
        for vector, layer in zip(vectors.vectors, vectors.layers, strict=True):
            columns += [(vector.unit(lower), lower) for lower in _lower(layer) if lower in vector.hs_index]
        for layer in facts["screened"]:
            columns += [(row, layer) for row in arrays[f"components.{layer}"]]
    return Directions(
        np.stack([row for row, _ in columns]).astype(np.float32),
        tuple(layer for _, layer in columns),
        len(vectors.vectors),
        sets,
        tuple(facts["set_of"][v.trait] for v in vectors.vectors),
        tuple(0 in v.hs_index for v in vectors.vectors),
    )


def _control_sets(
    spec: ScanSpec, dataset: Dataset, instruments: Instruments
) -> tuple[dict[str, Float32], dict[str, Any]]:
    """(key -> control directions; "sets", "drawn" and, trait -> key, "set_of"): those that the reference was measured
    along, for the traits that have them; for the others directions of the first rows' activations, a set a layer."""
    found: dict[str, Float32] = {}
    sets: dict[str, dict[str, Any]] = {}
    set_of: dict[str, str] = {}
    lacking: dict[int, list[str]] = {}
    for trait, card in instruments.cards.items():
        if card["directions"] is None:
            lacking.setdefault(card["layer"], []).append(trait)
            continue
        key = controls.key(card["directions"])
        found[key] = card["directions"]
        sets[key] = {"key": key, "layer": card["layer"], "source": card["reference"]["controls"]["source"]}
        set_of[trait] = key
    states, drawn = _answer_states(dataset, instruments) if lacking else ({}, (0, 0))
    for layer in sorted(lacking):
        rows = controls.directions(states[layer], seed=spec.seed + layer, without=_traits_at(instruments, layer))
        key = controls.key(rows)
        found[key] = rows
        sets[key] = {"key": key, "layer": layer, "source": "run"}
        set_of |= dict.fromkeys(lacking[layer], key)
    return found, {"sets": list(sets.values()), "set_of": set_of, "drawn": drawn}


def _traits_at(instruments: Instruments, layer: int) -> Float32:
    """(k, d_model): every trait's direction at a layer, of those whose vectors have it."""
    rows = [v.unit(layer) for v in instruments.vectors.vectors if layer in v.hs_index]
    return np.stack(rows)


def _lower(layer: int) -> list[int]:
    return sorted({layer // 4, layer // 2, 3 * layer // 4} - {layer})


def _answer_states(dataset: Dataset, instruments: Instruments) -> tuple[dict[int, Float32], tuple[int, int]]:
    """(layer -> (n, d_model) mean hidden states of the first rows' answers, `ScoringContext.drawn`). Without baseline
    responses the first shard runs the same sequences again: in batches of their own, whose states are kept for it."""
    window = next(dataset.windows(STATES))
    shard = read_window(window, dataset, instruments.renderer)
    sequences = [s for _, rendered in shard.samples for s in rendered.sequences][:STATES]
    layers = sorted({0, *instruments.vectors.layers})  # those that are measured then
    again = instruments.kind not in ("generate", "calibrated")
    made = instruments.projector.states([item_of(s) for s in sequences], layers, keep=again)
    means = [_answer_mean(f, s) for f, s in zip(made, sequences, strict=True) if not isinstance(f, str)]
    good = [m for m in means if np.isfinite(m).all()]
    none = np.zeros((0, instruments.model.d_model), dtype=np.float32)
    states = {n: np.stack([m[i] for m in good]) if good else none for i, n in enumerate(layers)}
    return states, (STATES, window.end_row) if again else (0, 0)


def _answer_mean(means: Float32, sequence: TokenSequence) -> Float32:
    """(layers, d_model) over all tokens of a sequence's answers, of means over each of its segments."""
    lengths = [len(turn.tokens) for turn in sequence.turns]
    mean: Float32 = np.average(means[: len(lengths)], axis=0, weights=lengths).astype(np.float32)
    return mean


def _asks(window: Any, dataset: Dataset, instruments: Instruments) -> Iterator[_Ask]:
    for sample, rendered in read_window(window, dataset, instruments.renderer).samples:
        for sequence in rendered.sequences:
            yield from (_Ask(sequence, t, sample.place.file) for t in range(len(sequence.turns)))


def _sample(spec: ScanSpec, dataset: Dataset, instruments: Instruments) -> tuple[dict[int, _Ask], int]:
    """(hash -> a distinct prompt that is to be answered, how many distinct prompts there are).

    Seeded, and stratified by file and by the prompt's length (a power of two).
    """
    hashes: list[npt.NDArray[np.uint64]] = []
    strata: list[npt.NDArray[np.int64]] = []
    windows: list[int] = []
    files = {str(f.path): i for i, f in enumerate(dataset.files)}
    for window in dataset.windows(_ROWS):
        asks = list(_asks(window, dataset, instruments))
        hashes.append(prompt_hashes([a.prompt for a in asks]))
        strata.append(np.array([files.get(a.file, 0) * 64 + len(a.prompt).bit_length() for a in asks], dtype=np.int64))
        windows += [window.number] * len(asks)
    every, first = np.unique(np.concatenate(hashes), return_index=True)
    chosen = calibrate.sample(every, np.concatenate(strata)[first], spec.calibrate_on, spec.seed)
    wanted = set(every[chosen].tolist())
    where = {windows[i] for i in first[chosen]}
    found: dict[int, _Ask] = {}
    for window in dataset.windows(_ROWS, skip=set(windows) - where):
        asks = list(_asks(window, dataset, instruments))
        for ask, value in zip(asks, prompt_hashes([a.prompt for a in asks]).tolist(), strict=True):
            if value in wanted:
                found.setdefault(value, ask)
    return found, len(every)


def _calibrate(
    spec: ScanSpec,
    dataset: Dataset,
    instruments: Instruments,
    arrays: Mapping[str, npt.NDArray[Any]],
    facts: Mapping[str, Any],
    progress: Progress,
    cuts: Mapping[str, Threshold],
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Answer a sample of the prompts and fit their baselines on what the pass sees of a prompt (METHOD section 2)."""
    asks, distinct = _sample(spec, dataset, instruments)
    progress.note("calibrating", {"answers": len(asks), "prompts": distinct})
    components = _components(asks.values(), instruments)
    more: dict[str, npt.NDArray[Any]] = {f"components.{layer}": rows for layer, rows in components.items()}
    told = {**facts, "components": COMPONENTS}
    directions = _directions({**arrays, **more}, told, instruments.vectors)
    projector = with_directions(instruments.projector, directions)
    assert instruments.answers is not None
    hashes = sorted(asks)
    own = instruments.answers.baseline_responses([asks[h].prompt for h in hashes])
    kept_hashes, items = [], []
    for value, answer in zip(hashes, own, strict=True):
        # one that never left its thought has no answer
        if isinstance(answer, BaselineResponse) and answer.said < len(answer.ids):
            kept_hashes.append(value)
            items.append(_item(asks[value], answer))
    k, c = len(instruments.traits), directions.controls
    values, last, targets, used = [], [], [], []
    for value, item, got in zip(kept_hashes, items, projector.measure(items), strict=True):
        if isinstance(got, str) or not (np.isfinite(got.tokens).all() and np.isfinite(got.means).all()):
            continue
        n = len(item.positions) - 1
        thinking = item.branches[0].thought[1] - item.branches[0].thought[0]
        values.append(got.tokens[:n].mean(0, dtype=np.float64))
        last.append(np.concatenate([got.tokens[n], got.means[1]]))
        said = got.tokens[n + 1 + thinking :]
        targets.append(np.concatenate([said.mean(0, dtype=np.float64), got.means[-1][:c]]))
        used.append(value)
    if len(used) < 20:
        thinking = sum(isinstance(a, BaselineResponse) and a.unfinished for a in own)
        raise InputError(
            f"the model answered only {len(used)} of {len(asks)} prompts: too few to calibrate on"
            + (f"; {thinking} of its answers were still thinking at --max-new-tokens" if thinking else ""),
            ("give --max-new-tokens more, or " if thinking else "use --baseline generate, or ")
            + "use --baseline last-prompt",
        )
    sources = sorted({asks[h].file for h in used})
    source = np.array([sources.index(asks[h].file) for h in used], dtype=np.int64)
    lengths = np.array([len(asks[h].prompt) for h in used], dtype=np.int64)
    answered = np.array(used, dtype=np.uint64)
    seen = np.asarray(last, dtype=np.float32)
    columns = np.concatenate([seen[:, : k + c], seen[:, k + c :]], axis=1)
    made = calibrate.features(columns, lengths, source, len(sources))
    exact_baseline = np.asarray(targets, dtype=np.float32)
    model = calibrate.fit(made, exact_baseline, seed=spec.seed)
    exact = np.asarray(values, dtype=np.float32) - exact_baseline[:, :k]
    guesses = np.asarray(values) - model.out_of_fold[:, :k]
    quality: dict[str, Any] = {}
    limits, away = {}, {}
    for j, trait in enumerate(instruments.traits):
        quality[trait] = {
            "r2": round(float(model.r2[j]), 4),
            "rank_correlation": round(spearman(guesses[:, j], exact[:, j]), 4),
            "last_prompt_rank_correlation": round(spearman(np.asarray(values)[:, j] - seen[:, j], exact[:, j]), 4),
        }
        limit = cuts.get(trait) or threshold(exact[:, j], None)
        if limit.value is not None:
            limits[trait] = float(limit.value)
        if limit.away is not None:
            away[trait] = float(limit.away)
    above = [(exact[:, j] > limits.get(trait, np.inf)).sum() for j, trait in enumerate(instruments.traits)]
    tails = calibrate.tail_factors(exact, guesses, model.predict(made)[1][:, :k], np.array(above))
    for trait, factor in zip(instruments.traits, tails.tolist(), strict=True):
        quality[trait]["tail_factor"] = round(factor, 4)
    model = model.widened(np.concatenate([tails, np.ones(c)]))
    calibration = {"answers": len(used), "prompts": distinct, "traits": quality}
    fitted = {f"fit.{name}": a for name, a in model.to_arrays().items()}
    more |= {**fitted, "answered": answered, "out_of_fold": model.out_of_fold.astype(np.float32)}
    told = {"components": COMPONENTS, "sources": sources, "cuts": limits, "cuts_away": away}
    return more, {**told, "calibration": calibration}


def _item(ask: _Ask, own: BaselineResponse) -> Item:
    """The turn's baseline response, its last prompt token, and the baseline response as a branch."""
    turn = ask.sequence.turns[ask.number]
    tokens, at = turn.tokens, turn.prompt_end
    positions = np.concatenate([tokens, np.array([at - 1], dtype=np.int32)])
    lengths = np.array([len(tokens), 1], dtype=np.int32)
    branch = own.branch(at)
    return Item(ask.sequence.ids[: int(tokens[-1]) + 1], positions, lengths, (branch,) if branch else ())


def _components(asks: Any, instruments: Instruments) -> dict[int, Float32]:
    """Screened layer -> (COMPONENTS, d_model) principal components of the last prompt token's states."""
    layers = sorted(set(instruments.vectors.layers))
    one = np.array([1], dtype=np.int32)
    prompts = [ask.prompt for ask in asks]
    items = [Item(p, np.array([len(p) - 1], dtype=np.int32), one) for p in prompts]
    found = [
        f[0] for f in instruments.projector.states(items, layers) if not isinstance(f, str) and np.isfinite(f).all()
    ]
    states = np.stack(found).astype(np.float64)
    out = {}
    for i, layer in enumerate(layers):
        centred = states[:, i] - states[:, i].mean(0)
        values, vectors = np.linalg.eigh(centred.T @ centred)
        rows = vectors[:, np.argsort(-values, kind="stable")[:COMPONENTS]].T
        rows *= np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(1)])[:, None]  # one sign, whatever the library
        padded = np.zeros((COMPONENTS, states.shape[2]), dtype=np.float32)
        padded[: len(rows)] = rows
        out[layer] = padded
    return out
