"""The nearest gallery items of each query, which `rank` only counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from denseil.common.arguments import checked
from denseil.metrics.counting import IntArray, KeyArray, check_comparable, get_metric
from denseil.metrics.embeddings import JUNK_PID, Embeddings
from denseil.metrics.equal_rows import EqualRows


class NearestItems(NamedTuple):
    """Search results of one query, nearest first.

    Attributes:
        places: (n,) indices in the gallery.
        distances: (n,) distances from the query.
    """

    places: IntArray
    distances: KeyArray


@checked
def nearest(
    query: Embeddings, gallery: Embeddings, k: int = 10, *, metric: str = "cosine", block: int = 16
) -> list[NearestItems]:
    """Find the first `k` ranks of each query, with the rules of all protocols (see `rank`).

    Items of the query's person and camera are ignored, and so is junk. Of items at equal distance the one with the
    smaller gallery index comes first.

    Args:
        query: Queries (Q).
        gallery: Gallery (N).
        k: Number of ranks; fewer are returned if fewer items are ranked.
        metric: `cosine` or `euclidean`.
        block: Number of queries compared at a time; memory is about this many times N floats.

    Returns:
        One entry per query.

    Raises:
        ValueError: If the metric is unknown, vectors differ in width, k or block is below 1, or a vector's length is
            beyond float32 (as in `rank`).
    """
    weigh, combine = get_metric(metric)
    if min(k, block) < 1:
        raise ValueError(f"k is {k}, block is {block}; both must be at least 1")
    check_comparable(query, gallery)
    weights = weigh(gallery.vectors).cpu().numpy()
    equal = EqualRows(gallery.vectors)
    equal.replace(weights, weights[equal.first])
    pids, camids = gallery.pids.numpy(), gallery.camids.numpy()
    vectors = query.vectors.to(gallery.vectors.device)
    found = []
    for top in range(0, len(query), block):
        dots = (vectors[top : top + block] @ gallery.vectors.T).cpu().numpy()  # (block, N)
        equal.replace(dots, equal.dots(vectors[top : top + block]))
        keys = combine(weights, dots)
        for row, line in enumerate(keys, start=top):
            ignored = (pids == JUNK_PID) | ((pids == int(query.pids[row])) & (camids == int(query.camids[row])))
            places = _smallest(line, np.flatnonzero(~ignored), k)
            found.append(
                NearestItems(places, _distances(vectors[row], gallery.vectors[torch.from_numpy(places)], metric))
            )
    return found


def _smallest(line: KeyArray, among: IntArray, k: int) -> IntArray:
    """Return the indices, among `among`, of the k smallest keys, ascending; ties in the order of indices."""
    keys = line[among]
    if len(keys) > k:
        near = keys <= np.partition(keys, k - 1)[k - 1]
        among, keys = among[near], keys[near]
    return among[keys.argsort(kind="stable")[:k]]


def _distances(query: torch.Tensor, items: torch.Tensor, metric: str) -> KeyArray:
    """Compute the distances (n,) of one vector (D,) from others (n, D)."""
    if metric == "cosine":
        values = 1 - (_units(items) * _units(query)).sum(1)
    else:
        values = torch.linalg.vector_norm(items - query, dim=1)
    return values.cpu().numpy()


def _units(vectors: torch.Tensor) -> torch.Tensor:
    """Scale vectors (..., D) to length 1; a zero vector is not changed."""
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / torch.where(length > 0, length, 1)
