from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from screen.model.forward.layout import lay_out
from screen.model.forward.plan import MIN_SHARED, in_common, plan_packed, plan_padded, plan_shared

LENGTHS = st.lists(st.integers(1, 300), max_size=60)
# few kinds of tokens and many equal beginnings
CHATS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 40), st.lists(st.integers(0, 2), min_size=1, max_size=30)), max_size=20
)


@given(LENGTHS, st.integers(1, 1000))
def test_every_sequence_once_and_inside_the_budget(lengths: list[int], budget: int) -> None:
    for plan, cost in ((plan_padded, lambda b: max(b) * len(b)), (plan_packed, sum)):
        batches = plan(lengths, budget)
        assert sorted(np.concatenate([*batches, np.zeros(0, dtype=int)]).tolist()) == list(range(len(lengths)))
        assert all(len(b) == 1 or cost([lengths[i] for i in b]) <= budget for b in batches)


@given(CHATS, st.integers(1, 200))
def test_shared_beginnings_are_laid_once(chats: list[tuple[int, int, list[int]]], budget: int) -> None:
    sequences = [np.array([*range(kind, kind + n), *rest], dtype=np.int32) for kind, n, rest in chats]
    batches = plan_shared(sequences, budget)
    assert sorted(i for b in batches for i in b.order) == list(range(len(sequences)))
    for order, shared in batches:
        chosen = [sequences[i] for i in order]
        layout = lay_out(chosen, shared)
        assert len(order) == 1 or len(layout.ids) <= budget
        for sequence, places in zip(chosen, layout.where, strict=True):
            np.testing.assert_array_equal(layout.ids[places], sequence)
            np.testing.assert_array_equal(layout.positions[places], np.arange(len(sequence)))
        assert [t for p in layout.pieces for t in range(p.start, p.end)] == list(range(len(layout.ids)))
        asked = {p.end - 1: p for p in layout.pieces}
        for places in layout.where:
            piece = asked.get(int(places[-1]))
            if piece is not None and piece.seen is not None:
                assert piece.seen[-1] == piece.end - 1
        for before, after, common in zip(chosen, chosen[1:], shared[1:], strict=False):
            assert common == 0 or MIN_SHARED <= common <= in_common(before, after)


def test_a_prompt_its_answers_and_equal_rows() -> None:
    prompt = np.arange(50, dtype=np.int32)
    y, own = (np.concatenate([prompt, np.full(n, t, dtype=np.int32)]) for n, t in ((30, 7), (20, 8)))
    [batch] = plan_shared([own, y, y], 1000)
    assert batch.order.tolist() == [1, 2, 0]
    assert batch.shared.tolist() == [0, 80, 50]
    layout = lay_out([y, y, own], batch.shared)
    assert len(layout.ids) == 100
    assert [(p.start, p.end) for p in layout.pieces] == [(0, 80), (80, 100)]


def test_gathered_keys_are_bounded() -> None:
    prompt = np.arange(100, dtype=np.int32)
    many = [np.append(prompt, np.int32(i)) for i in range(500)]
    assert [len(b.order) for b in plan_shared(many, 200)] == [16] * 31 + [4]


def test_a_full_batch_is_closed_between_prompts() -> None:
    """Not inside a pair, whose prompt would be run again; under one system prompt, between chats all the same."""
    rng = np.random.default_rng(0)
    system = rng.integers(0, 1000, 40)
    prompts = [np.concatenate([system, rng.integers(0, 1000, 200)]) for _ in range(9)]
    pairs = [np.concatenate([p, rng.integers(0, 1000, 100)]).astype(np.int32) for p in prompts for _ in "ab"]
    batches = plan_shared(pairs, 1000)
    assert all(sorted(b.order.tolist())[i] // 2 == sorted(b.order.tolist())[i + 1] // 2
               for b in batches for i in range(0, len(b.order), 2))  # fmt: skip
    assert [b.shared.tolist() for b in batches] == [[0, 240, 40, 240]] * 4 + [[0, 240]]
