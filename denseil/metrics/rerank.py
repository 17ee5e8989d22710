"""k-reciprocal re-ranking, streamed and sparse.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017. The published code makes
several matrices of all pairs of queries and gallery items. Here distances are computed block by block, and of each
vector only the nearest neighbours and the weights of its k-reciprocal ones are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from denseil.common.arguments import checked_class
from denseil.metrics.counting import lengths

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Line = npt.NDArray[np.float32]
CHUNK = 1024  # rows that are worked on at a time


@checked_class
@dataclass(frozen=True)
class KReciprocal:
    """k-reciprocal re-ranking, with the parameters of the paper (Zhong et al., CVPR 2017) by default.

    Args:
        k1: Number of neighbours that are searched for k-reciprocal ones.
        k2: Number of neighbours whose encodings are averaged (local query expansion); 1 for none.
        lambda_: Weight of the original distance, from 0 to 1; the rest is the Jaccard distance.

    Raises:
        ValueError: If k1 or k2 is below 1, or lambda_ is out of its range.
    """

    k1: int = 20
    k2: int = 6
    lambda_: float = 0.3

    def __post_init__(self) -> None:
        if self.k1 != int(self.k1) or self.k2 != int(self.k2) or min(self.k1, self.k2) < 1:
            raise ValueError(f"k1 is {self.k1}, k2 is {self.k2}; both must be integers of at least 1")
        if not 0 <= self.lambda_ <= 1:
            raise ValueError(f"lambda_ is {self.lambda_}; it must be from 0 to 1")

    def __str__(self) -> str:
        return f"k-reciprocal (k1={self.k1}, k2={self.k2}, lambda={self.lambda_:g})"


class _Sparse(NamedTuple):
    """Rows of a sparse matrix: columns and values of row i are at `start[i]` to `start[i + 1]`."""

    start: Ints
    column: Ints
    value: Floats


def reranked(
    query: Tensor, gallery: Tensor, method: KReciprocal, *, metric: str, height: int
) -> Iterator[tuple[slice, Line]]:
    """Yield re-ranked distances (B, G) of the queries from the gallery, a block of queries at a time.

    Args:
        query: Vectors (Q, D).
        gallery: Vectors (G, D), on whose device distances are computed.
        method: The parameters.
        metric: "cosine" or "euclidean".
        height: Queries per block.
    """
    vectors = torch.cat([query.to(gallery.device), gallery])
    if metric == "cosine":
        length = lengths(vectors)[:, None]
        vectors = vectors / torch.where(length > 0, length, 1)
    near, farthest = _neighbours(vectors, max(method.k1 + 1, method.k2))
    codes = _encode(vectors, near, farthest, method.k1)
    if method.k2 > 1:
        codes = _average(codes, near[:, : method.k2])
    by_column = _transpose(codes)
    for top in range(0, len(query), height):
        part = slice(top, min(top + height, len(query)))
        jaccard = np.stack([_jaccard(codes, by_column, row) for row in range(part.start, part.stop)])[:, len(query) :]
        original = _squares(vectors[part], vectors[len(query) :]) / farthest[part, None]
        yield part, ((1 - method.lambda_) * jaccard + method.lambda_ * original).astype(np.float32)


def _squares(one: Tensor, other: Tensor) -> Floats:
    """Squared Euclidean distances (A, B)."""
    found = torch.cdist(one, other, compute_mode="use_mm_for_euclid_dist").cpu().numpy().astype(np.float64)
    return found * found


def _neighbours(vectors: Tensor, k: int) -> tuple[Ints, Floats]:
    """The k nearest (N, k) of all vectors of each, itself first, and the squared distance (N,) of the farthest."""
    size = len(vectors)
    k = min(k, size)
    near, farthest = np.empty((size, k), np.int64), np.empty(size)
    for top in range(0, size, CHUNK):
        block = _squares(vectors[top : top + CHUNK], vectors)
        part, rows = slice(top, top + len(block)), np.arange(len(block))
        farthest[part] = np.maximum(block.max(1), np.finfo(np.float32).tiny)
        block[rows, top + rows] = -1  # itself is first, beside equal ones too
        some = np.argpartition(block, k - 1, axis=1)[:, :k]
        near[part] = np.take_along_axis(some, np.lexsort((some, np.take_along_axis(block, some, 1))), 1)
    return near, farthest


def _reciprocal(near: Ints, k: int) -> list[Ints]:
    """Find the k-reciprocal neighbours: those of the first k + 1 that have the vector among their own first k + 1."""
    found = []
    for top in range(0, len(near), CHUNK):
        first = near[top : top + CHUNK, : k + 1]
        rows = np.arange(top, top + len(first))
        mutual = (near[first, : k + 1] == rows[:, None, None]).any(2)
        found += [row[kept] for row, kept in zip(first, mutual, strict=True)]
    return found


def _encode(vectors: Tensor, near: Ints, farthest: Floats, k1: int) -> _Sparse:
    """Encode each vector by weights of its k-reciprocal neighbours (Equations 3, 4 and 7 of the paper).

    The set is extended by that of each of its members, made with k1 / 2, of which two thirds are in it.
    """
    halves = _reciprocal(near, round(k1 / 2))
    columns, values = [], []
    for row, own in enumerate(_reciprocal(near, k1)):
        others = [halves[one] for one in own]
        extended = [other for other in others if np.isin(other, own).sum() > 2 / 3 * len(other)]
        column = np.unique(np.concatenate([own, *extended]))
        difference = vectors[torch.from_numpy(column).to(vectors.device)] - vectors[row]
        squares = difference.square().sum(1).cpu().numpy().astype(np.float64)
        weight = np.exp(-squares / farthest[row])
        columns.append(column)
        values.append(weight / weight.sum())
    return _sparse(columns, values)


def _sparse(columns: list[Ints], values: list[Floats]) -> _Sparse:
    start = np.append(0, np.cumsum([len(column) for column in columns]))
    return _Sparse(start, np.concatenate(columns), np.concatenate(values))


def _average(codes: _Sparse, near: Ints) -> _Sparse:
    """Average the encodings of each vector's neighbours (N, k2): local query expansion."""
    columns, values = [], []
    for row in near:
        taken = [slice(codes.start[one], codes.start[one + 1]) for one in row]
        column, place = np.unique(np.concatenate([codes.column[some] for some in taken]), return_inverse=True)
        value = np.concatenate([codes.value[some] for some in taken])
        columns.append(column)
        values.append(np.bincount(place.reshape(-1), value) / len(row))
    return _sparse(columns, values)


def _transpose(codes: _Sparse) -> _Sparse:
    size = len(codes.start) - 1
    rows = np.repeat(np.arange(size), np.diff(codes.start))
    order = codes.column.argsort(kind="stable")
    start = np.append(0, np.bincount(codes.column, minlength=size).cumsum())
    return _Sparse(start, rows[order], codes.value[order])


def _jaccard(codes: _Sparse, by_column: _Sparse, row: int) -> Floats:
    """Jaccard distance (N,) of one vector from all (Equation 10), from the columns in which it is not zero."""
    own = slice(codes.start[row], codes.start[row + 1])
    column, value = codes.column[own], codes.value[own]
    first, size = by_column.start[column], np.diff(by_column.start)[column]
    place = np.repeat(first - (size.cumsum() - size), size) + np.arange(size.sum())
    least = np.minimum(by_column.value[place], np.repeat(value, size))
    shared = np.bincount(by_column.column[place], least, len(codes.start) - 1)
    return 1 - shared / (2 - shared)
