import pickle
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from denseil.data import Frames, Tracklet

names = st.lists(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), max_size=9)


@given(names, st.integers(0, 9), st.integers(0, 9))
def test_frames_are_a_sequence_of_paths(names, start, stop):
    frames = Frames("folder", names)
    paths = [f"folder/{name}" for name in names]
    assert list(frames) == paths
    assert [frames[i] for i in range(len(frames))] == paths
    assert list(frames[start:stop]) == paths[start:stop]
    assert pickle.loads(pickle.dumps(frames)) == frames
    assert hash(Frames("folder", names)) == hash(frames)


def test_equal_frames_have_one_hash_whatever_they_were_cut_from():
    cut, made = Frames("a", ["1.jpg", "10.jpg"])[:1], Frames("a", ["1.jpg"])
    assert cut == made
    assert len({cut, made}) == 1


def test_frames_differ():
    assert Frames("a", ["1"]) != Frames("b", ["1"])
    assert Frames("a", ["1"]) != Frames("a", ["1", "2"])
    assert Frames("a", ["1"]) != ["a/1"]


def test_a_slice_shares_memory():
    frames = Frames("a", [f"{i}.jpg" for i in range(100)])
    assert np.shares_memory(frames[10:20].names, frames.names)


def test_a_tracklet_is_frozen_picklable_and_not_empty():
    tracklet = Tracklet(Frames("a", ["1.jpg"]), 3, 1, "t")
    assert pickle.loads(pickle.dumps(tracklet)) == tracklet
    with pytest.raises(AttributeError):
        tracklet.pid = 4
    with pytest.raises(ValueError, match=r"tracklet 'x' .pid 3, camera 1. has no frames"):
        Tracklet([], 3, 1, "x")


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        ({"frames": {"a", "b"}}, TypeError, "in time order"),
        ({"frames": "abc"}, TypeError, "in time order"),
        ({"pid": -2}, ValueError, "has pid -2"),
        ({"pid": 2**63}, ValueError, "below 2\\^63"),
        ({"camid": -1}, ValueError, "camid -1"),
        ({"start": float("nan")}, ValueError, "finite seconds"),
        ({"start": 2.0, "end": 1.0}, ValueError, "from 2.0 to 1.0"),
        ({"start": np.float32(1.7e9)}, ValueError, "of type float32, whose numbers are 128 s apart"),
    ],
)
def test_what_no_tracklet_has_is_refused(values, error, text):
    with pytest.raises(error, match=text):
        Tracklet(**{"frames": ["a"], "pid": 1, "camid": 1, **values})


def test_labels_are_whole_numbers_by_value():
    pids = {Tracklet(["a"], make(3), 1).pid for make in (int, np.int8, torch.tensor)}
    assert pids == {3}  # tensors are equal to themselves alone


@pytest.mark.parametrize(
    ("names", "error", "text"),
    [
        ("abc", TypeError, "names='abc'"),
        (["a", 1], TypeError, "name is 1"),
        ([None], TypeError, "name is None"),
        (np.array([1, 2]), TypeError, "must be text or a path"),
        (np.array([[b"a"]]), TypeError, "must be text or a path"),
        (["\ud800"], ValueError, "cannot be a file's"),
    ],
)
def test_names_that_no_file_has(names, error, text):
    with pytest.raises(error, match=text):
        Frames("a", names)


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    from denseil.data import read_dataset
    from tests.data.trees import mars_tree

    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"to read MATLAB files, scipy is needed: pip install 'denseil\[data\]'"
    ):
        read_dataset("mars", mars_tree(tmp_path))
