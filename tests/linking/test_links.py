"""Linking against scipy's average linkage, a greedy loop with constraints, and laws on any input."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster
from scipy.cluster.hierarchy import linkage as scipy_linkage

from denseil.linking import ConflictError, average_linkage, link


def unit(rng: np.random.Generator, count: int, width: int = 6, persons: int | None = None) -> np.ndarray:
    """Random unit vectors, around as many centres as there are persons."""
    centres = rng.normal(size=(persons or count, width))
    vectors = centres[rng.integers(len(centres), size=count)] + rng.normal(size=(count, width), scale=0.4)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def partition(labels: Any) -> set[frozenset[int]]:
    groups: dict[Any, set[int]] = {}
    for place, label in enumerate(np.asarray(labels).tolist()):
        groups.setdefault(label, set()).add(place)
    return {frozenset(group) for group in groups.values()}


def greedy(vectors: np.ndarray, threshold: float, cannot: set[frozenset[int]]) -> set[frozenset[int]]:
    """Join the two most similar groups that may be joined, again and again."""
    groups = [frozenset([place]) for place in range(len(vectors))]
    similar = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    while True:
        best, pair = threshold, None
        for a, b in itertools.combinations(groups, 2):
            mean = similar[np.ix_(sorted(a), sorted(b))].mean()
            if mean >= best and not any(frozenset((i, j)) in cannot for i in a for j in b):
                best, pair = mean, (a, b)
        if pair is None:
            return set(groups)
        groups = [group for group in groups if group not in pair] + [pair[0] | pair[1]]


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.floats(-0.5, 0.95))
def test_without_constraints_it_is_scipys_average_linkage(seed: int, count: int, threshold: float):
    vectors = unit(np.random.default_rng(seed), count, persons=max(1, count // 4))
    distances = 1 - (vectors.astype(np.float64) @ vectors.T)[np.triu_indices(count, 1)]
    tree = scipy_linkage(np.clip(distances, 0, 2), "average")
    if np.abs(tree[:, 2] - (1 - threshold)).min() > 1e-5:
        expected = fcluster(tree, 1 - threshold, "distance")
        assert partition(average_linkage(vectors, threshold)) == partition(expected)


@given(st.integers(0, 2**32 - 1), st.integers(2, 14), st.floats(-0.5, 0.9), st.floats(0, 0.6))
def test_with_constraints_it_is_the_greedy_loop(seed: int, count: int, threshold: float, share: float):
    rng = np.random.default_rng(seed)
    vectors = unit(rng, count, persons=max(1, count // 3))
    cannot = [pair for pair in itertools.combinations(range(count), 2) if rng.random() < share]
    found = partition(average_linkage(vectors, threshold, cannot=cannot))
    assert found == greedy(vectors, threshold, set(map(frozenset, cannot)))


sightings = st.lists(
    st.tuples(st.integers(0, 3), st.floats(0, 50) | st.just(float("nan")), st.floats(0, 20)), min_size=1, max_size=40
)


def seen(rows: list[tuple[int, float, float]]) -> dict[str, Any]:
    return {
        "camids": [camid for camid, _, _ in rows],
        "start": [start for _, start, _ in rows],
        "end": [start + length for _, start, length in rows],
    }


@given(st.integers(0, 2**32 - 1), sightings, st.floats(-1, 0.9))
def test_nobody_is_twice_in_one_picture(seed: int, rows: list[tuple[int, float, float]], threshold: float):
    found = link(unit(np.random.default_rng(seed), len(rows), persons=2), threshold=threshold, **seen(rows))
    times = seen(rows)
    for i, j in itertools.combinations(range(len(rows)), 2):
        together = times["start"][i] <= times["end"][j] and times["start"][j] <= times["end"][i]
        if times["camids"][i] == times["camids"][j] and together:
            assert found.person[i] != found.person[j]


@given(st.integers(0, 2**32 - 1), sightings, st.floats(-1, 0.9), st.randoms())
def test_the_order_of_tracklets_does_not_matter(
    seed: int, rows: list[tuple[int, float, float]], threshold: float, rng: Any
):
    vectors = unit(np.random.default_rng(seed), len(rows), persons=3)
    order = rng.sample(range(len(rows)), len(rows))
    first = link(vectors, threshold=threshold, **seen(rows))
    second = link(vectors[order], threshold=threshold, **seen([rows[place] for place in order]))
    assert second.person.tolist() == first.person[order].tolist()
    np.testing.assert_array_equal(second.confidence, first.confidence[order])


TWO = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], dtype=float)
APART = {"camids": [1, 2, 1, 2], "start": [0, 100, 200, 300], "end": [10, 110, 210, 310]}


def test_persons_are_numbered_as_they_appear(tmp_path: Path):
    found = link(TWO, threshold=0.8, **APART)
    assert (found.person.tolist(), found.num_persons) == ([1, 1, 2, 2], 2)
    later = link(TWO, threshold=0.8, **APART | {"start": [400, 100, 200, 0], "end": [410, 110, 210, 10]})
    assert later.person.tolist() == [2, 2, 1, 1]
    assert str(found) == "4 tracklets of 2 persons; threshold 0.800, as given"
    found.to_csv(tmp_path / "persons.csv", {"id": ["a", "b,c", "d", "é"]})
    with (tmp_path / "persons.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "person", "confidence"]
    assert [row[:2] for row in rows[1:]] == [["a", "1"], ["b,c", "1"], ["d", "2"], ["é", "2"]]
    with pytest.raises(ValueError, match="column 'id' has 1 values for 4 tracklets"):
        found.to_csv(tmp_path / "persons.csv", {"id": ["a"]})


def test_confidence_is_the_margin_over_the_next_person():
    vectors = TWO / np.linalg.norm(TWO, axis=1, keepdims=True)
    similar = vectors @ vectors.T
    found = link(TWO, threshold=0.8, **APART)
    expected = [(similar[0, 1] - 0.8) / 0.2, (similar[0, 1] - 0.8) / 0.2]
    np.testing.assert_allclose(found.confidence[:2], expected, atol=1e-5)
    alone = link(TWO, threshold=0.999, **APART)
    np.testing.assert_allclose(alone.confidence[0], min(1, (0.999 - similar[0, 1]) / 0.001), atol=1e-3)


def test_answers_of_a_person_are_obeyed():
    apart = link(TWO, threshold=0.8, cannot_link=[(1, 0)], **APART)
    assert apart.person[0] != apart.person[1]
    joined = link(TWO, threshold=0.8, must_link=[(0, 2)], **APART)
    assert joined.num_persons == 1 or joined.person[0] == joined.person[2]
    with pytest.raises(ConflictError, match="must be one person, and cannot be"):
        link(TWO, threshold=0.8, must_link=[(0, 1)], cannot_link=[(0, 1)], **APART)
    at_once = APART | {"camids": [1, 1, 1, 1], "start": [0, 5, 200, 300]}
    with pytest.raises(ConflictError):
        link(TWO, threshold=0.8, must_link=[(0, 1)], **at_once)


@pytest.mark.parametrize(("travel", "one"), [((60, 200), True), ((0, 89), False), ((91, 200), False), ((90, 90), True)])
def test_the_way_between_cameras_takes_time(travel: tuple[float, float], one: bool):
    for cameras in ((1, 2), (2, 1)):
        found = link(TWO, threshold=0.8, travel={cameras: travel}, **APART)  # 90 s from the end of 0 to the start of 1
        assert (found.person[0] == found.person[1]) == one


def test_none_one_and_equal_ones():
    nothing = link(np.empty((0, 4)), camids=[], start=[], end=[])
    assert (nothing.num_persons, len(nothing.person)) == (0, 0)
    alone = link(TWO[:1], threshold=0.5, camids=[1], start=[0], end=[1])
    assert (alone.person.tolist(), alone.confidence.tolist()) == ([1], [1.0])
    equal = link(np.ones((5, 3)), threshold=0.9, camids=[1, 1, 2, 2, 3], start=[0, 1, 2, 3, 4], end=[2, 3, 4, 5, 6])
    assert equal.person[0] != equal.person[1]
    assert equal.person[2] != equal.person[3]
    assert equal.num_persons == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"camids": [1, 2, 1]}, "4 vectors for 3 camids"),
        ({"start": [0, 1, 2]}, "4 camids, 3 starts and 4 ends"),
        ({"end": [10, 110, 199, 310]}, "tracklet 2 ends at 199.0, before its start at 200.0"),
        ({"start": [0, 100, 200, -np.inf]}, "give NaN where a time is unknown"),
        ({"vectors": np.where(np.eye(4, 2) > 0, np.nan, TWO)}, r"vector 0 is not finite or all zeros \(2 of 4 are\)"),
        ({"vectors": TWO * [[1], [0], [1], [1]]}, "vector 1 is not finite or all zeros"),
        ({"vectors": np.ones(4)}, r"shape \(4,\); they must be \(N, D\)"),
        ({"threshold": 1.5}, "threshold=1.5: give 'auto' or a cosine"),
        ({"threshold": True}, "threshold=True"),
        ({"cannot_link": [(0, 4)]}, r"cannot_link holds \(0, 4\): give two different numbers from 0 to 3"),
        ({"must_link": [(1, 1)]}, r"must_link holds \(1, 1\)"),
        ({"travel": {(1, 2): (9, 3)}}, "travel from camera 1 to 2 takes 9 to 3 seconds"),
        ({"threshold": "auto"}, "there are 0 such pairs; it takes 20"),
        ({"threshold": "auto", "far": 1.0}, "far=1.0: give a share between 0 and 1"),
    ],
)
def test_bad_input_is_one_line(changes: dict[str, Any], says: str):
    arguments = {"vectors": TWO, "threshold": 0.8, **APART} | changes
    with pytest.raises(ValueError, match=says):
        link(arguments.pop("vectors"), **arguments)
    with pytest.raises(TypeError, match="must be real numbers"):
        link(np.array([["a", "b"]]), camids=[1], start=[0], end=[1])
