"""The automatic threshold: the similarity that the wanted share of pairs of two persons reaches."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from denseil.linking import link, threshold
from denseil.linking.checks import check_tracks
from denseil.linking.expected import Pairs, highest_f1, histogram
from denseil.linking.rules import Rules
from denseil.linking.threshold import CAP, MEAN, PRIOR, SPREAD, value_of


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


def crowd(count: int, seed: int) -> dict[str, np.ndarray]:
    """Tracklets of three cameras at odd times, some unknown."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 40, count).astype(float)
    end = start + rng.integers(0, 9, count)
    start[rng.random(count) < 0.1] = np.nan
    return {"vectors": rng.normal(size=(count, 8)), "camids": rng.integers(3, size=count), "start": start, "end": end}


@pytest.mark.parametrize("count", [1, 2, 90])
def test_pairs_seen_at_once_are_those_of_plain_loops(count: int):
    tracks = check_tracks(**crowd(count, 0))
    similar, pairs = threshold._seen_at_once(tracks, Rules(tracks.camids, tracks.start, tracks.end))
    expected = {
        (i, j): tracks.vectors[i] @ tracks.vectors[j]
        for i in range(count)
        for j in range(i + 1, count)
        if tracks.camids[i] == tracks.camids[j]
        and max(tracks.start[[i, j]]) <= min(tracks.end[[i, j]])
        and np.isfinite(tracks.start[[i, j]]).all()
    }
    assert len(pairs) == len(expected)
    for (i, j), value in zip(pairs.tolist(), similar.tolist(), strict=True):
        assert value == pytest.approx(expected[min(i, j), max(i, j)], abs=1e-6)


def test_of_many_pairs_some_are_sampled_over_all_cameras(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threshold, "MOST_PAIRS", 500)
    tracks = check_tracks(**crowd(300, 1))
    rules = Rules(tracks.camids, tracks.start, tracks.end)
    pairs = threshold._seen_at_once(tracks, rules)[1]
    assert len(np.unique(np.sort(pairs, axis=1), axis=0)) == len(pairs) == 500
    assert np.bincount(tracks.camids[pairs[:, 0]]).min() > 100
    assert np.array_equal(threshold._seen_at_once(tracks, rules)[1], pairs)


def test_without_pairs_it_is_the_mean_of_both_estimates():
    vectors = np.random.default_rng(0).normal(size=(40, 14))
    tracks = check_tracks(vectors, np.arange(40) % 3, None, None)
    similar, _ = threshold._others(tracks, Rules(tracks.camids, tracks.start, tracks.end))
    assert len(similar) == 40 * 39 // 2
    median = float(np.median(similar))
    counts = histogram(similar, np.ones(len(similar), np.int64))
    best = highest_f1(Pairs(np.zeros_like(counts), counts, 40), median, SPREAD * (1 - median) / (1 - MEAN))
    reached = value_of(np.empty(0, np.float32), MEAN, SPREAD, 0.01)
    with pytest.warns(UserWarning, match="rests on 0 pairs"):
        found = link(vectors, camids=tracks.camids).threshold
    assert found.value == pytest.approx((float(best) + reached) / 2)


def test_other_pairs_are_those_that_no_camera_shows_at_once():
    tracks = check_tracks(**crowd(60, 2))
    rules = Rules(tracks.camids, tracks.start, tracks.end)
    similar, pairs = threshold._others(tracks, rules)
    at_once = {tuple(sorted(pair)) for pair in threshold._seen_at_once(tracks, rules)[1].tolist()}
    assert len(at_once) + len(pairs) == 60 * 59 // 2
    assert not at_once & {tuple(pair) for pair in pairs.tolist()}
    np.testing.assert_allclose(similar, (tracks.vectors[pairs[:, 0]] * tracks.vectors[pairs[:, 1]]).sum(1), atol=1e-6)
