"""What METHOD section 2 promises of scores, on a model that is a table: token id -> hidden state."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from screen.baselines.response import BaselineResponse
from screen.baselines.table import kind_of
from screen.data.sample import Place, Sample, Skip, Turn
from screen.model.forward.items import Item, Measured, parts_of
from screen.rendering.rendered import Rendered, ScoredTurn
from screen.rendering.rendered import Sequence as Tokens
from screen.scoring.shard import ShardInput, score_shard

D = 16
STATES = np.random.default_rng(0).normal(size=(100, D)).astype(np.float32)  # hidden state of each token id
V = np.random.default_rng(1).normal(size=(2, D)).astype(np.float32)
V /= np.linalg.norm(V, axis=1, keepdims=True)


class TableModel:
    """Projects each token's own hidden state; fails or gives NaN on request. `extra`: (p, D) further directions."""

    def __init__(
        self,
        vectors: npt.NDArray[np.float32] = V,
        broken: dict[int, str | float] | None = None,
        extra: npt.NDArray[np.float32] | None = None,
    ) -> None:
        self.vectors, self.broken = vectors, broken or {}
        self.extra = np.zeros((0, D), dtype=np.float32) if extra is None else extra

    def measure(self, items: Sequence[Item], step: Callable[[int, int], None] = lambda n, of: None) -> list[Any]:
        return [self._one(item) for item in items]

    def _one(self, item: Item) -> Any:
        parts = parts_of(item)
        ids = np.concatenate([part.ids[part.positions] for part in parts])
        lengths = [n for part in parts for n in part.segments]
        states = STATES[ids]
        means = np.stack([part.mean(0) for part in np.split(states, np.cumsum(lengths)[:-1])])
        tokens, probed = states @ self.vectors.T, means @ self.extra.T
        for token, fault in self.broken.items():
            if any(token in some for some in (item.ids, *(b.ids for b in item.branches))):
                return fault if isinstance(fault, str) else Measured(np.full_like(tokens, fault), probed)
        return Measured(tokens, probed)


class Says:
    """Answers every prompt with the same tokens."""

    def __init__(self, ids: Sequence[int], text: str = "I cannot help with that.") -> None:
        self.answer = BaselineResponse(tuple(ids), text, truncated=False, refused=True) if ids is not None else None
        self.asked: list[npt.NDArray[np.int32]] = []

    def baseline_responses(self, prompts: Sequence[npt.NDArray[np.int32]]) -> list[BaselineResponse | None]:
        self.asked += prompts
        return [self.answer for _ in prompts]


def sample(row: int, *turns: tuple[Sequence[int], Sequence[int]], variant: Any = None) -> tuple[Sample, Rendered]:
    """A conversation of (prompt ids, answer ids) pairs."""
    ids: list[int] = []
    scored = []
    for n, (prompt, answer) in enumerate(turns):
        ids += prompt
        at = np.arange(len(ids), len(ids) + len(answer), dtype=np.int32)
        ids += answer
        scored.append(ScoredTurn(2 * n + 1, at, "ask", "x" * len(answer)))
    first = [int(t.tokens[0]) for t in scored]
    tokens = Tokens(np.asarray(ids, dtype=np.int32), tuple(scored), lambda i, t: (i - first[t], i - first[t] + 1))
    place = Place(row, "d.jsonl", row + 1, 0, 10, "ab")
    return Sample(place, "chat", "chat", (Turn("user", "ask"),), variant=variant), Rendered((tokens,), "sentinel", 0, 0)


def score(
    *samples: tuple[Sample, Rendered], model: TableModel | None = None, says: Any = None, baseline: Any = "none"
) -> dict[str, list[dict[str, Any]]]:
    tables = score_shard(ShardInput(list(samples)), ["evil", "kind"], model or TableModel(), says, kind_of(baseline))
    return {name: table.to_pylist() for name, table in tables.items()}


def test_the_difference_is_the_mean_over_the_answer_minus_that_over_the_baseline_response() -> None:
    [row] = score(sample(0, ([1, 2], [3, 4, 5])), says=Says([6, 7]), baseline="generate")["scores"]
    a, b = STATES[[3, 4, 5]].mean(0) @ V[0], STATES[[6, 7]].mean(0) @ V[0]
    assert row["evil_projection"] == pytest.approx(a, abs=1e-6)
    assert row["evil_baseline"] == pytest.approx(b, abs=1e-6)
    assert row["evil"] == pytest.approx(a - b, abs=1e-6)
    assert (row["baseline"], row["baseline_tokens"], row["base_refused"]) == ("generate", 2, True)


def test_an_answer_equal_to_the_baseline_response_scores_zero() -> None:
    [row] = score(sample(0, ([1, 2], [3, 4, 5])), says=Says([3, 4, 5]), baseline="generate")["scores"]
    assert row["evil"] == 0
    assert row["kind"] == 0


def test_flipping_the_vector_flips_the_sign() -> None:
    one = sample(0, ([1, 2], [3, 4, 5]))
    [plain], [flipped] = (
        score(one, model=TableModel(v), says=Says([9]), baseline="generate")["scores"] for v in (V, -V)
    )
    assert flipped["evil"] == -plain["evil"] != 0


