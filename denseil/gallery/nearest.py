"""Exact search for the k nearest vectors, block by block, for every gallery."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from denseil.gallery.record import FloatArray, Hit, Record

Block: TypeAlias = tuple[FloatArray, Callable[[list[int]], list[Record]]]
"""Vectors (n, D), and a function that returns the records of some of their rows."""

BLOCK = 4096  # gallery rows compared at once: 64 MB of similarities for 4,096 queries


class Nearest:
    """Running k nearest rows of each query over blocks of vectors.

    Args:
        queries: Vectors (Q, D) of length 1.
        k: Number of rows to keep.
    """

    def __init__(self, queries: FloatArray, k: int) -> None:
        self.queries, self.k, self.seen = queries, k, 0
        self.similarity = np.empty((len(queries), 0), np.float32)  # (Q, up to k)
        self.row = np.empty((len(queries), 0), np.int64)  # counted over all blocks

    def see(self, vectors: FloatArray) -> None:
        """Compare with a block of vectors (N, D) of length 1."""
        for first in range(0, len(vectors), BLOCK):
            similarity = self.queries @ vectors[first : first + BLOCK].T  # (Q, n)
            best = _largest(similarity, self.k)
            self._merge(np.take_along_axis(similarity, best, 1), best + (self.seen + first))
        self.seen += len(vectors)

    def _merge(self, similarity: FloatArray, row: npt.NDArray[np.int64]) -> None:
        similarity = np.concatenate([self.similarity, similarity], 1)
        row = np.concatenate([self.row, row], 1)
        best = _largest(similarity, self.k)
        self.similarity, self.row = np.take_along_axis(similarity, best, 1), np.take_along_axis(row, best, 1)

    def sorted(self) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Return cosine distances (Q, k), ascending, and their rows; equal distances in the order of rows."""
        order = np.lexsort((self.row, -self.similarity))
        distance = 1 - np.take_along_axis(self.similarity, order, 1)
        return np.clip(distance, 0, 2), np.take_along_axis(self.row, order, 1)


def search_blocks(queries: FloatArray, k: int, blocks: Iterable[Block]) -> list[list[Hit]]:
    """Search blocks of vectors in one pass; only records among the nearest so far are read.

    Args:
        queries: Vectors (Q, D) of length 1.
        k: Number of neighbours per query.
        blocks: The blocks to search.
    """
    nearest = Nearest(queries, k)
    found: dict[int, Record] = {}
    for vectors, records_of in blocks:
        first = nearest.seen
        nearest.see(vectors)
        best = set(nearest.row.ravel().tolist())
        found = {row: record for row, record in found.items() if row in best}
        new = sorted(row for row in best if row >= first)
        if new:
            found.update(zip(new, records_of([row - first for row in new]), strict=True))
    return [
        [Hit(found[row], distance) for distance, row in zip(*one, strict=True)]
        for one in zip(*(array.tolist() for array in nearest.sorted()), strict=True)
    ]


def _largest(values: FloatArray, k: int) -> npt.NDArray[np.int64]:
    """Return the indices (Q, at most k) of each row's largest values, unordered."""
    if values.shape[1] <= k:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, -k, axis=1)[:, -k:]
