"""Exact ranks of each query's matches, streamed, without a query x gallery matrix.

A rank is one plus the number of items that come before. A block of distances is dropped once its items nearer than
the farthest match have been counted, and only these are sorted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from denseil.common.arguments import shown
from denseil.metrics.embeddings import JUNK_PID, Embeddings
from denseil.metrics.equal_rows import EqualRows

IntArray = npt.NDArray[np.int64]
KeyArray = npt.NDArray[np.float32]

SHORTEST = 1e-18  # the square of a shorter length underflows in float32
GATHER = 4096  # gallery rows copied at a time to compare matches, if the gallery is larger than a block


def lengths(vectors: Tensor) -> Tensor:
    """Return the length (N,) of each vector (N, D).

    Raises:
        ValueError: If the square of a length overflows or underflows in float32.
    """
    found = _finite(torch.linalg.vector_norm(vectors, dim=1))
    if float(found.min()) < SHORTEST:  # zero vectors are allowed
        short = (found < SHORTEST).nonzero().flatten()
        short = short[(vectors[short] != 0).any(1)]
        if len(short):
            raise ValueError(f"vector {int(short[0])} is too short: its square is below float32; scale the vectors")
    return found


def squares(vectors: Tensor) -> Tensor:
    """Return the squared length (N,) of each vector (N, D); exact for small integers, unlike the square of the length.

    Raises:
        ValueError: As `lengths`.
    """
    scratch = torch.empty_like(vectors[:1024])  # in blocks, because the squares of a large gallery would not fit
    parts = torch.split(vectors, len(scratch))
    return _finite(torch.cat([torch.mul(part, part, out=scratch[: len(part)]).sum(1) for part in parts]))


def _finite(values: Tensor) -> Tensor:
    if not values.isfinite().all():
        raise ValueError(f"vector {int(values.argmax())} is too long: its square is beyond float32; scale the vectors")
    return values


class Metric(NamedTuple):
    """A distance as sort keys: `combine(weights of the gallery, dot products with the query)`.

    Terms that depend only on the query do not change the order and are left out.
    """

    weigh: Callable[[Tensor], Tensor]  # gallery (N, D) -> weights (N,)
    combine: np.ufunc


def _inverse_lengths(vectors: Tensor) -> Tensor:
    length = lengths(vectors)
    return torch.where(length > 0, length, 1).reciprocal()


METRICS = {
    # 1 - q.g / |q||g|, and 1 where a vector is zero.
    "cosine": Metric(lambda vectors: -_inverse_lengths(vectors), np.multiply),
    # |q - g|^2 = |q|^2 + 2 (|g|^2 / 2 - q.g)
    "euclidean": Metric(lambda vectors: squares(vectors) / 2, np.subtract),
}


def get_metric(name: str) -> Metric:
    """Return the metric of a name.

    Raises:
        ValueError: If the name is unknown.
    """
    if name not in METRICS:
        raise ValueError(f"no metric is named {shown(name)}; choose from {', '.join(METRICS)}")
    return METRICS[name]


def check_comparable(query: Embeddings, gallery: Embeddings) -> None:
    """Raise ValueError unless vectors have one width, and the queries' squared lengths are in the range of float32."""
    if query.vectors.shape[1] != gallery.vectors.shape[1]:
        raise ValueError(
            f"query vectors have length {query.vectors.shape[1]}, gallery vectors {gallery.vectors.shape[1]}; "
            "both must come from one model"
        )
    lengths(query.vectors)


class Ranks(NamedTuple):
    """Ranks of the matches of some queries, sorted by query, then by rank.

    Attributes:
        query: (M,) index of the query.
        found: (M,) number of the query's matches up to this rank, from 1.
        rank: (M,) rank among the gallery items that are not ignored, from 1.
    """

    query: IntArray
    found: IntArray
    rank: IntArray


