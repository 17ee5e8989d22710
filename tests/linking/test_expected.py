"""The threshold of the highest expected F1."""

from __future__ import annotations

import numpy as np
import pytest

from denseil.linking import expected
from denseil.linking.expected import BINS, WIDTH, Pairs, highest_f1, histogram

MEAN, SPREAD = 0.04, 0.245


def of(similar: np.ndarray) -> np.ndarray:
    return histogram(similar, np.ones(len(similar), np.int64))


def crowd(share: float, seed: int, pairs: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Similarities of pairs seen at once and of others, and whether each of the others shows one person."""
    rng = np.random.default_rng(seed)
    same = rng.random(pairs) < share
    two = MEAN + SPREAD / 2 * (rng.gamma(16, 0.5, pairs) - 8)  # skewness 0.5, as of the model
    one = 1 - rng.gamma(2.5, 0.25 / 2.5, pairs)
    known = MEAN + SPREAD / 2 * (rng.gamma(16, 0.5, 2000) - 8)
    return known, np.where(same, one, two), same


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_its_f1_is_close_to_the_best(share: float, seed: int):
    known, similar, same = crowd(share, seed)
    found = float(highest_f1(Pairs(of(known), of(similar), 300), MEAN, SPREAD))

    def f1(threshold: float) -> float:
        linked = similar >= threshold
        return 2 * (linked & same).sum() / (linked.sum() + same.sum())

    assert f1(found) > max(f1(threshold) for threshold in np.arange(0, 0.96, 0.01)) - 0.03


def test_it_is_higher_among_more_persons():
    few, many = (crowd(share, 0) for share in (0.1, 0.01))
    low, high = (float(highest_f1(Pairs(of(known), of(rest), 300), MEAN, SPREAD)) for known, rest, _ in (few, many))
    assert low + 0.05 < high < 0.9


def test_lookalikes_seen_at_once_raise_it():
    known, similar, _ = crowd(0.02, 0)
    rng = np.random.default_rng(1)
    similar = np.append(similar, rng.normal(0.65, 0.1, 400).clip(-1, 1))
    alike = np.append(known[:-60], rng.normal(0.65, 0.1, 60))
    plain, raised = (float(highest_f1(Pairs(of(each), of(similar), 300), MEAN, SPREAD)) for each in (known, alike))
    assert raised > plain + 0.02


def test_without_pairs_it_is_that_of_the_assumed_ones():
    none = np.zeros_like(BINS)
    assert float(highest_f1(Pairs(none, none, 0), MEAN, SPREAD)) == pytest.approx(0.64, abs=0.05)


def test_resamples_are_fitted_each_on_its_own():
    parts = [crowd(share, 0)[:2] for share in (0.02, 0.08)]
    two, other = (np.stack([of(part[place]) for part in parts]) for place in (0, 1))
    both = highest_f1(Pairs(two, other, 300), MEAN, SPREAD)
    single = [float(highest_f1(Pairs(*map(of, part), 300), MEAN, SPREAD)) for part in parts]
    assert both.tolist() == single


@pytest.mark.parametrize("value", [-1.0, -0.3, 0.0, 1.0])
def test_equal_similarities_give_a_number(value: float):
    every = of(np.full(1000, value, np.float32))
    assert -1 <= float(highest_f1(Pairs(every, every, 50), min(value, 0.285), SPREAD)) <= 1


def test_pairs_less_similar_than_those_of_two_persons_show_two():
    """Cameras that were not centred: pairs of two cameras are all less similar than those that one camera shows."""
    rng = np.random.default_rng(0)
    one_camera, two_cameras = rng.normal(0.7, 0.05, 400), rng.normal(-0.2, 0.05, 2000)
    assert float(highest_f1(Pairs(of(one_camera), of(two_cameras), 70), 0.285, 0.18)) > 0.8


def test_densities_have_the_moments_they_are_given():
    two = expected._two(np.array([-0.05]), np.array([0.2]))
    mean = (two * BINS).sum()
    spread = np.sqrt((two * (BINS - mean) ** 2).sum())
    assert (mean, spread) == pytest.approx((-0.05, 0.2), abs=0.002)
    assert (two * ((BINS - mean) / spread) ** 3).sum() == pytest.approx(expected.SKEW, abs=0.02)
    assert (expected._one(np.array([0.2])) * (1 - BINS)).sum() == pytest.approx(0.2, abs=WIDTH)
