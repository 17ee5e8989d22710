"""The threshold "auto" under shifts: what a camera's vectors have in common, and boxes that show one person twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denseil.linking import doubts, link
from denseil.linking.centring import PRIOR, centred
from denseil.linking.checks import check_tracks
from denseil.metrics import score_clusters


def night(persons: int = 12, visits: int = 3, common: float = 1.5, seed: int = 0) -> tuple[dict, np.ndarray]:
    """Arguments of `link`, and pids: people in 2 cameras, each with a large common part, several at once."""
    rng = np.random.default_rng(seed)
    pids = np.tile(np.repeat(np.arange(persons), visits), 2)
    camids = np.repeat([1, 2], persons * visits)
    own = rng.normal(size=(persons, 64)) / 8
    vectors = own[pids] + common * rng.normal(size=(2, 64))[camids - 1] / 8 + 0.5 * rng.normal(size=(len(pids), 64)) / 8
    start = np.tile(20.0 * np.tile(np.arange(visits), persons), 2) + rng.uniform(0, 5, len(pids))
    start += 1000 * camids
    return {"vectors": vectors, "camids": camids, "start": start, "end": start + 8}, pids


def test_people_are_found_under_a_large_common_part_of_each_camera():
    given, pids = night()
    plain, auto = link(**given, centre=False), link(**given)
    assert score_clusters(auto.person, pids).pair_f1 > 0.95
    assert score_clusters(plain.person, pids).pair_f1 < 0.7
    assert (plain.centred, auto.centred) == (False, True)
    assert str(auto).endswith("each camera centred")
    assert "centred" not in str(plain)


def test_a_given_threshold_and_halves_keep_the_vectors_as_they_are():
    given, _ = night()
    halves = given["vectors"], given["vectors"]
    assert not link(**given, threshold=0.5).centred
    assert not link(**given, halves=halves).centred
    bare = {key: given[key] for key in ("vectors", "camids")}
    with pytest.warns(UserWarning, match="rests on 0 pairs"):
        assert not link(**bare).centred  # nobody is known to be seen at once


def test_the_mean_is_taken_out_as_far_as_people_are_seen_at_once():
    vectors = np.random.default_rng(0).normal(size=(7, 5)) + 1
    start = np.array([0.0, 5, 100, 200, 0, np.nan, np.nan])  # rows 0 and 1 at once; row 4 in another camera
    camids = [1, 1, 1, 1, 2, 2, 2]
    tracks = check_tracks(vectors, camids, start, start + 10)
    found, changed = centred(tracks)
    share = 2 / (2 + PRIOR)
    wanted = tracks.vectors[:4] - share * tracks.vectors[:4].mean(0)
    np.testing.assert_allclose(found.vectors[:4], wanted / np.linalg.norm(wanted, axis=1, keepdims=True), rtol=1e-5)
    assert (found.vectors[4:] == tracks.vectors[4:]).all()
    assert changed


def test_one_person_alone_stays_one_person():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=64) + 0.4 * rng.normal(size=(30, 64))
    with pytest.warns(UserWarning, match="rests on 0 pairs"):
        found = link(vectors, camids=np.ones(30, int), start=np.arange(30) * 10.0, end=np.arange(30) * 10.0 + 5)
    assert found.num_persons == 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 40) | st.none(), st.integers(0, 6)), min_size=1))
def test_only_cameras_in_which_two_are_seen_at_once_change(spans):
    camids, start, length = (np.array(values) for values in zip(*spans, strict=True))
    first = start.astype(float)  # None becomes NaN
    tracks = check_tracks(np.random.default_rng(0).normal(size=(len(spans), 4)), camids, first, first + length)
    found = centred(tracks)[0].vectors
    at_once = (first[:, None] <= first + length) & (first <= (first + length)[:, None]) & (camids[:, None] == camids)
    np.fill_diagonal(at_once, False)
    for camera in np.unique(camids):
        own = camids == camera
        count = at_once[own].any(1).sum()
        wanted = tracks.vectors[own] - tracks.vectors[own].mean(0) * count / (count + PRIOR)
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        np.testing.assert_allclose(found[own], wanted, atol=1e-4)


def test_doubts_name_the_similarities_of_the_linking():
    given, _ = night()
    given["vectors"] += 0.1 * np.random.default_rng(1).normal(size=given["vectors"].shape)
    links = link(**given)
    asked = doubts(links, given["vectors"])
    unit = centred(check_tracks(**given))[0].vectors
    assert asked
    for doubt in asked:
        assert doubt.similarity == pytest.approx(float(unit[doubt.one] @ unit[doubt.other]), abs=1e-5)


def test_boxes_that_show_one_person_twice_do_not_raise_the_threshold():
    rng = np.random.default_rng(0)
    vectors, slot = rng.normal(size=(240, 32)), np.repeat(np.arange(60), 4)  # four persons at a time
    twice = np.arange(0, 240, 12)  # one of them in every third moment
    more = np.concatenate([vectors, vectors[twice] + 0.2 * rng.normal(size=(len(twice), 32))])

    def threshold(vectors: np.ndarray, slot: np.ndarray):
        times = {"start": 10.0 * slot, "end": 10.0 * slot + 5}
        return link(vectors, camids=np.ones(len(slot), int), centre=False, **times).threshold

    clean, doubled = threshold(vectors, slot), threshold(more, np.concatenate([slot, slot[twice]]))
    assert (clean.left_out, doubled.left_out) == (0, len(twice))
    assert doubled.pairs == clean.pairs + 3 * len(twice)
    assert "left out" not in str(clean)
    assert abs(doubled.value - clean.value) < 0.03
    assert f"({doubled.left_out} more left out, which may show one person twice)" in str(doubled)
