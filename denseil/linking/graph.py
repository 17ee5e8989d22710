"""The nearest neighbours of many vectors, as a graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denseil.linking.agglomerate import Neighbours

MOST = 1 << 24  # similarities at a time


def nearest_rows(vectors: NDArray[np.float32], k: int, threshold: float) -> Neighbours:
    """Find the k most similar rows of each row, of those that reach the threshold; in both directions.

    Args:
        vectors: Unit vectors (N, D).
        k: How many.
        threshold: Least cosine similarity; a cluster of a lower one is not made from single rows.
    """
    count, found = len(vectors), [np.empty((0, 2), np.int64)]
    step = max(1, MOST // max(1, count))
    for first in range(0, count, step):
        similar = vectors[first : first + step] @ vectors.T  # (step, N)
        own = np.arange(len(similar))
        similar[own, first + own] = -2
        for row, reach in zip((first + own).tolist(), similar >= threshold, strict=True):
            near = np.flatnonzero(reach)
            if len(near) > k:
                near = near[np.argpartition(similar[row - first, near], -k)[-k:]]
            found.append(np.stack([np.full(len(near), row), near], axis=1))
    pairs = np.concatenate(found)
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    return np.split(pairs[:, 1], np.searchsorted(pairs[:, 0], np.arange(1, count)))
