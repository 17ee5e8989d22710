"""Equal vectors of a gallery, whose distances from a query must be bit-identical.

The last bit of a dot product depends on the position of the row in a matrix product, so equal vectors in two blocks
would not tie. Their dot products are therefore computed once, and written to all of their rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

COLUMNS = 16  # of each vector that are compared first
PRIME = np.uint64(0x9E3779B97F4A7C15)  # spreads bits; odd


class EqualRows:
    """Rows of a gallery that have the same vector as another row.

    Args:
        vectors: The gallery (N, D).

    Attributes:
        places: (M,) indices of these rows, ascending.
        group: (M,) index of the vector of each row in `vectors`.
        first: (G,) index of one row of each vector.
        vectors: (G, D) the distinct vectors.
    """

    def __init__(self, vectors: Tensor) -> None:
        self.places, self.group, self.first = _find_equal(vectors)
        self.vectors = vectors[torch.from_numpy(self.first).to(vectors.device)]

    def dots(self, queries: Tensor) -> npt.NDArray[np.float32]:
        """Compute dot products (B, G) with queries (B, D)."""
        return torch.mm(queries, self.vectors.T).cpu().numpy()

    def replace(self, line: npt.NDArray[np.float32], values: npt.NDArray[np.float32], left: int = 0) -> None:
        """Write the values (..., G) of the vectors to their rows in a block (..., n) that starts at row `left`."""
        first, end = np.searchsorted(self.places, (left, left + line.shape[-1]))
        if first < end:
            line[..., self.places[first:end] - left] = values[..., self.group[first:end]]

    def of(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Return which rows (K,) have an equal row, and the indices of their vectors."""
        at = np.searchsorted(self.places, rows)
        found = at < len(self.places)
        found[found] = self.places[at[found]] == rows[found]
        return found, self.group[at[found]]


def _find_equal(
    vectors: Tensor,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find rows that are equal to others, their groups, and one row of each group."""
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
    """Hash each row (N, D) to an integer (N,); -0 counts as 0."""
    bits = (rows + 0.0).cpu().contiguous().numpy().view(np.uint32)
    found = np.zeros(len(bits), np.uint64)
    for column in bits.T:
        found = found * PRIME ^ column
    return found


def _bytes(rows: Tensor) -> npt.NDArray[np.void]:
    """Convert each row (N, D) to one comparable value (N,); -0 counts as 0."""
    values = (rows + 0.0).cpu().contiguous().numpy()
    return values.view(np.dtype((np.void, values.shape[1] * values.itemsize))).reshape(-1)


def _shared(values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """Return the indices of the values that occur more than once, ascending."""
    order = values.argsort(kind="stable")
    equal = values[order[1:]] == values[order[:-1]]
    return np.sort(order[np.append(equal, False) | np.append(False, equal)])
