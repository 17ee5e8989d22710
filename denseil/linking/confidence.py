"""How sure it is which person a tracklet shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denseil.linking.checks import Tracks
from denseil.linking.rules import Rules

BLOCK = 512


def confidences(tracks: Tracks, person: NDArray[np.int64], rules: Rules, threshold: float) -> NDArray[np.float32]:
    """Confidence of each tracklet's person (N,), in [0, 1].

    It is 0.5 plus half the lead of the own person's average similarity over the next best choice, which is the most
    similar person that no rule bars, or a person of its own (at the threshold). The lead is relative to 1 - threshold.
    """
    count = len(tracks)
    persons = int(person.max(initial=-1)) + 1
    order = np.argsort(person, kind="stable")
    starts = np.searchsorted(person[order], np.arange(persons))
    sums = np.add.reduceat(tracks.vectors[order], starts) if count else tracks.vectors  # (persons, D)
    sizes = np.bincount(person, minlength=persons).astype(np.float32)
    found = np.empty(count, np.float32)
    for first in range(0, count, BLOCK):
        rows = np.arange(first, min(first + BLOCK, count))
        place, own = np.arange(len(rows)), person[rows]
        total = tracks.vectors[rows] @ sums.T  # (block, persons)
        others = np.maximum(sizes[own] - 1, 1)
        mine = np.where(sizes[own] > 1, (total[place, own] - 1) / others, threshold)
        average = total / sizes
        average[place, own] = -np.inf
        likely = np.flatnonzero(average.max(0) > threshold - 1)
        columns = order[np.isin(person[order], likely)]
        if len(likely) and len(columns):
            barred = np.logical_or.reduceat(
                rules.barred(rows, columns), np.searchsorted(person[columns], likely), axis=1
            )
            view = average[:, likely]
            view[barred] = -np.inf
            average[:, likely] = view
        best = average.max(1, initial=-np.inf)
        alternative = np.where(sizes[own] > 1, np.maximum(best, threshold), best)
        alternative = np.maximum(alternative, 2 * threshold - 1)
        found[rows] = np.clip(0.5 + (mine - alternative) / (2 * max(1 - threshold, 1e-6)), 0, 1)
    return found
