"""Estimates of baselines: ridge regression from the states of a prompt's last token to the exact baseline (METHOD
section 2; the regression itself is in `calibration.py`). Made once, before the first shard, and kept in the run folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from screen.baselines.estimates import calibration
from screen.baselines.estimates.estimator import (
    Arrays,
    CalibrationFacts,
    FitQuality,
    KeptFacts,
    prompt_hashes,
)
from screen.baselines.kind import Fitted, Float32, Preparing, Prompt
from screen.baselines.response import BaselineResponse
from screen.errors import InputError
from screen.model.forward.items import Item
from screen.stats import spearman

COMPONENTS = 32  # principal components of the last prompt token, a screened layer
LEAST = 20  # answers below which nothing is fitted
_NO_SPREAD = 1e-10  # of the largest variance: what rounding leaves


def fitted(run: Preparing) -> Fitted:
    """Answer a sample of the prompts and fit their baselines on what the pass sees of a prompt."""
    prompts, distinct = _sample(run)
    run.note("calibrating", {"answers": len(prompts), "prompts": distinct})
    components = _components(list(prompts.values()), run)
    arrays: Arrays = {f"components.{layer}": rows for layer, rows in components.items()}
    seen, responses = _measured(prompts, run, arrays)
    if len(seen.used) < LEAST:
        raise _too_few(len(seen.used), len(prompts), responses)
    return _fitted(run, seen, prompts, distinct, arrays)


class _Seen:
    """Of the prompts that were answered, in the order of their hashes: what the pass saw, and what is predicted.

    used     their hashes
    values   (k,) projections of the answers that stand in the data
    last     (k + p,) projections of the prompt's last token: traits, then control and feature directions
    targets  (k + controls,) exact baselines
    """

    def __init__(self) -> None:
        self.used: list[int] = []
        self.values: list[npt.NDArray[np.float64]] = []
        self.last: list[Float32] = []
        self.targets: list[npt.NDArray[np.float64]] = []


def _sample(run: Preparing) -> tuple[dict[int, Prompt], int]:
    """(hash -> a distinct prompt that is to be answered, how many distinct prompts there are).

    Seeded, and stratified by file and by the prompt's length (a power of two).
    """
    hashes: list[npt.NDArray[np.uint64]] = []
    strata: list[npt.NDArray[np.int64]] = []
    windows: list[int] = []
    files = {name: i for i, name in enumerate(run.files)}
    for number, prompts in run.prompts():
        hashes.append(prompt_hashes([p.ids for p in prompts]))
        strata.append(np.array([files.get(p.file, 0) * 64 + len(p.ids).bit_length() for p in prompts], dtype=np.int64))
        windows += [number] * len(prompts)
    every, first = np.unique(np.concatenate(hashes), return_index=True)
    chosen = calibration.sample(every, np.concatenate(strata)[first], run.calibrate_on, run.seed)
    wanted = set(every[chosen].tolist())
    where = {windows[i] for i in first[chosen]}
    found: dict[int, Prompt] = {}
    for _, prompts in run.prompts(skip=set(windows) - where):
        for prompt, value in zip(prompts, prompt_hashes([p.ids for p in prompts]).tolist(), strict=True):
            if value in wanted:
                found.setdefault(value, prompt)
    return found, len(every)


def _components(prompts: Sequence[Prompt], run: Preparing) -> dict[int, Float32]:
    """Screened layer -> (COMPONENTS, d_model) principal components of the last prompt token's states."""
    layers = sorted(set(run.layers))
    one = np.array([1], dtype=np.int32)
    items = [Item(p.ids, np.array([len(p.ids) - 1], dtype=np.int32), one) for p in prompts]
    states = [s[0] for s in run.states(items, layers) if not isinstance(s, str) and np.isfinite(s).all()]
    stacked = np.stack(states).astype(np.float64)
    out = {}
    for i, layer in enumerate(layers):
        centred = stacked[:, i] - stacked[:, i].mean(0)
        values, vectors = np.linalg.eigh(centred.T @ centred)
        largest = np.argsort(-values, kind="stable")[:COMPONENTS]
        # where prompts are few: along which they do not differ nothing can be learnt, and others may lie far out
        rows = vectors[:, largest[values[largest] > _NO_SPREAD * values.max()]].T
        rows *= np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(1)])[:, None]  # one sign, whatever the library
        padded = np.zeros((COMPONENTS, stacked.shape[2]), dtype=np.float32)
        padded[: len(rows)] = rows
        out[layer] = padded
    return out


