"""Sums of the vectors of many persons, to find the most similar one with one product."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denseil.linking.sketch import SLACK, Sketch

MANY = 512  # persons; above, a product with a few components comes first
SHARE = 8  # one row in so many is copied at most


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
        self._used = 0  # rows that have ever been used
        self._sketch: Sketch | None = None

    def __len__(self) -> int:
        return len(self.row)

    def add(self, person: int, vector: NDArray[np.float32], count: float = 1) -> None:
        """Add a sum of `count` vectors to a person, who may be new; a negative count takes vectors out."""
        if person not in self.row:
            if not self._free:
                self._grow()
            self.row[person] = row = self._free.pop()
            self.person[row] = person
            self._used = max(self._used, row + 1)
        row = self.row[person]
        self.sums[row] += vector
        self.sizes[row] += count
        if self._sketch is not None:
            self._sketch.set(row, self.sums[row])

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
        """Persons whose average similarity to a vector, at most 1 long, reaches the threshold; most similar first."""
        rows = self.likely(vector, threshold)
        sums = self.sums[: self._used] if len(rows) == self._used else self.sums[rows]
        with np.errstate(invalid="ignore"):
            similar = sums @ vector / self.sizes[rows]
        person = self.person[rows]
        found = np.flatnonzero((person >= 0) & (similar >= threshold))
        found = found[np.lexsort((person[found], -similar[found]))]
        return list(zip(person[found].tolist(), similar[found].tolist(), strict=True))

    def likely(self, vector: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
        """Rows that hold all persons who reach the threshold: few of many, or all that are used."""
        if self._sketch is not None:
            least = np.where(self.person >= 0, np.float32(threshold - SLACK) * self.sizes, np.float32(np.inf))
            rows = self._sketch.reach(vector, least, self._used)
            if len(rows) * SHARE < self._used:
                return rows
        return np.arange(self._used)

    def _grow(self) -> None:
        size = len(self.sizes)
        self.sums = np.concatenate([self.sums, np.zeros_like(self.sums)])
        self.sizes = np.concatenate([self.sizes, np.zeros_like(self.sizes)])
        self.person = np.concatenate([self.person, np.full(size, -1, np.int64)])
        self._free = list(range(2 * size - 1, size - 1, -1))
        if size >= MANY:
            self._sketch = Sketch(self.sums)
