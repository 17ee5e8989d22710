"""The threshold without labels: it holds for the next pair, and says what it rests on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from denseil.linking import auto_threshold


def people(rng: np.random.Generator, count: int, width: int = 32) -> np.ndarray:
    """Vectors of different persons, somewhat alike as the clothes of a place are."""
    vectors = rng.normal(size=(count, width)) + 0.6 * rng.normal(size=width)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def all_pairs(count: int) -> np.ndarray:
    return np.array(list(itertools.combinations(range(count), 2)))


@given(st.integers(0, 1000), st.sampled_from([0.01, 0.05, 0.2]), st.integers(25, 60))
def test_no_more_of_the_pairs_reach_it_than_wanted(seed: int, far: float, count: int):
    vectors, pairs = people(np.random.default_rng(seed), count), all_pairs(count)
    found = auto_threshold(vectors, pairs, far=far)
    similar = np.einsum("md,md->m", vectors[pairs[:, 0]], vectors[pairs[:, 1]])
    assert (similar >= found.value).mean() <= far
    assert (similar >= found.value - 0.02).sum() >= 1  # and it is no higher than it has to be
    assert found.low <= found.high
    assert (found.surely_two, found.surely_one) == (len(pairs), 0)


def test_it_holds_for_new_people():
    wanted, reached = 0.02, []
    for seed in range(40):
        vectors = people(np.random.default_rng(seed), 200)
        found = auto_threshold(vectors[:60], all_pairs(60), far=wanted)
        new = vectors[60:]
        similar = (new @ new.T)[np.triu_indices(len(new), 1)]
        reached.append((similar >= found.value).mean())
    assert np.mean(reached) < 1.25 * wanted


def test_few_pairs_ask_for_more_than_the_largest_of_them():
    vectors, pairs = people(np.random.default_rng(0), 8), all_pairs(8)  # 28 pairs: 1 % of them is none
    similar = np.einsum("md,md->m", vectors[pairs[:, 0]], vectors[pairs[:, 1]])
    assert auto_threshold(vectors, pairs, far=0.01).value > similar.max()


def test_the_threshold_of_the_weights_is_corrected_by_as_many_pairs_as_there_are():
    vectors = people(np.random.default_rng(0), 60)
    own = auto_threshold(vectors, all_pairs(60)).value
    blended = auto_threshold(vectors, all_pairs(60), prior=0.9)
    count = blended.surely_two
    assert blended.value == pytest.approx((count * own + 100 * 0.9) / (count + 100), abs=1e-6)
    assert auto_threshold(vectors, all_pairs(60)[:5], prior=0.9).value == 0.9
    with pytest.raises(ValueError, match="there are 5 such pairs; it takes 20"):
        auto_threshold(vectors, all_pairs(60)[:5])


def test_it_says_what_it_rests_on():
    vectors = people(np.random.default_rng(0), 60)
    halves = np.stack([vectors, vectors], axis=1)
    found = auto_threshold(vectors, all_pairs(60), halves=halves, prior=0.7)
    assert (found.kept, found.surely_one) == (1.0, 60)
    text = str(found)
    assert text.startswith(
        f"threshold {found.value:.3f} for 1 % false links, from 1,770 pairs of tracklets seen at once"
    )
    assert "and the weights' own 0.700; 100 % of 60 halves of one track are above it" in text
