"""Equal vectors of a gallery: their distances from a query must be equal to the bit, wherever they stand.

A dot product made by a matrix product depends in its last bit on where the row stands in its block, so equal vectors in
two blocks would not tie. Their products are therefore made once, and put in place of those of all of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

COLUMNS = 16  # of each vector that are compared first
PRIME = np.uint64(0x9E3779B97F4A7C15)  # spreads bits; odd


class EqualRows:
    """Rows of a gallery whose vector another row has, too.

    Args:
        vectors: The gallery (N, D).

    Attributes:
        places: (M,) the rows, ascending.
        group: (M,) which of the vectors each has.
        first: (G,) a row of each of these vectors.
        vectors: (G, D) each of them once.
    """

    def __init__(self, vectors: Tensor) -> None:
        self.places, self.group, self.first = _find_equal(vectors)
        self.vectors = vectors[torch.from_numpy(self.first).to(vectors.device)]

    def dots(self, queries: Tensor) -> npt.NDArray[np.float32]:
        """Dot products (B, G) with queries (B, D)."""
        return torch.mm(queries, self.vectors.T).cpu().numpy()

    def replace(self, line: npt.NDArray[np.float32], values: npt.NDArray[np.float32], left: int = 0) -> None:
        """Put the values of the vectors (..., G) in place of those of their rows in a block (..., n) from `left` on."""
        first, end = np.searchsorted(self.places, (left, left + line.shape[-1]))
        if first < end:
            line[..., self.places[first:end] - left] = values[..., self.group[first:end]]

    def of(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Which of some rows (K,) have an equal, and the vectors of those."""
        at = np.searchsorted(self.places, rows)
        found = at < len(self.places)
        found[found] = self.places[at[found]] == rows[found]
        return found, self.group[at[found]]


def _find_equal(
    vectors: Tensor,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows that are equal to others, their groups, and a row of each group."""
    step = max(vectors.shape[1] // COLUMNS, 1)
    some = _shared(_hash(vectors[:, ::step][:, :COLUMNS]))
    if len(some):  # few, unless there are equal rows, or vectors with many zeros
        whole = _bytes(vectors[torch.from_numpy(some).to(vectors.device)])
        kept = _shared(whole)
        some, whole = some[kept], whole[kept]
    if not len(some):
        nothing = np.empty(0, np.int64)
        return nothing, nothing, nothing
    _, first, group = np.unique(whole, return_index=True, return_inverse=True)
    return some, group.reshape(-1), some[first]


def _hash(rows: Tensor) -> npt.NDArray[np.uint64]:
    """An integer (N,) of each row (N, D), equal for equal rows; -0 is 0."""
    bits = (rows + 0.0).cpu().contiguous().numpy().view(np.uint32)
    found = np.zeros(len(bits), np.uint64)
    for column in bits.T:
        found = found * PRIME ^ column
    return found


def _bytes(rows: Tensor) -> npt.NDArray[np.void]:
    """Each row (N, D) as one value (N,) that can be compared; -0 is 0."""
    values = (rows + 0.0).cpu().contiguous().numpy()
    return values.view(np.dtype((np.void, values.shape[1] * values.itemsize))).reshape(-1)


def _shared(values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Places of the values that occur more than once, ascending."""
    order = values.argsort(kind="stable")
    equal = values[order[1:]] == values[order[:-1]]
    return np.sort(order[np.append(equal, False) | np.append(False, equal)])