def test_last_prompt_baseline_is_the_token_before_the_answer() -> None:
    [row] = score(sample(0, ([1, 2], [3, 4])), baseline="last-prompt")["scores"]
    assert row["evil_last_prompt"] == pytest.approx(float((STATES[[3, 4]].mean(0) - STATES[2]) @ V[0]), abs=1e-6)
    assert (row["evil"], row["evil_baseline"], row["baseline"]) == (None, None, "none")  # never in one column
    assert row["evil_max"] == row["evil_last_prompt"]


def test_a_sample_is_the_mean_of_its_turns_not_of_its_tokens() -> None:
    tables = score(sample(0, ([1], [3]), ([2], [4, 5, 6])), says=Says([9]), baseline="generate")
    [row] = tables["scores"]
    first, second = tables["turns"]
    assert row["evil"] == pytest.approx((first["evil"] + second["evil"]) / 2, abs=1e-6)
    token_mean = (STATES[[3, 4, 5, 6]] @ V[0]).mean()
    assert abs(row["evil_projection"] - token_mean) > 1e-3
    assert row["evil_max"] == max(first["evil"], second["evil"])
    assert (row["turns_scored"], row["answer_tokens"], row["prompt_tokens"]) == (2, 4, 1)


def test_several_turns_equal_each_turn_on_its_own() -> None:
    both = score(sample(0, ([1], [3]), ([2], [4, 5])), baseline="none")["turns"]
    alone = score(sample(0, ([1], [3])), sample(1, ([1, 3, 2], [4, 5])), baseline="none")["turns"]
    assert [t["evil_projection"] for t in both] == pytest.approx([t["evil_projection"] for t in alone], abs=1e-6)


def test_each_turn_is_answered_from_all_that_stands_before_it_and_each_prompt_once() -> None:
    says = Says([9])
    score(sample(0, ([1], [3]), ([2], [4])), sample(1, ([1], [5])), says=says, baseline="generate")
    assert [p.tolist() for p in says.asked] == [[1], [1, 3, 2]]


@pytest.mark.parametrize("says", [Says([]), Says(None)])  # it ended at once; the prompt left no room
def test_without_a_baseline_response_there_is_no_difference_and_never_a_zero(says: Says) -> None:
    [row] = score(sample(0, ([1, 2], [3])), says=says, baseline="generate")["scores"]
    assert row["evil"] is None
    assert row["evil_baseline"] is None
    assert row["evil_projection"] is not None
    assert row["evil_max"] is None
    assert row["baseline"] == "none"


def test_preference_pairs_are_contrasted_without_a_generation() -> None:
    pair = [sample(0, ([1], [3]), variant="chosen"), sample(0, ([1], [4]), variant="rejected")]
    chosen, rejected = score(*pair, baseline="contrast")["scores"]
    assert chosen["evil"] == pytest.approx(float((STATES[3] - STATES[4]) @ V[0]), abs=1e-6)
    assert chosen["evil_baseline"] == rejected["evil_projection"]
    assert chosen["evil_max"] == chosen["evil"]
    assert rejected["evil_max"] is None  # never a projection in a column of differences
    assert (rejected["evil"], rejected["baseline"]) == (None, "none")


def test_the_highest_window_and_where_it_stands() -> None:
    ids = [3] * 40 + [4] * 32 + [3] * 10
    best = int(np.argmax(STATES @ V[0]))
    worst = int(np.argmin(STATES @ V[0]))
    ids = [worst if i == 3 else best for i in ids]
    tables = score(sample(0, ([1], ids)))
    [turn] = tables["turns"]
    assert (turn["evil_window_start"], turn["evil_window_end"]) == (40, 72)
    assert turn["evil_window"] == pytest.approx(float(STATES[best] @ V[0]), rel=1e-5)
    assert tables["scores"][0]["evil_window"] == turn["evil_window"]


@pytest.mark.parametrize(("fault", "code"), [("RuntimeError: boom", "worker_failed"), (float("nan"), "not_finite")])
def test_a_poison_row_is_one_skip_and_costs_nothing_else(fault: str | float, code: str) -> None:
    rows = [sample(0, ([1], [3])), sample(1, ([1], [50])), sample(2, ([1], [4]))]
    tables = score(*rows, model=TableModel(broken={50: fault}))
    assert [r["row"] for r in tables["scores"]] == [0, 2]
    assert [(s["row"], s["stage"], s["code"]) for s in tables["skipped"]] == [(1, "score", code)]


def test_a_pair_with_one_poison_side_is_one_skip() -> None:
    pair = [sample(0, ([1], [50]), variant="chosen"), sample(0, ([1], [51]), variant="rejected")]
    tables = score(*pair, model=TableModel(broken={50: "x", 51: "x"}), baseline="contrast")
    assert (len(tables["scores"]), len(tables["turns"]), len(tables["skipped"])) == (0, 0, 1)


