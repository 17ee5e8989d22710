"""Tight clusters of tracklets as pseudo-identities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def link_tightly(similarity: NDArray[np.floating], threshold: float, apart: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Cluster by complete linkage: all pairs in a cluster are at least as similar as the threshold, and none is apart.

    Args:
        similarity: (N, N) symmetric.
        threshold: Least similarity within a cluster.
        apart: (N, N) bool, pairs that must not share a cluster.

    Returns:
        (N,) labels, 0 to the number of clusters - 1, in the order of each cluster's first member.
    """
    link = np.where(apart, -np.inf, similarity).astype(np.float64)
    np.fill_diagonal(link, -np.inf)
    label = np.arange(len(link))
    while len(link):
        best = int(link.argmax())
        first, second = sorted(divmod(best, len(link)))
        if link[first, second] < threshold:
            break
        lowest = np.minimum(link[first], link[second])
        link[first], link[:, first] = lowest, lowest
        link[first, first] = -np.inf
        link[second], link[:, second] = -np.inf, -np.inf
        label[label == second] = first
    return np.unique(label, return_inverse=True)[1].astype(np.int64)
