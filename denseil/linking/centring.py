"""Vectors without what all those of one camera have in common: its light, its noise, its height."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denseil.linking.checks import Tracks

PRIOR = 5  # tracklets seen at once with which half of a camera's mean is taken out


def centred(tracks: Tracks) -> tuple[Tracks, bool]:
    """Take the mean vector out of the vectors of each camera, as far as it is known to be of several persons.

    Of a camera's mean vector, n / (n + 5) is subtracted from each of its vectors, which are then scaled to length 1; n
    is the number of its tracklets that were seen at once with another one. A camera without such tracklets may show
    one person only, who would be the mean, so its vectors stay as they are.

    Args:
        tracks: Tracklets.

    Returns:
        The tracklets, and whether any vector has changed.
    """
    vectors, changed = tracks.vectors.copy(), False
    for camera in np.unique(tracks.camids):
        rows = np.flatnonzero(tracks.camids == camera)
        count = int(_seen_with_others(tracks.start[rows], tracks.end[rows]).sum())
        if count:
            moved = vectors[rows] - count / (count + PRIOR) * vectors[rows].mean(0)
            vectors[rows] = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
            changed = True
    return Tracks(vectors, tracks.camids, tracks.start, tracks.end), changed


def _seen_with_others(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each span of time (N,) has an instant in common with another one; NaN has not."""
    known = np.flatnonzero(np.isfinite(start + end))
    order = known[np.argsort(start[known])]
    found = np.zeros(len(start), bool)
    if len(order) > 1:
        found[order[1:]] |= start[order[1:]] <= np.maximum.accumulate(end[order])[:-1]
        found[order[:-1]] |= start[order[1:]] <= end[order[:-1]]
    return found
