import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from denseil.data import sample_all, sample_even, sample_random

lengths = st.integers(1, 400)
clips = st.integers(1, 40)
LAWS = {
    "random": lambda n, t, seed: sample_random(n, t, np.random.default_rng(seed)),
    "even": lambda n, t, _: sample_even(n, t),
}


@pytest.mark.parametrize("law", LAWS)
@given(n=lengths, t=clips, seed=st.integers(0, 2**32))
def test_one_frame_of_each_chunk_in_time_order(law, n, t, seed):
    positions = LAWS[law](n, t, seed)
    assert positions.shape == (t,)
    assert positions.dtype == np.int64
    assert (np.diff(positions) >= 0).all()
    for k, position in enumerate(positions):
        start = k * n // t
        assert start <= position < max((k + 1) * n // t, start + 1)


@pytest.mark.parametrize("law", LAWS)
@given(n=lengths, t=clips)
def test_a_short_tracklet_repeats_evenly(law, n, t):
    counts = np.bincount(LAWS[law](n, t, 0), minlength=n)
    if n <= t:
        assert counts.min() >= 1
        assert counts.max() - counts.min() <= 1
    else:
        assert counts.max() == 1


def test_random_reaches_every_frame_and_only_by_the_generator():
    seen = {int(p) for seed in range(200) for p in sample_random(20, 4, np.random.default_rng(seed))}
    assert seen == set(range(20))
    first = sample_random(100, 8, np.random.default_rng(1))
    assert np.array_equal(first, sample_random(100, 8, np.random.default_rng(1)))


def test_even_is_the_middle():
    assert sample_even(80, 8).tolist() == [4, 14, 24, 34, 44, 54, 64, 74]
    assert sample_even(3, 8).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


@given(n=lengths, t=clips, order=st.sampled_from(["interleaved", "contiguous"]))
def test_all_frames_once_and_padding_last(n, t, order):
    positions, mask = sample_all(n, t, order=order)
    assert positions.shape == mask.shape == (-(-n // t), t)
    assert sorted(positions[mask].tolist()) == list(range(n))
    assert mask[:, 0].all()
    assert (np.diff(mask.astype(int), axis=1) <= 0).all()
    assert (np.diff(positions, axis=1) >= 0).all()
    assert (positions < n).all()
    if order == "interleaved":
        assert mask.sum(1).max() - mask.sum(1).min() <= 1
    else:
        assert mask[:-1].all()


def test_interleaved_clips_span_the_tracklet():
    positions, mask = sample_all(10, 4)
    assert positions.tolist() == [[0, 3, 6, 9], [1, 4, 7, 7], [2, 5, 8, 8]]
    assert mask.tolist() == [[True] * 4, [True, True, True, False], [True, True, True, False]]


@pytest.mark.parametrize(("n", "t"), [(0, 8), (8, 0), (-1, 8)])
def test_nothing_to_sample(n, t):
    for sample in (sample_even, sample_all, lambda n, t: sample_random(n, t, np.random.default_rng())):
        with pytest.raises(ValueError, match="at least one frame"):
            sample(n, t)


def test_unknown_order():
    with pytest.raises(ValueError, match="'interleaved' or 'contiguous', got 'both'"):
        sample_all(4, 2, order="both")


@pytest.mark.parametrize(("num_frames", "clip_len"), [(4, 2**31), (2**31, 4), (10**7 + 1, 8)])
def test_numbers_that_would_fill_the_memory_are_refused(num_frames: int, clip_len: int):
    with pytest.raises(ValueError, match=r"a tracklet has at most 10,000,000 frames, a clip 100,000"):
        sample_all(num_frames, clip_len)
    with pytest.raises(ValueError, match=r"at most 10,000,000 frames"):
        sample_even(num_frames, clip_len)
