"""`link`: constraints, order, must-link, travel times, bad input, and the same merges as scipy."""

import itertools
import json
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from denseil.linking import OnlineLinker, link
from denseil.linking.rules import ConflictError
from denseil.linking.threshold import MEASURED
from denseil.models.variants import SHIPPED


def people(seed: int, persons: int, tracks: int, noise: float = 0.6, dim: int = 16):
    """Random tracklets of some persons in 3 cameras: vectors, pids, camids, start, end."""
    rng = np.random.default_rng(seed)
    pids = rng.integers(0, persons, tracks)
    vectors = rng.normal(size=(persons, dim))[pids] + noise * rng.normal(size=(tracks, dim))
    start = rng.uniform(0, 60, tracks)
    return vectors.astype(np.float32), pids, rng.integers(0, 3, tracks), start, start + rng.uniform(0, 15, tracks)


def together(person: np.ndarray) -> np.ndarray:
    return person[:, None] == person


def laws(examples: int) -> Callable[[], None]:
    """Check on random cases that nobody is in two places of one camera, and that the order changes nothing."""

    @settings(max_examples=examples, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        tracks=st.integers(1, 40),
        persons=st.integers(1, 6),
        threshold=st.floats(-1, 1) | st.just("auto"),
        nearest=st.sampled_from([None, 1, 3]),
        equal=st.booleans(),
    )
    def check(seed, tracks, persons, threshold, nearest, equal):
        vectors, _, camids, start, end = people(seed, persons, tracks)
        if equal:
            vectors[:] = 1
        rule = {"threshold": threshold, "nearest": nearest, "model_id": MEASURED[0]}
        found = link(vectors, camids=camids, start=start, end=end, **rule)
        at_once = (camids[:, None] == camids) & (start[:, None] <= end) & (start <= end[:, None])
        np.fill_diagonal(at_once, False)
        assert not (together(found.person) & at_once).any()
        order = np.random.default_rng(seed).permutation(tracks)
        again = link(vectors[order], camids=camids[order], start=start[order], end=end[order], **rule)
        assert (again.person == found.person[order]).all()
        assert ((found.confidence >= 0) & (found.confidence <= 1)).all()

    return check


def test_tracklets_seen_at_once_are_never_one_person_and_order_does_not_matter():
    laws(100)()


@pytest.mark.slow
def test_the_laws_hold_in_thousands_of_cases():
    laws(4000)()


@pytest.mark.parametrize("threshold", [-0.2, 0.2, 0.5, 0.8])
def test_without_constraints_the_merges_are_those_of_scipy(threshold: float):
    vectors, _, camids, _, _ = people(0, 8, 120)
    found = link(vectors, camids=camids, threshold=threshold).person
    wanted = fcluster(linkage(vectors, "average", metric="cosine"), 1 - threshold, "distance")
    assert (together(found) == together(wanted)).all()


