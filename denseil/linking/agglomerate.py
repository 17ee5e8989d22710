"""Average linkage under constraints, exact, without a matrix of distances.

The average similarity of two clusters of unit vectors is the product of their mean vectors, so the sums of the clusters
are all that is kept. A merged cluster is never more similar to a third than the nearer of its two parts was
(reducibility), so the best partner that was once found for a cluster is an upper bound until it comes up.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from denseil.linking.rules import ConflictError, Rules

BLOCK = 512  # rows of similarities at a time
Neighbours = list[NDArray[np.int64]]


def agglomerate(
    vectors: NDArray[np.float32],
    rules: Rules,
    threshold: float,
    *,
    must_link: Sequence[tuple[int, int]] = (),
    neighbours: Neighbours | None = None,
) -> NDArray[np.int64]:
    """Merge the two most similar clusters that no rule bars, until their average similarity is below the threshold.

    Args:
        vectors: Unit vectors (N, D).
        rules: Pairs that are never merged.
        threshold: Least average cosine similarity.
        must_link: Pairs of rows that are merged first.
        neighbours: The rows that each row can be merged with; None for all.

    Returns:
        A cluster for each row (N,).

    Raises:
        ValueError: If pairs of `must_link` are barred by the rules.
    """
    return _Clusters(vectors, rules, threshold, neighbours).run(must_link)


class _Clusters:
    """Clusters in slots; the slot of a cluster is that of its first row."""

    def __init__(
        self, vectors: NDArray[np.float32], rules: Rules, threshold: float, neighbours: Neighbours | None
    ) -> None:
        count = len(vectors)
        self.vectors, self.rules, self.threshold, self.neighbours = vectors, rules, threshold, neighbours
        self.sums, self.sizes = vectors.copy(), np.ones(count, np.float32)
        self.slot = np.arange(count)  # of each row
        self.alive = np.arange(count)  # slots of the rows of `sums`; emptied ones are removed now and then
        self.place = np.arange(count)  # of each slot in `sums`
        self.members = {row: [row] for row in range(count)}
        self.version = np.zeros(count, np.int64)
        self.heap: list[tuple[float, int, int, int, int]] = []  # -similarity, slot, partner, and their versions

    def run(self, must_link: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
        for one, other in must_link:
            a, b = sorted((int(self.slot[one]), int(self.slot[other])))
            if a != b:
                first, second = self.members[a], self.members[b]
                barred = np.argwhere(self.rules.barred(np.array(first), np.array(second)))
                if len(barred):
                    pair = first[barred[0, 0]], second[barred[0, 1]]
                    raise ConflictError((one, other), pair, self.rules.why(*pair))
                self._merge(a, b)
        self._push_all()
        while self.heap:
            _, a, b, version_a, version_b = heapq.heappop(self.heap)
            if self.version[a] != version_a:
                continue
            if self.version[b] != version_b:
                self._push(a)
                continue
            a, b = min(a, b), max(a, b)
            self._merge(a, b)
            self._push(a)
        return self.slot

    def _merge(self, a: int, b: int) -> None:
        kept, emptied = self.place[[a, b]]
        self.sums[kept] += self.sums[emptied]
        self.sizes[kept] += self.sizes[emptied]
        self.sums[emptied], self.sizes[emptied] = 0, np.inf  # similarity 0
        self.slot[self.members[b]] = a
        self.members[a] += self.members.pop(b)
        self.version[[a, b]] += 1
        if self.neighbours is not None:
            self.neighbours[a] = np.unique(self.slot[np.concatenate([self.neighbours[a], self.neighbours[b]])])
            self.neighbours[b] = self.neighbours[b][:0]
        elif 2 * len(self.members) < len(self.alive):
            keep = np.isfinite(self.sizes)
            self.alive, self.sums, self.sizes = self.alive[keep], self.sums[keep], self.sizes[keep]
            self.place[self.alive] = np.arange(len(self.alive))

    def _barred(self, a: int, b: int) -> bool:
        return bool(self.rules.barred(np.array(self.members[a]), np.array(self.members[b])).any())

    def _push(self, a: int) -> None:
        """Find the most similar partner of a slot that no rule bars."""
        own = self.place[a]
        if self.neighbours is None:
            candidates, sums, sizes = self.alive, self.sums, self.sizes
        else:
            candidates = np.unique(self.slot[self.neighbours[a]])
            sums, sizes = self.sums[candidates], self.sizes[candidates]
        similar = sums @ self.sums[own] / (sizes * self.sizes[own])
        similar[(candidates == a) | np.isinf(sizes)] = -np.inf
        for attempt in range(2):
            best = int(similar.argmax()) if len(similar) else 0
            if not len(similar) or similar[best] < self.threshold:
                return
            b = int(candidates[best])
            if attempt or not self._barred(a, b):
                self._add(float(similar[best]), a, b)
                return
            similar[np.isin(candidates, self._all_barred(a, candidates[similar >= self.threshold]))] = -np.inf

    def _all_barred(self, a: int, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of the given slots that a rule keeps apart from slot `a`."""
        rows = np.array([row for slot in slots.tolist() for row in self.members[slot]])
        barred = np.zeros(len(rows), bool)
        own = np.array(self.members[a])
        for place in range(0, len(own), BLOCK):
            barred |= self.rules.barred(own[place : place + BLOCK], rows).any(0)
        found: NDArray[np.int64] = np.unique(self.slot[rows[barred]])
        return found

    def _add(self, similarity: float, a: int, b: int) -> None:
        heapq.heappush(self.heap, (-similarity, a, b, int(self.version[a]), int(self.version[b])))

    def _push_all(self) -> None:
        """Find the partner of every cluster; of single rows in blocks."""
        single = np.array([slot for slot, rows in sorted(self.members.items()) if len(rows) == 1], np.int64)
        if self.neighbours is not None or len(single) < len(self.vectors):
            for slot in sorted(self.members):
                self._push(slot)
            return
        for place in range(0, len(single), BLOCK):
            rows = single[place : place + BLOCK]
            similar = self.vectors[rows] @ self.vectors.T  # (block, N)
            similar[np.arange(len(rows)), rows] = -np.inf
            likely = np.flatnonzero(similar.max(0) >= self.threshold)
            if not len(likely):
                continue
            near = similar[:, likely]
            near[self.rules.barred(rows, likely)] = -np.inf
            best = near.argmax(1)
            for row, column in enumerate(best.tolist()):
                if near[row, column] >= self.threshold:
                    self._add(float(near[row, column]), int(rows[row]), int(likely[column]))
