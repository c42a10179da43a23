"""Which layers, and how much."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from screen.errors import ScreenError, UsageError, VectorError
from screen.steering.plan import additions
from screen.vectors.persona import PersonaVector

ROWS = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
EVIL = PersonaVector("evil", ROWS, np.arange(5), {"layer": 2, "model": {"n_layers": 4}})
KIND = PersonaVector("kind", ROWS[::-1].copy(), np.arange(5), {"layer": 3, "model": {"n_layers": 4}})


def test_one_layer_is_the_raw_vector_times_the_coefficient() -> None:
    got = additions([EVIL], [1.5], "one")
    assert list(got) == [2]
    torch.testing.assert_close(got[2], torch.from_numpy(1.5 * ROWS[2]))
    assert list(additions([EVIL], [1.0], "one", {"evil": 4})) == [4]


def test_all_layers_add_up_to_the_vector_at_each_but_the_last() -> None:
    got = additions([EVIL], [-2.0], "all")
    assert list(got) == [1, 2, 3]
    for layer in got:
        torch.testing.assert_close(sum(got[at] for at in range(1, layer + 1)), torch.from_numpy(-2 * ROWS[layer]))


def test_several_vectors_are_summed() -> None:
    got = additions([EVIL, KIND], [1.0, -1.0], "one", {"kind": 2})
    torch.testing.assert_close(got[2], torch.from_numpy(ROWS[2] - KIND.at(2)))


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (([EVIL], [float("nan")], "one"), UsageError, "the coefficient of 'evil' is nan"),
        (([EVIL], [1.0], "one", {"evil": 9}), VectorError, "no direction for layer 9"),
        (([EVIL], [1.0], "one", {"kind": 2}), UsageError, "a layer for 'kind', which is not steered"),
        (([EVIL], [1.0], "all", {"evil": 2}), UsageError, "a layer was given, and all of them"),
        (([PersonaVector("odd", ROWS, np.arange(5))], [1.0], "one"), VectorError, "does not say which layer 'odd'"),
    ],
)
def test_what_cannot_be_planned_is_refused(arguments: tuple[object, ...], error: type[ScreenError], says: str) -> None:
    with pytest.raises(error, match=says):
        additions(*arguments)  # type: ignore[arg-type]
