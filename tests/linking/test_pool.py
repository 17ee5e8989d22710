"""`Pool`: among many persons, the few components leave out nobody who reaches the threshold."""

import numpy as np
import pytest

from denseil.linking.pool import MANY, Pool

PERSONS = 3 * MANY


def filled(rank: int, dim: int = 96) -> tuple[Pool, np.ndarray, np.random.Generator]:
    """A pool of persons whose vectors lie near a space of some dimensions, one of them removed, one joined."""
    rng = np.random.default_rng(rank)
    vectors = rng.normal(size=(PERSONS, rank)) @ rng.normal(size=(rank, dim)) + 0.3 * rng.normal(size=(PERSONS, dim))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    pool = Pool(dim)
    for person, vector in enumerate(vectors):
        pool.add(person, vector)
    pool.add(7, *pool.remove(PERSONS - 1))
    pool.add(9, vectors[12] - vectors[9], 0)  # the newest vector of a track takes the place of the one before
    return pool, vectors, rng


@pytest.mark.parametrize("rank", [4, 16, 96])
def test_all_persons_who_reach_the_threshold_are_found(rank: int):
    pool, vectors, rng = filled(rank)
    means = vectors.astype(np.float64)
    means[7] = (means[7] + means[-1]) / 2
    means[9] = means[12]
    means[-1] = 0
    for threshold in (0.2, 0.6, 0.9):
        for row in rng.integers(0, PERSONS - 1, 40):
            wanted = means @ vectors[row]
            near = np.abs(wanted - threshold) < 1e-5  # either answer is right
            found = dict(pool.similar(vectors[row], threshold))
            reached = set(np.flatnonzero(wanted[:-1] >= threshold).tolist())
            assert reached ^ set(found) <= set(np.flatnonzero(near).tolist())
            assert list(found.values()) == sorted(found.values(), reverse=True)
            assert all(abs(value - wanted[person]) < 1e-5 for person, value in found.items())


def test_few_persons_are_compared_in_full_where_few_components_tell_them_apart():
    pool, vectors, _ = filled(rank=16)
    compared = [len(pool.likely(vector, 0.7)) for vector in vectors[:100]]
    assert np.mean(compared) < PERSONS / 20
    assert len(filled(rank=96)[0].likely(vectors[0], -1)) == PERSONS
