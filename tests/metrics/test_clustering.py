"""`score_clusters` against the definitions, pair by pair and item by item."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denseil.metrics import score_clusters


def by_definition(groups: list[int], pids: list[int]) -> tuple[float, ...]:
    pairs = list(itertools.combinations(range(len(groups)), 2))
    linked = {(a, b) for a, b in pairs if groups[a] == groups[b]}
    same = {(a, b) for a, b in pairs if pids[a] == pids[b]}
    found = [len(linked & same) / len(part) if part else 1.0 for part in (linked, same)]
    found.append(2 * found[0] * found[1] / sum(found) if sum(found) else 0.0)
    shares = []
    for row in range(len(groups)):
        mine = {other for other in range(len(groups)) if groups[other] == groups[row]}
        theirs = {other for other in range(len(groups)) if pids[other] == pids[row]}
        shares.append((len(mine & theirs) / len(mine), len(mine & theirs) / len(theirs)))
    precision, recall = np.mean(shares, axis=0)
    apart = len(pairs) - len(same)
    return (
        *found,
        precision,
        recall,
        2 * precision * recall / (precision + recall),
        len(linked - same) / max(apart, 1),
    )


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3)), min_size=1, max_size=25))
def test_scores_are_those_of_the_definitions(items: list[tuple[int, int]]):
    groups, pids = (list(labels) for labels in zip(*items, strict=True))
    assert score_clusters(groups, pids) == pytest.approx(by_definition(groups, pids))


def test_the_true_persons_score_one_under_any_names():
    assert score_clusters(["b", "b", "a"], [7, 7, -2]) == (1, 1, 1, 1, 1, 1, 0)


@pytest.mark.parametrize(("groups", "pids"), [([], []), ([1], [1, 2]), ([[1]], [[1]])])
def test_bad_input_is_one_line(groups, pids):
    with pytest.raises(ValueError, match="give one of each for at least one item"):
        score_clusters(groups, pids)
