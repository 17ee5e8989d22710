"""The nearest neighbours of many vectors, as a graph."""

from __future__ import annotations

import numpy as np
import torch
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
    table = torch.from_numpy(vectors)
    found: Neighbours = [set() for _ in range(len(vectors))]
    for first in range(0, len(vectors), BLOCK):
        similar = table[first : first + BLOCK] @ table.T  # (block, N)
        similar[torch.arange(len(similar)), first + torch.arange(len(similar))] = -2
        values, rows = similar.topk(min(k, similar.shape[1]), dim=1)
        for offset, (near, columns) in enumerate(zip(values.tolist(), rows.tolist(), strict=True)):
            for value, column in zip(near, columns, strict=True):
                if value >= threshold:
                    found[first + offset].add(column)
                    found[column].add(first + offset)
    return found
