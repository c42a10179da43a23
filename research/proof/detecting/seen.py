"""What baselines of a set are made from: a run's exact scores, states of its prompts, and sampled answers to them.

Kept under the subject's folder, so that estimates can be tried on it in seconds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from research.proof.detecting.asked import AskedSet
from research.proof.detecting.draws import Ids, sampled
from research.proof.subject import Subject

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
LONGEST: Final = 96  # tokens of an answer
TRUTH: Final = (100, 8)  # prompts whose answers stand for the truth, and how many of each
MANY: Final = (200, 8)  # rows beside the planted ones whose prompts are answered many times
CALIBRATIONS: Final = 2  # draws of the prompts that are answered
SHARED: Final = ((32, 4), (64, 2), (256, 1))  # of the first so many prompts of a draw, so many answers at least
_ROWS: Final = 32  # sequences at once


@dataclass(frozen=True)
class Seen:
    """A set of n rows with m distinct prompts, along k traits, on unit directions at their layers.

    projection  (n, k) mean over the row's answer, and exact (n, k) the same less the greedy response's: a run's
    prompt      (n,) number of the row's prompt
    last, mean  (m, layers + 1, d_model) states of the prompt's last token, and their mean over the prompt
    tokens      (m,) of the prompt
    order       (calibrations, m) prompts in the order in which a draw answers them
    few         (calibrations, 256, 4, k) sampled answers to the first of them, NaN where fewer were made
    true_of     (t,) prompts with `truth`  (t, draws, k): sampled answers that no estimate has seen
    many_of     (rows,) rows whose prompts have `many`  (rows, draws, k): further sampled answers
    """

    projection: Floats
    exact: Floats
    prompt: Ints
    last: npt.NDArray[np.float32]
    mean: npt.NDArray[np.float32]
    tokens: Ints
    order: Ints
    few: Floats
    true_of: Ints
    truth: Floats
    many_of: Ints
    many: Floats


def seen(subject: Subject, name: str, made: AskedSet, sampling: bool = False) -> Seen:
    """Look, or take what is kept. `sampling`: sample answers, else there are none."""
    kept = subject.work / "seen" / f"{name}.npz"
    if kept.exists():
        with np.load(kept) as arrays:
            return Seen(**dict(arrays))
    looked = _look(subject, name, made, sampling)
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.savez(kept.with_suffix(".part.npz"), **asdict(looked))
    kept.with_suffix(".part.npz").rename(kept)
    return looked


def _look(subject: Subject, name: str, made: AskedSet, sampling: bool) -> Seen:
    shop, axes = subject.shop, subject.axes
    of: dict[str, int] = {}
    prompt = np.array([of.setdefault(json.dumps(row["messages"][:-1]), len(of)) for row in made.rows])
    prompts = [shop.sampler.prompt_of(json.loads(text)) for text in of]
    run = subject.scan(f"asked-{name}", made.rows, train_on="last").scores().sort("row").collect()
    last, mean = _states(subject, prompts)
    rng = np.random.default_rng(0)
    order = np.stack([rng.permutation(len(prompts)) for _ in range(CALIBRATIONS)])
    true_of = rng.permutation(len(prompts))[: TRUTH[0] if sampling else 0]
    planted = np.array([label is not None for label in made.planted])
    many_of = np.concatenate([np.flatnonzero(planted), rng.permutation(np.flatnonzero(~planted))[: MANY[0]]])
    many_of = np.sort(many_of if sampling else many_of[:0])

    def answers(which: Ints, draws: int, seed: int) -> Floats:
        return sampled(shop, [prompts[i] for i in which], draws, axes, longest=LONGEST, seed=seed)

    few = np.full((CALIBRATIONS, SHARED[-1][0], SHARED[0][1], len(axes)), np.nan)
    for number in range(CALIBRATIONS if sampling else 0):
        begin = 0
        for end, draws in SHARED:
            few[number, begin:end, :draws] = answers(order[number, begin:end], draws, 10 + number)
            begin = end
    return Seen(
        run.select(f"{trait}_projection" for trait in axes).to_numpy().astype(np.float64),
        run.select(list(axes)).to_numpy().astype(np.float64),
        prompt,
        last,
        mean,
        np.array([len(p) for p in prompts]),
        order,
        few,
        true_of,
        answers(true_of, TRUTH[1], 1),
        many_of,
        answers(prompt[many_of], MANY[1], 2),
    )


@torch.inference_mode()
def _states(subject: Subject, prompts: list[Ids]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(last, mean) of `Seen`."""
    shop = subject.shop
    causal = shop.model.causal
    assert causal is not None
    last, mean = np.zeros((2, len(prompts), shop.model.n_layers + 1, shop.model.d_model), np.float32)
    by_length = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for begin in range(0, len(prompts), _ROWS):
        batch = by_length[begin : begin + _ROWS]
        padded = np.zeros((len(batch), max(len(prompts[i]) for i in batch)), dtype=np.int64)
        for row, i in enumerate(batch):
            padded[row, : len(prompts[i])] = prompts[i]  # padding stands behind: no token sees it
        states = causal(torch.from_numpy(padded), output_hidden_states=True, logits_to_keep=1).hidden_states
        for row, i in enumerate(batch):
            last[i] = torch.stack([s[row, len(prompts[i]) - 1] for s in states]).numpy()
            mean[i] = torch.stack([s[row, : len(prompts[i])].mean(0) for s in states]).numpy()
    return last, mean
