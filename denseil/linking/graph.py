"""The nearest neighbours of many vectors, as a graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denseil.linking.agglomerate import Neighbours

BLOCK = 512


def nearest_rows(vectors: NDArray[np.float32], k: int, threshold: float) -> Neighbours:
    """Find the k most similar rows of each row, of those that reach the threshold; in both directions.

    Args:
        vectors: Unit vectors (N, D).
        k: How many.
        threshold: Least cosine similarity; a cluster of a lower one is not made from single rows.
    """
    found: Neighbours = [set() for _ in range(len(vectors))]
    for first in range(0, len(vectors), BLOCK):
        similar = vectors[first : first + BLOCK] @ vectors.T  # (block, N)
        own = np.arange(len(similar))
        similar[own, first + own] = -2
        most = min(k, similar.shape[1])
        rows = np.argpartition(similar, -most, axis=1)[:, -most:]
        for place, column in np.argwhere(np.take_along_axis(similar, rows, 1) >= threshold).tolist():
            row, other = first + place, int(rows[place, column])
            found[row].add(other)
            found[other].add(row)
    return found