def greedy(vectors: np.ndarray, threshold: float, cannot: list[tuple[int, int]]) -> np.ndarray:
    """Join the two most similar groups that may be joined, again and again."""
    similar = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    groups = [[row] for row in range(len(vectors))]
    while True:
        best, pair = threshold, None
        for a, b in itertools.combinations(range(len(groups)), 2):
            mean = similar[np.ix_(groups[a], groups[b])].mean()
            if mean >= best and not any((min(i, j), max(i, j)) in cannot for i in groups[a] for j in groups[b]):
                best, pair = mean, (a, b)
        if pair is None:
            return np.array([next(n for n, group in enumerate(groups) if row in group) for row in range(len(vectors))])
        groups[pair[0]] += groups.pop(pair[1])


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 14), st.floats(-0.5, 0.9), st.floats(0, 0.6))
def test_with_constraints_the_merges_are_those_of_the_greedy_loop(seed, count, threshold, share):
    rng = np.random.default_rng(seed)
    vectors, _, camids, _, _ = people(seed, max(1, count // 3), count)
    cannot = [pair for pair in itertools.combinations(range(count), 2) if rng.random() < share]
    found = link(vectors, camids=camids, threshold=threshold, cannot_link=cannot).person
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (together(found) == together(greedy(unit, threshold, cannot))).all()


def test_well_separated_people_are_found():
    vectors, pids, camids, start, end = people(1, 10, 200, noise=0.15, dim=64)
    start, end = start * np.nan, end * np.nan
    found = link(vectors, camids=camids, start=start, end=end, threshold=0.6)
    assert (together(found.person) == together(pids)).all()
    assert found.num_persons == 10
    assert found.confidence.min() > 0.5


def test_answers_of_a_person_are_followed():
    vectors = np.eye(4)[[0, 0, 1]]
    free = link(vectors, camids=[0, 1, 2], threshold=0.5).person
    assert free.tolist() == [1, 1, 2]
    told = link(vectors, camids=[0, 1, 2], threshold=0.5, cannot_link=[(1, 0)], must_link=[(0, 2)]).person
    assert told[0] == told[2] != told[1]


@pytest.mark.parametrize(
    ("seconds", "linked"), [((0, 60), True), ((20, 60), False), ((0, 5), False)], ids=["fits", "too fast", "too late"]
)
def test_travel_times_bar_what_they_exclude(seconds, linked: bool):
    given = {"camids": [1, 2], "start": [0, 20], "end": [10, 30], "threshold": 0.5}
    found = link(np.ones((2, 3)), **given, travel={(1, 2): seconds})
    assert (found.num_persons == 1) is linked
    back = link(np.ones((2, 3)), **given, travel={(2, 1): seconds})
    assert (back.num_persons == 1) is linked  # the way back takes as long
    assert link(np.ones((2, 3)), **given, travel={(2, 1): seconds, (1, 2): (0, 99)}).num_persons == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"camids": [1]}, "camids has shape (1,) for 2 vectors"),
        ({"end": [5, 0]}, "tracklet 1 ends at 0, before it starts at 3"),
        ({"start": [0, np.inf]}, "start is infinite in row 1"),
        ({"start": ["a", "b"]}, "start holds other things than numbers"),
        ({"start": ["0", "3"]}, "start holds other things than numbers; give seconds as numbers"),
        ({"start": [None, "3"]}, "start holds other things than numbers"),
        ({"start": np.array(["1970-01-01", "NaT"], "M8[D]")}, "start holds other things than numbers"),
        ({"end": np.array([5, 8], "m8[m]")}, "end holds other things than numbers"),
        ({"start": [0, np.datetime64(3, "s")]}, "start holds other things than numbers"),
        ({"camids": [1, np.inf]}, "camids holds inf in row 1; give whole numbers below 2^63"),
        ({"camids": np.array([1, 2**63], np.uint64)}, "in row 1; give whole numbers below 2^63"),
        ({"vectors": [[1.0, 2], [np.nan, 0]]}, "row 1 holds NaN or infinity, or zeros alone"),
        ({"vectors": [1.0, 2]}, "vectors has shape (2,)"),
        ({"camids": [0.5, 1]}, "give whole numbers"),
        ({"threshold": 2}, "threshold=2"),
        ({"threshold": "best"}, "threshold='best'"),
        ({"cannot_link": [(0, 0)]}, "cannot_link holds (0, 0)"),
        ({"must_link": [(0, 7)]}, "must_link holds (0, 7)"),
        ({"must_link": [(0, 1)], "cannot_link": [(0, 1)]}, "must be linked, but"),
        ({"travel": {(1, 2): (5, 1)}}, "travel from 1 to 2: 5, 1"),
        ({"nearest": 0}, "nearest=0"),
        ({"travel": {("1", "2"): (5, 10)}}, "travel holds ('1', '2'): (5, 10)"),
        ({"travel": {(1, 2): 5}}, "travel holds (1, 2): 5; give (camera, camera): (least, most)"),
        ({"travel": {1: (5, 10)}}, "travel holds 1: (5, 10)"),
        ({"far": 0.05}, "threshold=0.5 with far, which only 'auto' uses"),
        ({"halves": (np.ones((2, 2)), np.ones((2, 2)))}, "threshold=0.5 with halves, which only 'auto' uses"),
        ({"start": torch.tensor([1.7e9, 1.7e9 + 60])}, "start is of type float32, whose numbers are 128 s apart at 17"),
        (
            {"end": np.array([5, 8], np.float32) * 1e7},
            "end is of type float32, whose numbers are 8 s apart at 80000000",
        ),
    ],
)
def test_bad_input_is_one_line(change: dict, words: str):
    arguments = {"vectors": np.ones((2, 2)), "camids": [1, 2], "start": [0, 3], "end": [5, 8], "threshold": 0.5}
    arguments |= change
    with pytest.raises((ValueError, TypeError)) as error:
        link(arguments.pop("vectors"), **arguments)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_conflict_names_the_rows_as_they_were_given():
    with pytest.raises(ConflictError, match="row 1 and row 0 must be linked, but row 2 and row 0 were told") as error:
        link(
            np.eye(4),
            camids=[1, 1, 1, 1],
            start=[40, 30, 20, 10],
            threshold=0.5,
            must_link=[(1, 2), (0, 1)],
            cannot_link=[(2, 0)],
        )
    assert (error.value.pair, error.value.barred) == ((1, 0), (2, 0))


