import pickle
import subprocess
import sys

import numpy as np
import pytest
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


def test_the_import_brings_nothing_optional():
    code = (
        "import sys, denseil.data; print([m for m in ('scipy', 'h5py', 'pyarrow', 'simplejpeg') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    from denseil.data import read_dataset
    from tests.data.trees import mars_tree

    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"to read MATLAB files, scipy is needed: pip install 'denseil\[data\]'"
    ):
        read_dataset("mars", mars_tree(tmp_path))