class BlockedGallery:
    """A gallery that is compared with queries in blocks.

    A query's match is an item of its person from another camera. The person's items from the query's own camera, and
    junk, have no rank and take none. Of items at equal distance the smaller gallery index comes first.

    Args:
        gallery: Embeddings (N) to rank; dot products are computed on their device.
        metric: A name in `METRICS`.
        block: Maximum number of queries, and number of gallery items, compared at a time.

    Raises:
        ValueError: If the squared length of a gallery vector is beyond float32.
    """

    def __init__(self, gallery: Embeddings, *, metric: str, block: tuple[int, int]) -> None:
        self.vectors = gallery.vectors
        self.camids = gallery.camids.numpy()
        pids = gallery.pids.numpy()
        self.order = pids.argsort(kind="stable")
        self.sorted_pids = pids[self.order]
        weigh, self.combine = get_metric(metric)
        self.weights: KeyArray = weigh(gallery.vectors).cpu().numpy()
        self.equal = EqualRows(gallery.vectors)
        self.equal.replace(self.weights, self.weights[self.equal.first])
        self.weights[pids == JUNK_PID] = np.nan  # NaN compares false with every key, so it is never counted
        height, self.width = block[0], min(block[1], len(gallery))
        self.buffer = torch.empty(height * max(self.width, min(GATHER, len(gallery))), device=gallery.vectors.device)

    def rank_matches(self, vectors: Tensor, pids: IntArray, camids: IntArray) -> Ranks:
        """Rank the matches of up to a block of queries: vectors (B, D), pids (B,) and camids (B,)."""
        row, col = self._same_person(pids)
        match = self.camids[col] != camids[row]
        row_m, col_m = row[match], col[match]
        if not len(row_m):
            return Ranks(row_m, row_m, row_m)
        # If one block holds the whole gallery, the matches' own dot products are used.
        whole = self._dots(vectors, self.vectors) if self.width == len(self.vectors) else None
        dots_m = self._dots_of_pairs(vectors, row_m, col_m) if whole is None else whole[row_m, col_m]
        dots_t = self.equal.dots(vectors)
        has_equal, group = self.equal.of(col_m)
        dots_m[has_equal] = dots_t[row_m[has_equal], group]
        keys = self.combine(self.weights[col_m], dots_m)
        order = np.lexsort((keys, row_m))  # stable: equal keys stay in gallery order
        keys, col_m = keys[order], col_m[order]
        start = row_m.searchsorted(np.arange(len(pids) + 1)).tolist()

        others_before = np.zeros(len(row_m), np.int64)
        for left in range(0, len(self.vectors), self.width):
            dots = self._dots(vectors, self.vectors[left : left + self.width]) if whole is None else whole
            self.equal.replace(dots, dots_t, left)
            weights = self.weights[left : left + self.width]
            inside = (col >= left) & (col < left + self.width)
            dots[row[inside], col[inside] - left] = np.nan
            for dots_i, first, end in zip(dots, start[:-1], start[1:], strict=True):
                if first < end:
                    line = self.combine(weights, dots_i)
                    others_before[first:end] += count_before(line, keys[first:end], col_m[first:end] - left)
        found = np.arange(1, len(row_m) + 1) - np.take(start, row_m)
        return Ranks(row_m, found, found + others_before)

    def rank_lines(self, lines: KeyArray, pids: IntArray, camids: IntArray) -> Ranks:
        """Rank the matches of queries by distances (B, N) that were computed elsewhere; they are written over."""
        row, col = self._same_person(pids)
        match = self.camids[col] != camids[row]
        row_m, col_m = row[match], col[match]
        keys = lines[row_m, col_m]
        order = np.lexsort((keys, row_m))  # stable: equal keys stay in gallery order
        keys, col_m = keys[order], col_m[order]
        start = row_m.searchsorted(np.arange(len(pids) + 1)).tolist()
        lines[row, col] = np.nan
        lines[:, np.isnan(self.weights)] = np.nan
        others_before = np.zeros(len(row_m), np.int64)
        for line, first, end in zip(lines, start[:-1], start[1:], strict=True):
            if first < end:
                others_before[first:end] = count_before(line, keys[first:end], col_m[first:end])
        found = np.arange(1, len(row_m) + 1) - np.take(start, row_m)
        return Ranks(row_m, found, found + others_before)

    def _same_person(self, pids: IntArray) -> tuple[IntArray, IntArray]:
        """Return all pairs (query, item) of one person, by query, then gallery index; junk has none."""
        first = self.sorted_pids.searchsorted(pids)
        count = np.where(pids == JUNK_PID, 0, self.sorted_pids.searchsorted(pids, side="right") - first)
        row = np.repeat(np.arange(len(pids)), count)
        nth = np.arange(len(row)) - np.repeat(count.cumsum() - count, count)
        cols: IntArray = self.order[first[row] + nth]
        return row, cols

    def _dots(self, queries: Tensor, items: Tensor) -> KeyArray:
        """Compute dot products (B, n), valid until the next call."""
        out = self.buffer[: len(queries) * len(items)].view(len(queries), len(items))
        return torch.mm(queries, items.T, out=out).cpu().numpy()

    def _dots_of_pairs(self, queries: Tensor, row: IntArray, col: IntArray) -> KeyArray:
        """Compute the dot product (M,) of each pair."""
        dots = np.empty(len(row), np.float32)
        items, place = np.unique(col, return_inverse=True)
        for left in range(0, len(items), GATHER):
            some = torch.from_numpy(items[left : left + GATHER]).to(self.vectors.device)
            inside = (place >= left) & (place < left + GATHER)
            dots[inside] = self._dots(queries, self.vectors[some])[row[inside], place[inside] - left]
        return dots


def count_before(line: KeyArray, keys: KeyArray, cols: IntArray) -> IntArray:
    """Count the items of one row that come before each of a query's matches.

    Args:
        line: (n,) keys of gallery items in order; NaN for items that do not count.
        keys: (m,) keys of the matches, ascending.
        cols: (m,) columns of the matches in the numbering of the row; they may be outside it.

    Returns:
        (m,) number of items with a smaller key, or an equal key and a smaller index.
    """
    near = line.compress(line <= keys[-1])  # several times faster than a mask as index
    near.sort()
    before = near.searchsorted(keys)
    for i in (near.searchsorted(keys, side="right") > before).nonzero()[0]:
        before[i] += np.count_nonzero(line[: max(cols[i], 0)] == keys[i])
    return before