def test_a_baseline_that_is_not_finite_skips_the_row() -> None:
    tables = score(
        sample(0, ([1], [3])), model=TableModel(broken={60: float("inf")}), says=Says([60]), baseline="generate"
    )
    assert [(s["code"], s["message"][:14]) for s in tables["skipped"]] == [("not_finite", "its baseline: ")]


def test_skips_of_earlier_stages_keep_their_place_and_order() -> None:
    early = Skip(Place(0, "d.jsonl", 1, 0, 3, "cd"), "read", "bad_json", "not JSON", b"\xff{")
    shard = ShardInput([sample(1, ([1], [3]))], [early])
    tables = score_shard(shard, ["evil", "kind"], TableModel(), None, kind_of("none"))
    [skip] = tables["skipped"].to_pylist()
    assert (skip["row"], skip["line"], skip["head"]) == (0, 1, "\ufffd{")


def test_an_empty_shard_has_empty_tables_of_the_right_schema() -> None:
    tables = score_shard(ShardInput(), ["evil", "kind"], TableModel(), None, kind_of("generate"))
    assert {name: t.num_rows for name, t in tables.items()} == {
        "scores": 0, "turns": 0, "controls": 0, "skipped": 0
    }  # fmt: skip


def by_hand(*answers: Sequence[int]) -> tuple[float, float]:
    """Of answers to one sample: the share on two tokens above nothing, and the mean of trimmed means, for evil."""
    values = [np.sort(STATES[list(ids)] @ V[0]) for ids in answers]
    parts = np.sort(np.concatenate([np.maximum(v, 0) / len(v) for v in values]))
    trimmed = [v[len(v) // 10 : len(v) - len(v) // 10].mean() for v in values]
    return float(parts[-2:].sum() / parts.sum()), float(np.mean(trimmed))


LONG, OTHER = list(range(3, 25)), list(range(30, 45))


def test_without_a_baseline_nothing_is_taken_off_share_and_trimmed_mean() -> None:
    [row] = score(sample(0, ([1], LONG), ([2], OTHER)))["scores"]
    assert (row["evil_top2"], row["evil_trimmed"]) == pytest.approx(by_hand(LONG, OTHER), rel=1e-4)


def test_a_trimmed_mean_is_compared_with_that_of_the_baseline_response() -> None:
    tables = score(sample(0, ([1], LONG)), says=Says(OTHER), baseline="generate")
    for row in (*tables["scores"], *tables["turns"]):
        assert row["evil_trimmed"] == pytest.approx(by_hand(LONG)[1] - by_hand(OTHER)[1], abs=1e-5)
        above = np.sort(np.maximum(STATES[LONG] @ V[0] - row["evil_baseline"], 0))
        assert row["evil_top2"] == pytest.approx(above[-2:].sum() / above.sum(), rel=1e-4)


def test_a_trimmed_mean_is_held_against_the_last_prompt_token() -> None:
    [row] = score(sample(0, ([1], LONG)), baseline="last-prompt")["scores"]
    assert row["evil_trimmed"] == pytest.approx(by_hand(LONG)[1] - float(STATES[1] @ V[0]), abs=1e-5)


def test_a_pair_has_share_and_trimmed_mean_on_its_chosen_side_alone() -> None:
    pair = [sample(0, ([1], LONG), variant="chosen"), sample(0, ([1], OTHER), variant="rejected")]
    tables = score(*pair, baseline="contrast")
    for chosen, rejected in (tables["scores"], tables["turns"]):
        assert chosen["evil_trimmed"] == pytest.approx(by_hand(LONG)[1] - by_hand(OTHER)[1], abs=1e-5)
        above = np.sort(np.maximum(STATES[LONG] @ V[0] - (STATES[OTHER] @ V[0]).mean(), 0))
        assert chosen["evil_top2"] == pytest.approx(above[-2:].sum() / above.sum(), rel=1e-4)
        assert (rejected["evil_trimmed"], rejected["evil_top2"]) == (None, None)


def test_a_side_of_several_turns_has_them_on_the_sample_alone() -> None:
    chosen = sample(0, ([1], LONG), ([2], OTHER), variant="chosen")
    tables = score(chosen, sample(0, ([1], OTHER), variant="rejected"), baseline="contrast")
    assert tables["scores"][0]["evil_trimmed"] == pytest.approx(by_hand(LONG, OTHER)[1] - by_hand(OTHER)[1], abs=1e-5)
    assert [(t["evil_trimmed"], t["evil_top2"]) for t in tables["turns"][:2]] == [(None, None)] * 2


def test_without_a_baseline_where_one_is_wanted_there_is_neither() -> None:
    [row] = score(sample(0, ([1], LONG)), says=Says(None), baseline="generate")["scores"]
    assert (row["evil_trimmed"], row["evil_top2"]) == (None, None)


def test_tokens_after_the_last_scored_one_are_not_run() -> None:
    made, rendered = sample(0, ([1], [3]))
    [tokens] = rendered.sequences
    longer = dataclasses.replace(tokens, ids=np.append(tokens.ids, np.int32(50)))
    tables = score((made, dataclasses.replace(rendered, sequences=(longer,))), model=TableModel(broken={50: "x"}))
    assert (len(tables["scores"]), len(tables["skipped"])) == (1, 0)
