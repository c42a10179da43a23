"""A second, independent detector: log-probability lift. It reads no hidden state and no baseline response.

    lift = [log p(y | positive system prompt, x) - log p(y | negative system prompt, x)] / tokens of y

in natural logarithms a token, with the contrastive system prompts that the vector was made with (its card, METHOD 1.1).
A whole second pass over the rows, so it is a verb of its own.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from screen.analysis.rescore import open_whole
from screen.data.sample import Sample, Skip, Turn
from screen.errors import UsageError, VectorError
from screen.model.load import BaseModel
from screen.progress import Progress
from screen.rendering.rendered import Rendered
from screen.stats import spearman
from screen.store import liftfile
from screen.store.scan import Scan
from screen.store.unfinished import unfinished

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROWS = 64
Prompts = Sequence[tuple[str, str]]


def run_lift(
    scan: Scan,
    *,
    traits: Sequence[str] = (),
    pairs: int = 1,
    limit: int | None = None,
    progress: Progress | None = None,
    step: Callable[[int, int], None] = lambda _done, _of: None,
) -> dict[str, object]:
    """Compute the lift of a finished run's samples, keep it as RUN/lift.parquet, and compare it with the projections.

    traits  of the run; empty: all   pairs  how many pairs of system prompts are averaged   limit  the first rows only

    Returns rows, without (samples that have no lift: the template takes no system prompt, or no room), pairs, and by
    trait: agreement (Spearman with the run's score), overlap (share of the top twentieth that both have), and the rows
    on which the two disagree most. Raises UsageError for an unfinished run, VectorError for a card without prompts.
    """
    if not scan.folder.finished:
        raise UsageError(*unfinished(scan.folder))
    chosen = list(traits) or list(scan.traits)
    for trait in chosen:
        if trait not in scan.traits:
            raise UsageError(f"there is no trait {trait!a} in the run", f"its traits are {', '.join(scan.traits)}")
    again = open_whole(scan, progress)
    cards = {v.trait: v.card for v in again.instruments.vectors.vectors}
    prompts = {trait: _prompts(trait, cards[trait].get("prompts"), pairs) for trait in chosen}
    stored = _stored(scan, chosen)
    numbers = sorted({row for row, _ in stored})[:limit]
    rows: list[dict[str, Any]] = []
    for start in range(0, len(numbers), _ROWS):
        samples = again.shard(numbers[start : start + _ROWS]).samples
        found = {
            trait: lifts(again.instruments.model, again.instruments.renderer.render, samples, p)
            for trait, p in prompts.items()
        }
        for i, (sample, _) in enumerate(samples):
            rows.append({"row": sample.row, "variant": sample.variant, **{f"{t}_lift": found[t][i] for t in chosen}})
        step(min(start + _ROWS, len(numbers)), len(numbers))
    file = liftfile.keep(scan.folder, _table(rows, chosen))
    agreement = {trait: _compare(rows, stored, trait) for trait in chosen}
    without = sum(any(r[f"{t}_lift"] is None for t in chosen) for r in rows)
    return {"rows": len(rows), "without": without, "pairs": pairs, "file": str(file), "traits": agreement}


def lifts(
    model: BaseModel,
    render: Callable[[Sequence[Sample]], Sequence[Rendered | Skip]],
    samples: Sequence[tuple[Sample, Rendered]],
    prompts: Prompts,
) -> list[float | None]:
    """Nats a token a sample, the mean over the prompt pairs; None where a system prompt cannot be put before it."""
    totals: list[list[float]] = [[] for _ in samples]
    lost: set[int] = set()
    for positive, negative in prompts:
        both = [[_under(s, text) for s, _ in samples] for text in (positive, negative)]
        for i, (high, low) in enumerate(zip(render(both[0]), render(both[1]), strict=True)):
            a, b = (None if isinstance(r, Skip) else log_probability(model, r) for r in (high, low))
            if a is None or b is None:
                lost.add(i)
            else:
                totals[i].append(a - b)
    return [None if i in lost or not t else float(np.mean(t)) for i, t in enumerate(totals)]


@torch.inference_mode()
def log_probability(model: BaseModel, rendered: Rendered) -> float | None:
    """Mean log p of a token over the scored tokens, given all that stands before each. float32 log-softmax."""
    causal: PreTrainedModel = model.causal
    total, count = 0.0, 0
    short = "logits_to_keep" in inspect.signature(causal.forward).parameters
    for sequence in rendered.sequences:
        tokens = np.concatenate([t.tokens for t in sequence.turns])
        ids = torch.from_numpy(sequence.ids[: int(tokens[-1]) + 1].astype(np.int64))[None].to(model.device)
        first = int(tokens[0]) - 1
        options = {"logits_to_keep": ids.shape[1] - first} if short else {}
        logits = causal(input_ids=ids, use_cache=False, **options).logits[0]
        logits = logits if short else logits[first:]
        at = torch.from_numpy(tokens.astype(np.int64)).to(model.device)
        picked = logits[at - 1 - first].float().log_softmax(-1).gather(1, ids[0, at][:, None])
        total += float(picked.double().sum())
        count += len(tokens)
    return total / count if count else None


def _under(sample: Sample, system: str) -> Sample:
    """The same conversation under a system prompt, put before one that is there."""
    turns = sample.turns
    if turns and turns[0].role == "system":
        first = turns[0]._replace(content=f"{system}\n\n{turns[0].content}")
        return dataclasses.replace(sample, turns=(first, *turns[1:]))
    return dataclasses.replace(sample, turns=(Turn("system", system), *turns))


def _prompts(trait: str, prompts: Sequence[Sequence[str]] | None, pairs: int) -> Prompts:
    usable = [(str(p[0]), str(p[1])) for p in prompts or () if len(p) == 2]
    if not usable:
        raise VectorError(
            f"the card of {trait} has no system prompts, which the lift needs",
            "build the vector with `screen vectors build`, or leave the trait out with --traits",
        )
    return usable[:pairs]


def _stored(scan: Scan, traits: Sequence[str]) -> dict[tuple[int, str | None], dict[str, float]]:
    """(row, variant) -> trait -> score of the run, an estimate where it has estimates."""
    columns = {t: scan.folder.baseline.column(t) for t in traits}
    scores: dict[tuple[int, str | None], dict[str, float]] = {}
    for file in scan.folder.tables("scores"):
        table = pq.read_table(file, columns=["row", "variant", *columns.values()])
        keys = zip(table["row"].to_pylist(), table["variant"].to_pylist(), strict=True)
        values = {t: table[c].to_numpy(zero_copy_only=False) for t, c in columns.items()}
        scores |= {key: {t: float(v[i]) for t, v in values.items()} for i, key in enumerate(keys)}
    return scores


def _compare(
    rows: Sequence[dict[str, Any]], stored: dict[tuple[int, str | None], dict[str, float]], trait: str
) -> dict[str, Any]:
    both = [(r["row"], r[f"{trait}_lift"], stored[r["row"], r["variant"]][trait]) for r in rows]
    both = [b for b in both if b[1] is not None and not np.isnan(b[2])]
    if len(both) < 3:
        return {"n": len(both), "agreement": None, "overlap": None, "only_lift": [], "only_projection": []}
    lift, score = (np.array([b[i] for b in both]) for i in (1, 2))
    numbers = [b[0] for b in both]
    n = max(1, len(both) // 20)
    top_lift, top_score = (set(np.argsort(-v, kind="stable")[:n].tolist()) for v in (lift, score))
    agreement = spearman(lift, score)
    gap = _places(lift) - _places(score)

    def least_alike(wanted: set[int], sign: int) -> list[int]:
        return [numbers[i] for i in sorted(wanted, key=lambda i: -sign * gap[i])[:5]]

    return {
        "n": len(both),
        "agreement": None if np.isnan(agreement) else agreement,
        "overlap": len(top_lift & top_score) / n,
        "only_lift": least_alike(top_lift - top_score, 1),
        "only_projection": least_alike(top_score - top_lift, -1),
    }


def _places(values: npt.NDArray[np.number]) -> npt.NDArray[np.intp]:
    return values.argsort(kind="stable").argsort(kind="stable")


def _table(rows: Sequence[dict[str, Any]], traits: Sequence[str]) -> pa.Table:
    schema = pa.schema([("row", pa.int64()), ("variant", pa.string()), *((f"{t}_lift", pa.float32()) for t in traits)])
    return pa.Table.from_pylist(list(rows), schema=schema)
