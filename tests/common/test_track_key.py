import pytest
from hypothesis import given
from hypothesis import strategies as st

from denseil.common.track_key import TrackKey, check_unique

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["a/b", "x@2", "%2F", "c1", "/"]
)
KEYS = st.builds(
    TrackKey,
    st.integers(-(2**63), 2**63 - 1),
    NAMES,
    NAMES.filter(bool),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)


def test_an_id_says_camera_source_track_and_start():
    assert str(TrackKey(1, "clip.mp4", "12", 30.5)) == "c1/clip.mp4/12@30.5"
    assert str(TrackKey(0, "", "12")) == "c0/12"
    assert str(TrackKey(3, "a/b", "x/y@1", 0.0)) == "c3/a/b/x%2Fy%401@0"
    assert str(TrackKey(3, "two\nlines", "\udcff")) == "c3/two%0Alines/%FF"  # a name that is not UTF-8


@given(KEYS)
def test_an_id_can_be_read_and_printed(key):
    assert TrackKey.parse(str(key)) == key
    assert str(key).isprintable()


@given(KEYS, KEYS)
def test_different_keys_have_different_ids(one, other):
    assert (str(one) == str(other)) == (one == other)


@pytest.mark.parametrize(
    "text", ["", "12", "c1", "c1/", "cx/a", "c1/a@", "c1/a@nan", "c1/a@1.0", "c01/a", "c1/%zz", "c1/%41"]
)
def test_other_texts_are_not_ids(text):
    with pytest.raises(ValueError, match="not the id of a tracklet"):
        TrackKey.parse(text)


def test_no_empty_track_and_no_infinite_start():
    with pytest.raises(ValueError, match="is empty"):
        TrackKey(1, "a", "")
    with pytest.raises(ValueError, match="not finite"):
        TrackKey(1, "a", "b", float("nan"))
    with pytest.raises(ValueError, match="not valid Unicode"):
        TrackKey(1, "a", "\ud800")


def test_collisions_are_counted():
    keys = [TrackKey(1, "a", name) for name in "xyxzx"]
    assert check_unique(keys[:2]) == ["c1/a/x", "c1/a/y"]
    with pytest.raises(ValueError, match=r"3 of 5 tracklets share 1 id, first 'c1/a/x' \(3 times\)"):
        check_unique(keys)
