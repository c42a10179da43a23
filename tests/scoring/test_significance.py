"""p-values against a clean reference, and the false-discovery rate."""

from __future__ import annotations

import numpy as np
import pytest

from screen.scoring.findings.significance import benjamini_hochberg, fdr_threshold, p_values

RNG = np.random.default_rng


def test_p_values_are_the_share_of_the_reference_at_or_above() -> None:
    p = p_values(np.array([0.0, 2.0, 9.0, np.nan]), np.array([1.0, 2.0, 3.0]))
    assert p[:3].tolist() == [1.0, 0.75, 0.25]
    assert np.isnan(p[3])


def test_benjamini_hochberg_against_its_definition() -> None:
    p = RNG(0).uniform(size=50) ** 3
    for q in (0.01, 0.05, 0.3):
        limits = [np.sort(p)[i] for i in range(50) if np.sort(p)[i] <= q * (i + 1) / 50]
        assert benjamini_hochberg(p, q) == (max(limits) if limits else None)
    assert benjamini_hochberg(np.array([np.nan]), 0.5) is None


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.2])
def test_the_false_share_stays_under_its_rate(share: float) -> None:
    false, found = [], []
    for seed in range(200):
        rng = RNG(seed)
        reference = np.sort(rng.normal(size=2000)).astype(np.float32)
        scores = rng.normal(size=1000).astype(np.float32)
        n = int(share * 1000)
        scores[:n] += 5
        threshold = fdr_threshold(scores, reference, 0.05)
        flagged = scores > threshold if threshold is not None else np.zeros(1000, dtype=bool)
        false.append(flagged[n:].sum() / max(1, flagged.sum()))
        found.append(flagged[:n].mean() if n else 1.0)
    assert np.mean(false) < 0.05 + 3 * np.std(false) / np.sqrt(200)
    assert share < 0.05 or np.mean(found) > 0.8