def test_no_tracklet_one_tracklet_and_equal_ones():
    assert len(link(np.empty((0, 8)), camids=[], threshold=0.5)) == 0
    assert link([], camids=[]).num_persons == 0
    assert link(np.ones((1, 8)), camids=[3]).person.tolist() == [1]
    assert link(np.ones((50, 8)), camids=[3] * 50, threshold=0.5).num_persons == 1
    unknown = link(np.ones((2, 8)), camids=[1, 1], start=[0, np.nan], end=[9, np.nan], threshold=0.5)
    assert unknown.num_persons == 1


@pytest.mark.parametrize("width", [3, 64, 512, 2048])
def test_equal_vectors_reach_the_threshold_1_and_opposite_ones_minus_1(width: int):
    for seed in range(25):
        vector = np.random.default_rng(seed).normal(size=width)
        assert link([vector, vector], camids=[1, 2], threshold=1).num_persons == 1
        assert link([vector, -vector], camids=[1, 2], threshold=-1).num_persons == 1
        linker = OnlineLinker(threshold=1)
        assert linker.update(1, 1, vector, 0.0) == linker.update(2, 1, vector, 0.0) == 1


def test_any_whole_number_of_64_bits_is_a_camera():
    for camids in ([2**63 - 1, -(2**63)], np.array([2**63 - 1, 5], np.uint64), np.array([2.0, -3.0])):
        assert link(np.eye(2), camids=camids, threshold=0.5).camids.tolist() == [int(camera) for camera in camids]


def test_times_in_float32_are_taken_where_it_tells_them_apart():
    start = torch.tensor([0.0, 86_400.5, np.nan])
    assert link(np.ones((3, 2)), camids=[1, 1, 1], start=start, threshold=0.5).start[:2].tolist() == [0, 86_400.5]


def test_vectors_that_differ_in_late_components_alone_are_numbered_in_any_order_alike():
    vectors = np.zeros((12, 40))
    vectors[:, 30:] = np.random.default_rng(0).normal(size=(12, 10))
    found = link(vectors, camids=[1] * 12, threshold=0.2)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(12)
        again = link(vectors[order] * 1.0, camids=[1] * 12, threshold=0.2)
        assert (again.person == found.person[order]).all()


def test_csv_has_a_row_per_tracklet(tmp_path):
    found = link(np.eye(2), camids=[1, 2], start=[0, np.nan], end=[2.5, np.nan], threshold=0.5)
    found.to_csv(tmp_path / "persons.csv", ["a,b", "c"])
    rows = (tmp_path / "persons.csv").read_text().splitlines()
    assert rows[0] == "tracklet,camid,start,end,person,confidence"
    assert rows[1].startswith('"a,b",1,0.000,2.500,1,')
    assert rows[2].startswith("c,2,,,2,")
    with pytest.raises(ValueError, match="1 names for 2 tracklets"):
        found.to_csv(tmp_path / "persons.csv", ["a"])


