"""Average linkage that obeys constraints, in memory that grows with the number of tracklets, not of pairs.

The mean similarity of two groups of unit vectors is the product of their mean vectors, so no matrix of pairs is kept.
Groups are joined along chains of nearest neighbours (Murtagh, The Computer Journal 26(4), 1983), which gives the same
groups as joining the most similar pair each time: to join two groups never brings them nearer to a third, constraints
included.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-6  # similarities this near are equal, so that chains end however products are rounded


class ConflictError(ValueError):
    """Tracklets that must be one person and cannot be."""


def average_linkage(
    vectors: NDArray[np.float32],
    threshold: float,
    *,
    cannot: Iterable[tuple[int, int]] = (),
    must: Iterable[tuple[int, int]] = (),
) -> NDArray[np.int64]:
    """Join tracklets into persons while the mean similarity of two groups is at least the threshold.

    Args:
        vectors: (N, D), of length 1.
        threshold: Cosine similarity.
        cannot: Pairs that never are in one group.
        must: Pairs that always are.

    Returns:
        (N,) the group of each tracklet: the smallest number of a tracklet in it.

    Raises:
        ConflictError: If pairs that must be in one group cannot be.
    """
    groups = _Groups(vectors, cannot)
    for a, b in must:
        groups.join_anyway(a, b)
    chain: list[int] = []
    while True:
        if not chain:
            left = groups.next_open()
            if left is None:
                return groups.labels()
            chain.append(left)
        tip = chain[-1]
        before = chain[-2] if len(chain) > 1 else None
        nearest, similarity = groups.nearest(tip, before)
        if nearest is None or similarity < threshold:
            groups.close(tip)  # what others become later is never more similar to it
            chain.pop()
        elif nearest == before:
            del chain[-2:]
            groups.join(tip, nearest)
        else:
            chain.append(nearest)


class _Groups:
    """Groups by the number of their first tracklet, with mean vectors and what they cannot be joined with."""

    def __init__(self, vectors: NDArray[np.float32], cannot: Iterable[tuple[int, int]]) -> None:
        count = len(vectors)
        self.means = vectors.astype(np.float32, copy=True)
        self.sizes = np.ones(count, dtype=np.int64)
        self.parent = np.arange(count)
        self.open = np.ones(count, dtype=np.bool_)  # groups that may still be joined
        self.cannot: list[set[int]] = [set() for _ in range(count)]
        for a, b in cannot:
            self.cannot[a].add(b)
            self.cannot[b].add(a)
        self._first_open = 0

    def next_open(self) -> int | None:
        while self._first_open < len(self.open) and not self.open[self._first_open]:
            self._first_open += 1
        return self._first_open if self._first_open < len(self.open) else None

    def nearest(self, group: int, prefer: int | None) -> tuple[int | None, float]:
        """The open group that is most similar and may be joined; of equals `prefer`, else the smallest number."""
        similar = self.means @ self.means[group]
        similar[~self.open] = -np.inf
        similar[group] = -np.inf
        if self.cannot[group]:
            similar[list(self.cannot[group])] = -np.inf
        best = int(similar.argmax())
        if similar[best] == -np.inf:
            return None, -np.inf
        if prefer is not None and similar[prefer] >= similar[best] - ROUNDING:
            best = prefer
        return best, float(similar[best])

    def close(self, group: int) -> None:
        self.open[group] = False

    def join(self, a: int, b: int) -> None:
        """Make the group with the greater number a part of the other."""
        a, b = min(a, b), max(a, b)
        total = self.sizes[a] + self.sizes[b]
        self.means[a] = (self.sizes[a] * self.means[a] + self.sizes[b] * self.means[b]) / total
        self.sizes[a], self.open[b], self.parent[b] = total, False, a
        for other in self.cannot[b]:
            self.cannot[other].discard(b)
            self.cannot[other].add(a)
        self.cannot[a] |= self.cannot[b]
        self.cannot[b] = set()

    def join_anyway(self, a: int, b: int) -> None:
        """Join the groups of two tracklets, however similar.

        Raises:
            ConflictError: If they cannot be.
        """
        first, second = self.root(a), self.root(b)
        if first == second:
            return
        if second in self.cannot[first]:
            raise ConflictError(
                f"tracklets {a} and {b} must be one person, and cannot be: correct the answers or times"
            )
        self.join(first, second)

    def root(self, tracklet: int) -> int:
        while self.parent[tracklet] != tracklet:
            tracklet = int(self.parent[tracklet])
        return tracklet

    def labels(self) -> NDArray[np.int64]:
        return np.array([self.root(tracklet) for tracklet in range(len(self.parent))], dtype=np.int64)
