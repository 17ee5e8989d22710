"""Confidence intervals of thresholds, by a bootstrap over identities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denseil.metrics.embeddings import DISTRACTOR_PID

SAMPLES = 200  # bootstrap samples
PAIRS = 100_000  # most pairs of a kind; more are sampled
CHUNK = 4096  # pairs whose similarity is computed at a time
SHARE = 0.95  # of the samples lie in an interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Interval = tuple[float, float]
Point = Callable[[Floats, Floats], int]


class _Pairs(NamedTuple):
    """Pairs of vectors: both identities (K,), counted from 0, and the bins (K,) of their similarities."""

    one: Ints
    other: Ints
    bins: Ints


def threshold_intervals(
    units: Tensor,
    pids: Tensor,
    camids: Tensor,
    points: Sequence[Point],
    *,
    bins: int,
    seed: int = 0,
) -> list[Interval]:
    """Compute 95 % intervals of thresholds over identities that are sampled with replacement.

    A pair counts once for each combination of the copies of its persons; copies of one person are no impostor pair.

    Args:
        units: Vectors (N, D) of length 1.
        pids: Persons (N,), without junk.
        camids: Cameras (N,).
        points: Functions from both error rates (bins + 1,) to the index of a threshold.
        bins: Number of bins of the similarity, from -1 to 1.
        seed: Random seed.

    Returns:
        The interval of each of `points`, as similarities.
    """
    rng = np.random.default_rng(seed)
    identity = np.unique(pids.cpu().numpy(), return_inverse=True)[1].reshape(-1)
    cameras = camids.cpu().numpy()
    genuine = _pairs(units, identity, _genuine(identity, cameras, pids.cpu().numpy(), rng), bins)
    impostors = _pairs(units, identity, _impostors(identity, cameras, rng), bins)
    count = int(identity.max()) + 1
    places: list[list[int]] = [[] for _ in points]
    for weights in rng.multinomial(count, np.full(count, 1 / count), size=SAMPLES):
        right = np.bincount(genuine.bins, weights[genuine.one], bins)
        wrong = np.bincount(impostors.bins, weights[impostors.one] * weights[impostors.other], bins)
        if right.any() and wrong.any():
            far = np.append(wrong[::-1].cumsum()[::-1], 0) / wrong.sum()
            frr = np.append(0, right.cumsum()) / right.sum()
            for found, point in zip(places, points, strict=True):
                found.append(point(far, frr))
    tail = 100 * (1 - SHARE) / 2
    intervals = []
    for found in places:
        low, high = np.percentile(found, (tail, 100 - tail), method="nearest") if found else (0, bins)
        intervals.append((2 * float(low) / bins - 1, 2 * float(high) / bins - 1))
    return intervals


def _genuine(identity: Ints, cameras: Ints, pids: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return pairs of one person from two cameras; at most `PAIRS`, sampled by their number without listing all."""
    order = np.lexsort((cameras, identity))
    order = order[pids[order] != DISTRACTOR_PID]
    person, camera = identity[order], cameras[order]
    # In this order, the partners of a vector are those of its person in later cameras, from `first` to `last`.
    ends = np.flatnonzero(np.append((np.diff(person) != 0) | (np.diff(camera) != 0), True)) + 1
    first = ends[np.searchsorted(ends, np.arange(len(order)), side="right")]
    last = np.searchsorted(person, person, side="right")
    before = np.append(0, np.cumsum(last - first))  # pairs of the vectors before each
    count = int(before[-1])
    pairs = np.arange(count) if count <= PAIRS else rng.choice(count, PAIRS, replace=False)
    row = np.searchsorted(before, pairs, side="right") - 1
    return order[row], order[first[row] + pairs - before[row]]


def _impostors(identity: Ints, cameras: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return pairs of two persons from two cameras; about `PAIRS` at most, sampled."""
    size = len(identity)
    if size * (size - 1) // 2 <= PAIRS:
        one, other = np.triu_indices(size, 1)
    else:
        one, other = rng.integers(size, size=(2, PAIRS))
    kept = (cameras[one] != cameras[other]) & (identity[one] != identity[other])
    return one[kept], other[kept]


def _pairs(units: Tensor, identity: Ints, places: tuple[Ints, Ints], bins: int) -> _Pairs:
    one, other = (torch.from_numpy(some).to(units.device) for some in places)
    chunks = zip(one.split(CHUNK), other.split(CHUNK), strict=True)
    similarity = torch.cat([torch.zeros(0), *((units[a] * units[b]).sum(1).cpu() for a, b in chunks)])
    found = ((similarity + 1) / 2 * bins).long().clamp_(0, bins - 1)
    return _Pairs(identity[places[0]], identity[places[1]], found.numpy())
