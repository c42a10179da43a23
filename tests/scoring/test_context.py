"""Which column of the extra is what, and what a calibration says of prompts that were answered."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.testing as npt

from screen.baselines.estimates import calibration
from screen.baselines.estimates.estimator import BaselineEstimator, prompt_hashes
from screen.baselines.table import score_column
from screen.scoring.context import NO_DIRECTIONS, ControlSet, Directions
from screen.scoring.schema import RANDOM


def test_the_probes_columns_follow_each_other_without_a_gap() -> None:
    layers = (0, 0, *[2] * RANDOM, *[5] * RANDOM, 1, 2, 5)
    sets = (ControlSet("a", 2, "card"), ControlSet("b", 5, "run"))
    made = Directions(np.zeros((len(layers), 4), dtype=np.float32), layers, 2, sets, ("a", "b"), (True, False))
    assert [layers[made.random(n)] for n in (0, 1)] == [(2,) * RANDOM, (5,) * RANDOM]
    assert made.random(0).start == 2
    assert layers[made.features] == (1, 2, 5)
    assert made.controls == made.features.start == 2 + 2 * RANDOM
    assert (NO_DIRECTIONS.controls, NO_DIRECTIONS.features) == (0, slice(0, 0))


def test_an_answered_prompt_is_predicted_by_the_fit_that_did_not_see_it() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    model, hashes = calibration.fit(x, y), np.arange(100, 140, dtype=np.uint64)
    stand = BaselineEstimator(model, hashes, model.out_of_fold.astype(np.float32), ("a",))
    asked = np.array([139, 7, 100, 120, 999], dtype=np.uint64)
    values, se = stand.predict(x[[39, 1, 0, 20, 2]].astype(np.float32), asked)
    assert stand.has(asked).tolist() == [True, False, True, True, False]
    npt.assert_array_equal(values[[0, 2, 3]], model.out_of_fold[[39, 0, 20]].astype(np.float32))
    npt.assert_allclose(values[[1, 4]], model.predict(x[[1, 2]])[0], rtol=1e-5)
    npt.assert_allclose(se, model.predict(x[[39, 1, 0, 20, 2]])[1], rtol=1e-5)


def test_a_prompts_hash_is_of_its_ids_alone() -> None:
    one, same, other = (np.array(p) for p in ([1, 2], [1, 2], [2, 1]))
    a, b, c = prompt_hashes([one.astype(np.int32), same.astype(np.int64), other.astype(np.int32)]).tolist()
    assert (a == b, a == c) == (True, False)
    assert prompt_hashes([]).shape == (0,)


def test_the_column_that_a_run_is_ranked_by() -> None:
    kinds = ("generate", "answers", "calibrated", "last-prompt", "none")
    assert [score_column("evil", kind) for kind in kinds] == [
        "evil", "evil", "evil_estimate", "evil_last_prompt", "evil_projection",
    ]  # fmt: skip
    assert score_column("evil", "calibrated", refined=True) == "evil"
    assert score_column("evil", "none", refined=True) == "evil_projection"


def test_an_estimator_is_read_from_what_the_run_folder_keeps() -> None:
    rng = np.random.default_rng(0)
    model = calibration.fit(rng.normal(size=(20, 3)), rng.normal(size=(20, 2)))
    kept = {f"fit.{name}": values for name, values in model.to_arrays().items()}
    hashes = np.array([3, 9], dtype=np.uint64)
    facts = {"sources": ["a", "b"], "cuts": {"evil": 1.0}, "cuts_away": {"evil": -1.0}}
    assert BaselineEstimator.from_kept(kept, facts) is None  # a run without estimates has no answered prompts
    arrays = kept | {"answered": hashes, "out_of_fold": np.ones((2, 2), dtype=np.float32), "other": hashes}
    made = BaselineEstimator.from_kept(arrays, facts)
    assert made is not None
    assert (made.sources, made.thresholds, made.thresholds_away) == (("a", "b"), {"evil": 1.0}, {"evil": -1.0})
    npt.assert_array_equal(made.model.weights, model.weights)
    npt.assert_array_equal(made.answered, hashes)


def test_a_hash_is_the_first_eight_bytes_of_a_digest() -> None:
    digest = hashlib.blake2b(b"\x01\0\0\0\x02\0\0\0", digest_size=8).digest()
    assert prompt_hashes([np.array([1, 2], dtype=np.int32)]).tolist() == [int.from_bytes(digest, "little")]