def _measured(
    prompts: Mapping[int, Prompt], run: Preparing, arrays: Arrays
) -> tuple[_Seen, Sequence[BaselineResponse | str | None]]:
    """What the pass sees of the prompts that are answered, and all that came back as answers."""
    hashes = sorted(prompts)
    responses = run.respond([prompts[h].ids for h in hashes])
    used, items = [], []
    for value, response in zip(hashes, responses, strict=True):
        # one that never left its thought has no answer
        if isinstance(response, BaselineResponse) and response.said < len(response.ids):
            used.append(value)
            items.append(prompts[value].item(response))
    seen = _Seen()
    measured, controls = run.measure(items, arrays, {"components": COMPONENTS})
    for value, item, got in zip(used, items, measured, strict=True):
        if isinstance(got, str) or not (np.isfinite(got.tokens).all() and np.isfinite(got.means).all()):
            continue
        n = len(item.positions) - 1
        thinking = item.branches[0].thought[1] - item.branches[0].thought[0]
        seen.used.append(value)
        seen.values.append(got.tokens[:n].mean(0, dtype=np.float64))
        seen.last.append(np.concatenate([got.tokens[n], got.means[1]]))
        said = got.tokens[n + 1 + thinking :]
        seen.targets.append(np.concatenate([said.mean(0, dtype=np.float64), got.means[-1][:controls]]))
    return seen, responses


def _fitted(
    run: Preparing,
    seen: _Seen,
    prompts: Mapping[int, Prompt],
    distinct: int,
    arrays: Arrays,
) -> Fitted:
    k, used = len(run.traits), seen.used
    sources = sorted({prompts[h].file for h in used})
    source = np.array([sources.index(prompts[h].file) for h in used], dtype=np.int64)
    lengths = np.array([len(prompts[h].ids) for h in used], dtype=np.int64)
    last, values = np.asarray(seen.last, dtype=np.float32), np.asarray(seen.values)
    features = calibration.features(last, lengths, source, len(sources))
    targets = np.asarray(seen.targets, dtype=np.float32)
    model = calibration.fit(features, targets, seed=run.seed)
    exact = np.asarray(seen.values, dtype=np.float32) - targets[:, :k]
    guesses = values - model.out_of_fold[:, :k]
    quality: dict[str, FitQuality] = {}
    limits, away = {}, {}
    for j, trait in enumerate(run.traits):
        quality[trait] = {
            "r2": round(float(model.r2[j]), 4),
            "rank_correlation": round(spearman(guesses[:, j], exact[:, j]), 4),
            "last_prompt_rank_correlation": round(spearman(values[:, j] - last[:, j], exact[:, j]), 4),
        }
        above, below = run.limits(trait, exact[:, j])
        if above is not None:
            limits[trait] = float(above)
        if below is not None:
            away[trait] = float(below)
    beyond = [(exact[:, j] > limits.get(trait, np.inf)).sum() for j, trait in enumerate(run.traits)]
    tails = calibration.tail_factors(exact, guesses, model.predict(features)[1][:, :k], np.array(beyond))
    for trait, factor in zip(run.traits, tails.tolist(), strict=True):
        quality[trait]["tail_factor"] = round(factor, 4)
    model = model.widened(np.concatenate([tails, np.ones(targets.shape[1] - k)]))
    fit = {f"fit.{name}": a for name, a in model.to_arrays().items()}
    kept: Arrays = {
        "answered": np.array(used, dtype=np.uint64),
        "out_of_fold": model.out_of_fold.astype(np.float32),
    }
    told: CalibrationFacts = {"answers": len(used), "prompts": distinct, "traits": quality}
    facts: KeptFacts = {
        "components": COMPONENTS,
        "sources": sources,
        "cuts": limits,
        "cuts_away": away,
        "calibration": told,
    }
    return Fitted({**arrays, **fit, **kept}, facts)


def _too_few(used: int, asked: int, responses: Sequence[BaselineResponse | str | None]) -> InputError:
    thinking = sum(isinstance(r, BaselineResponse) and r.unfinished for r in responses)
    return InputError(
        f"the model answered only {used} of {asked} prompts: too few to calibrate on"
        + (f"; {thinking} of its answers were still thinking at --max-new-tokens" if thinking else ""),
        ("give --max-new-tokens more, or " if thinking else "use --baseline generate, or ")
        + "use --baseline last-prompt",
    )