def test_the_automatic_threshold_moves_with_pairs_seen_at_once_and_names_what_it_rests_on():
    rng = np.random.default_rng(0)
    thresholds = []
    for shared in (0.0, 0.5):  # similarity of any two persons
        vectors = rng.normal(size=(60, 64)) + 8 * shared * np.eye(64)[0]
        seen = {"camids": np.zeros(60, int), "start": np.zeros(60), "end": np.ones(60)}
        thresholds.append(link(vectors, **seen, centre=False).threshold)
    assert [one.pairs for one in thresholds] == [60 * 59 // 2] * 2
    assert all(one.low <= one.value <= one.high for one in thresholds)
    assert thresholds[1].value > thresholds[0].value + 0.1
    assert "midway between 1 % false links and the highest expected F1, from 1,770 pairs seen at once" in str(
        thresholds[0]
    )
    stricter = link(vectors, **seen, far=0.001, centre=False).threshold
    assert stricter.value > thresholds[1].value
    halves = rng.normal(size=(40, 64))
    kept = link(vectors, **seen, halves=(halves, halves + 2 * rng.normal(size=(40, 64)))).threshold
    assert kept.value < thresholds[1].value
    assert kept.halves == 40
    assert "and 40 halved tracks" in str(kept)


@pytest.mark.parametrize("far", [0, 0.6, float("nan")])
def test_a_rate_out_of_range_is_refused(far: float):
    with pytest.raises(ValueError, match="give a rate above 0 and at most"):
        link(np.ones((2, 3)), camids=[1, 2], far=far)


def test_a_threshold_that_rests_on_little_says_so():
    rng = np.random.default_rng(0)
    vectors, camids = rng.normal(size=(30, 16)), np.zeros(30, np.int64)
    apart = link(vectors, camids=camids, start=np.arange(30) * 10.0, end=np.arange(30) * 10.0 + 5)
    assert "from 0 pairs seen at once: so few that it is mostly that of the packaged weights" in str(apart)
    together = link(vectors, camids=camids, start=np.zeros(30), end=np.ones(30))
    assert "from 435 pairs seen at once" in str(together)
    assert "halved" not in str(together)
    assert "so few" not in str(together)


def test_a_threshold_borrowed_from_the_packaged_weights_warns_for_vectors_of_another_model():
    for tag, measured in zip(("people_v1", "people_v2"), MEASURED, strict=True):
        config = json.loads((SHIPPED / f"denseil_mobilenetv2.{tag}" / "config.json").read_text())
        assert config["denseil"]["model_id"] == measured  # else measure MEAN and SPREAD anew
    few = {"camids": [1, 2], "start": [0, 20]}
    with pytest.warns(UserWarning, match="rests on 0 pairs .* not known to be of it: give a threshold") as caught:
        link(np.eye(2), **few)
    assert [one.filename for one in caught] == [__file__]
    with pytest.warns(UserWarning, match="are not of it: give a threshold"):
        link(np.eye(2), **few, model_id="f" * 40)
    with pytest.warns(UserWarning, match="rests on 0 pairs") as caught:
        OnlineLinker()
    assert [one.filename for one in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        link(np.eye(2), **few, model_id=MEASURED[0])
        link(np.eye(2), **few, threshold=0.5)
        link(np.eye(11), camids=np.zeros(11), start=np.zeros(11))  # 55 pairs
        OnlineLinker(model_id=MEASURED[0])
        OnlineLinker(threshold=0.5)


@pytest.mark.parametrize("pair", [(0, 0), (0, 9), torch.ones(2, 3), (np.ones(2), np.ones(2)), (0, 1, 2), 3])
def test_what_is_no_pair_of_rows_is_named(pair: object):
    with pytest.raises((TypeError, ValueError), match=r"cannot_link holds .*; give pairs of two different rows"):
        link(np.eye(3), camids=[1, 2, 3], threshold=0.5, cannot_link=[pair])
