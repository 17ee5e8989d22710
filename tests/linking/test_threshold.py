"""The automatic threshold: the similarity that the wanted share of pairs of two persons reaches."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from denseil.linking import link
from denseil.linking.threshold import CAP, PRIOR, value_of


@pytest.mark.parametrize("far", [0.001, 0.01, 0.2, 0.5])
def test_without_pairs_it_is_the_quantile_of_the_guess(far: float):
    wanted = min(CAP, stats.norm(0.1, 0.2).isf(far))
    assert value_of(np.empty(0, np.float32), 0.1, 0.2, far) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_share_of_known_and_guessed_pairs_above_it_is_the_wanted_one(seed: int):
    rng = np.random.default_rng(seed)
    similar = np.sort(rng.beta(2, 4, int(rng.integers(1, 2000)))).astype(np.float32)
    mean, spread, far = rng.uniform(0, 0.3), rng.uniform(0.1, 0.3), rng.choice([0.01, 0.05, 0.3])
    times = rng.integers(0, 4, len(similar))
    value = value_of(similar, mean, spread, far, times)

    def reached(at: float) -> float:
        return (times[similar >= at].sum() + PRIOR * stats.norm(mean, spread).sf(at)) / (times.sum() + PRIOR)

    assert reached(value + 1e-6) <= far <= reached(value - 1e-6)


def test_lookalikes_among_the_pairs_raise_it():
    """Four in a hundred pairs look alike; a normal distribution of the same mean and spread would be lower."""
    rng = np.random.default_rng(0)
    similar = np.sort(np.concatenate([rng.normal(0.1, 0.15, 960), rng.normal(0.75, 0.04, 40)])).astype(np.float32)
    normal = similar.mean() + 2.33 * similar.std()
    assert value_of(similar, 0.04, 0.245, 0.01) > normal + 0.1


def test_the_rate_is_kept_with_the_promised_probability():
    others = np.random.default_rng(1000).normal(size=(2000, 14))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    two = (others @ others.T)[np.triu_indices(2000, 1)]
    kept = []
    for seed in range(60):
        vectors = np.random.default_rng(seed).normal(size=(30, 14))
        seen = {"camids": np.zeros(30, int), "start": np.zeros(30), "end": np.ones(30)}
        value = link(vectors, **seen, far=0.05, centre=False).threshold.value
        kept.append(float((two >= value).mean()) <= 0.05)
    assert np.mean(kept) >= 0.5  # 0.4 without draws
