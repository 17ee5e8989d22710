"""Sums of the vectors of many persons, to find the most similar one with one product."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Pool:
    """Sums and numbers of the vectors of persons, by the person's number.

    Args:
        dim: Width of the vectors.
    """

    def __init__(self, dim: int) -> None:
        self.sums = np.zeros((64, dim), np.float32)
        self.sizes = np.zeros(64, np.float32)
        self.person = np.full(64, -1, np.int64)  # of each row; -1 for an empty one
        self.row: dict[int, int] = {}
        self._free = list(range(63, -1, -1))

    def __len__(self) -> int:
        return len(self.row)

    def add(self, person: int, vector: NDArray[np.float32], count: float = 1) -> None:
        """Add a sum of `count` vectors to a person, who may be new; a negative count takes vectors out."""
        if person not in self.row:
            if not self._free:
                self._grow()
            self.row[person] = row = self._free.pop()
            self.person[row] = person
        row = self.row[person]
        self.sums[row] += vector
        self.sizes[row] += count

    def remove(self, person: int) -> tuple[NDArray[np.float32], float]:
        """Remove a person; returns the sum and the number of vectors."""
        row = self.row.pop(person)
        found = self.sums[row].copy(), float(self.sizes[row])
        self.sums[row], self.sizes[row], self.person[row] = 0, 0, -1
        self._free.append(row)
        return found

    def mean(self, person: int) -> NDArray[np.float32]:
        """Mean vector (D,) of a person."""
        row = self.row[person]
        mean: NDArray[np.float32] = self.sums[row] / self.sizes[row]
        return mean

    def similar(self, vector: NDArray[np.float32], threshold: float) -> list[tuple[int, float]]:
        """Persons whose average similarity to a vector reaches the threshold, most similar first."""
        with np.errstate(invalid="ignore"):
            similar = self.sums @ vector / self.sizes
        rows = np.flatnonzero((self.person >= 0) & (similar >= threshold))
        rows = rows[np.lexsort((self.person[rows], -similar[rows]))]
        return list(zip(self.person[rows].tolist(), similar[rows].tolist(), strict=True))

    def _grow(self) -> None:
        size = len(self.sizes)
        self.sums = np.concatenate([self.sums, np.zeros_like(self.sums)])
        self.sizes = np.concatenate([self.sizes, np.zeros_like(self.sizes)])
        self.person = np.concatenate([self.person, np.full(size, -1, np.int64)])
        self._free = list(range(2 * size - 1, size - 1, -1))
