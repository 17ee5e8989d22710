"""The first ranks themselves, to look at: what `rank` counts without keeping."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from denseil.metrics.counting import METRICS, IntArray, KeyArray
from denseil.metrics.embeddings import JUNK_PID, Embeddings
from denseil.metrics.equal_rows import EqualRows


class NearestItems(NamedTuple):
    """What one query finds, nearest first.

    Args:
        places: (n,) indices in the gallery.
        distances: (n,) from the query.
    """

    places: IntArray
    distances: KeyArray


def nearest(
    query: Embeddings, gallery: Embeddings, k: int = 10, *, metric: str = "cosine", block: int = 16
) -> list[NearestItems]:
    """The first `k` ranks of each query, under the rules of every protocol (see `rank`).

    The query's own person in its own camera is left out, and so is junk; of items at equal distance the one with the
    smaller gallery index comes first.

    Args:
        query: the queries (Q).
        gallery: what is ranked (N).
        k: how many; fewer come where fewer are ranked.
        metric: `cosine` or `euclidean`.
        block: how many queries are compared at a time; memory is about this many times N floats.

    Returns:
        One entry a query.

    Raises:
        ValueError: an unknown metric, vectors of different lengths, k or block below 1.
    """
    if metric not in METRICS:
        raise ValueError(f"no metric is named {metric!r}; choose from {', '.join(METRICS)}")
    if min(k, block) < 1:
        raise ValueError(f"k is {k}, block is {block}; both must be at least 1")
    if query.vectors.shape[1] != gallery.vectors.shape[1]:
        raise ValueError(
            f"query vectors have length {query.vectors.shape[1]}, gallery vectors {gallery.vectors.shape[1]}; "
            "both must come from one model"
        )
    weigh, combine = METRICS[metric]
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
    """The places, of those `among`, of the k smallest keys, in their order; of equals the earlier."""
    keys = line[among]
    if len(keys) > k:
        near = keys <= np.partition(keys, k - 1)[k - 1]
        among, keys = among[near], keys[near]
    return among[keys.argsort(kind="stable")[:k]]


def _distances(query: torch.Tensor, items: torch.Tensor, metric: str) -> KeyArray:
    """(n,) distances of one vector (D,) from some (n, D)."""
    if metric == "cosine":
        values = 1 - F.cosine_similarity(query[None], items)
    else:
        values = torch.linalg.vector_norm(items - query, dim=1)
    return values.cpu().numpy()
