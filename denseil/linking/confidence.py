"""Confidence that a tracklet shows its person."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denseil.linking.checks import Tracks
from denseil.linking.graph import MOST
from denseil.linking.rules import Rules


def confidences(tracks: Tracks, person: NDArray[np.int64], rules: Rules, threshold: float) -> NDArray[np.float32]:
    """Confidence of each tracklet's person (N,), in [0, 1].

    It is 0.5 plus half the lead of the own person's average similarity over the next best choice, which is the most
    similar person that no rule bars, or a person of its own (at the threshold). The lead is relative to 1 - threshold.
    """
    persons = int(person.max(initial=-1)) + 1
    order = np.argsort(person, kind="stable")
    starts = np.searchsorted(person[order], np.arange(persons))
    sums = np.add.reduceat(tracks.vectors[order], starts) if persons else tracks.vectors  # (persons, D)
    sizes = np.bincount(person, minlength=persons).astype(np.float32)
    found = np.empty(len(tracks), np.float32)
    step = max(1, MOST // max(1, len(tracks)))
    for first in range(0, len(tracks), step):
        rows = np.arange(first, min(first + step, len(tracks)))
        place, own = np.arange(len(rows)), person[rows]
        total = tracks.vectors[rows] @ sums.T  # (step, persons)
        others = np.maximum(sizes[own] - 1, 1)
        mine = np.where(sizes[own] > 1, (total[place, own] - 1) / others, threshold)
        average = total / sizes
        average[place, own] = -np.inf
        average[average <= 2 * threshold - 1] = -np.inf  # the lead is limited
        best = _best_of_the_allowed(average, rows, order, starts, rules)
        alternative = np.where(sizes[own] > 1, np.maximum(best, threshold), best)
        alternative = np.maximum(alternative, 2 * threshold - 1)
        found[rows] = np.clip(0.5 + (mine - alternative) / (2 * max(1 - threshold, 1e-6)), 0, 1)
    return found


def _best_of_the_allowed(
    average: NDArray[np.float32],
    rows: NDArray[np.int64],
    order: NDArray[np.int64],
    starts: NDArray[np.int64],
    rules: Rules,
) -> NDArray[np.float32]:
    """Highest average similarity (R,) of each of some rows to a person that no rule bars; -inf if there is none."""
    best: NDArray[np.float32] = average.max(1, initial=-np.inf)
    ends = np.append(starts[1:], len(order))
    for place in np.flatnonzero(np.isfinite(best)).tolist():
        row = rows[place : place + 1]
        person = int(average[place].argmax())
        if rules.barred(row, order[starts[person] : ends[person]]).any():
            barred = np.logical_or.reduceat(rules.barred(row, order)[0], starts)  # (persons,)
            best[place] = average[place, ~barred].max(initial=-np.inf)
    return best
