"""Sampling of the frames of a clip from a number of frames."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import checked, shown

MOST_FRAMES, MOST_CLIP_LEN = 10**7, 10**5  # more is a mistake, and would fill the memory


@checked
def sample_random(num_frames: int, clip_len: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sample one random frame from each of `clip_len` equal chunks, in time order (restricted random sampling).

    Chunk k has the frames from floor(k n / T) to floor((k + 1) n / T). The frames of a tracklet shorter than the clip
    are repeated by even spacing.

    Args:
        num_frames: Frames of the tracklet, n >= 1.
        clip_len: Frames of the clip, T >= 1.
        rng: Random generator.

    Returns:
        Positions (T,), not decreasing.

    Raises:
        ValueError: If a number is below 1, n is above 10,000,000 or T above 100,000.
    """
    start, stop = _chunks(num_frames, clip_len)
    return start + (rng.random(clip_len) * (stop - start)).astype(np.int64)


@checked
def sample_even(num_frames: int, clip_len: int) -> NDArray[np.int64]:
    """Take the middle frame of each chunk of `sample_random`.

    Returns:
        Positions (T,), not decreasing.
    """
    start, stop = _chunks(num_frames, clip_len)
    return (start + stop - 1) // 2


@checked
def sample_all(
    num_frames: int, clip_len: int, *, order: Literal["interleaved", "contiguous"] = "interleaved"
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Split all frames into clips.

    Interleaved, clip c of C has the frames c, c + C, c + 2C, ...: each clip spans the whole tracklet, as in training,
    and lengths differ by at most one frame. Contiguous, clip c has the frames cT to (c + 1)T - 1, and only the last is
    shorter.

    Returns:
        Positions (C, T), C = ceil(n / T), each row in time order, and a mask (C, T), True where a frame is real. The
        padding comes last in a row and repeats its last real frame.
    """
    _check(num_frames, clip_len)
    clips = -(-num_frames // clip_len)
    if order == "interleaved":
        positions = np.arange(clip_len * clips).reshape(clip_len, clips).T
    elif order == "contiguous":
        positions = np.arange(clips * clip_len).reshape(clips, clip_len)
    else:
        raise ValueError(f"order must be 'interleaved' or 'contiguous', got {shown(order)}")
    mask = positions < num_frames
    last = np.where(mask, positions, -1).max(axis=1, keepdims=True)
    return np.where(mask, positions, last), mask


def _chunks(num_frames: int, clip_len: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return starts (T,) and ends (T,) of equal chunks, none of them empty."""
    _check(num_frames, clip_len)
    edges = np.arange(clip_len + 1) * num_frames // clip_len
    return edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)


def _check(num_frames: int, clip_len: int) -> None:
    if num_frames < 1 or clip_len < 1:
        raise ValueError(f"a tracklet and a clip have at least one frame, got {num_frames} and {clip_len}")
    if num_frames > MOST_FRAMES or clip_len > MOST_CLIP_LEN:
        raise ValueError(
            f"num_frames={num_frames}, clip_len={clip_len}: a tracklet has at most {MOST_FRAMES:,} frames, a clip "
            f"{MOST_CLIP_LEN:,}"
        )
