"""The threshold of the highest expected F1, from a model of the similarities of one person and of two persons.

A pair shows one person with a probability `share`. The similarities of two persons are bell-shaped with a longer right
tail (Pearson type III), and a few of these pairs look alike. One minus the similarity of one person's tracklets has a
gamma distribution. The shapes are those of rendered people with the packaged weights; the locations, the spread and the
shares are fitted by expectation maximisation to pairs that surely show two persons and to all others, and a number of
assumed pairs keeps few of them from being fitted too closely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIDTH = 0.005  # of a bin of similarities
BINS = np.linspace(-1 + WIDTH / 2, 1 - WIDTH / 2, 400)  # their middles
SKEW = 0.5  # of the similarities of two persons
SHAPE = 2.5  # of the gamma distribution of one person's distances, 1 - similarity
DISTANCE = 0.27  # their mean
ALIKE, ALIKE_DISTANCE = 0.01, 0.35  # share of the pairs of two persons that look alike, and their mean distance
ASSUMED = 50  # pairs, besides those that are given
EFFECTIVE = 0.5  # independent pairs of one person, for each tracklet
STEPS = 25
TINY = 1e-12


@dataclass(frozen=True)
class Pairs:
    """Histograms over `BINS` (..., B) of the similarities of pairs; of resamples, along the first axis.

    Attributes:
        two: Pairs that surely show two persons.
        other: Pairs that may show one.
        tracklets: Number of tracklets.
    """

    two: Floats
    other: Floats
    tracklets: int


def histogram(similar: NDArray[np.float32], times: NDArray[np.int64]) -> Floats:
    """Histogram (B,) over `BINS` of similarities (P,), each counted `times` (P,)."""
    place = np.clip((similar + 1) / WIDTH, 0, len(BINS) - 1).astype(np.int64)
    return np.bincount(place, times, len(BINS)).astype(np.float64)


def highest_f1(pairs: Pairs, mean: float, spread: float) -> Floats:
    """Compute the similarity from which on pairs are linked with the highest expected F1, for each histogram.

    Args:
        pairs: Histograms (..., B).
        mean: Assumed mean similarity of two persons.
        spread: Their assumed standard deviation.

    Returns:
        Similarities (...,).
    """
    two, one, share = _fit(pairs, mean, spread)
    reach_two, reach_one = (np.cumsum(density[..., ::-1], -1)[..., ::-1] for density in (two, one))
    found = share * reach_one
    score = 2 * found / (found + (1 - share) * reach_two + share)
    best: Floats = BINS[score.argmax(-1)] - WIDTH / 2
    return best


def _fit(pairs: Pairs, mean: float, spread: float) -> tuple[Floats, Floats, Floats]:
    """Fit the shares of pairs in each bin, of two persons and of one (..., B), and the share of one (..., 1)."""
    middle, scale, distance, share, alike = (
        np.full((*pairs.two.shape[:-1], 1), value) for value in (mean, spread, DISTANCE, 0.05, ALIKE)
    )
    lookalikes = _one(np.array([ALIKE_DISTANCE]))

    def total(weights: Floats) -> Floats:
        found: Floats = weights.sum(-1, keepdims=True)
        return found

    for _ in range(STEPS):
        two, one = alike * lookalikes + (1 - alike) * _two(middle, scale), _one(distance)
        same = pairs.other * share * one / (share * one + (1 - share) * two)
        same = np.where(middle > BINS, 0, same)  # pairs of two cameras may be less similar than all that one shows
        share = (total(same) + 0.5) / (total(pairs.other) + 10)
        weight = np.minimum(1, EFFECTIVE * pairs.tracklets / np.maximum(total(same), TINY))
        distance = (weight * total(same * (1 - BINS)) + ASSUMED * DISTANCE) / (weight * total(same) + ASSUMED)
        similar = pairs.two * alike * lookalikes / two
        rest = pairs.two - similar
        alike = (total(similar) + ASSUMED * ALIKE) / (total(pairs.two) + ASSUMED)
        middle = (total(rest * BINS) + ASSUMED * mean) / (total(rest) + ASSUMED)
        scale = np.sqrt((total(rest * (BINS - middle) ** 2) + ASSUMED * spread**2) / (total(rest) + ASSUMED))
    return two, one, share


def _two(mean: Floats, spread: Floats) -> Floats:
    """Shares of a Pearson type III distribution in each bin."""
    past = 1 + (BINS - mean) / spread * SKEW / 2  # 0 where the distribution begins
    power = 4 / SKEW**2
    log = (power - 1) * np.log(np.maximum(past, TINY)) - power * (past - 1)
    return _shares(np.where(past > 0, np.exp(np.minimum(log, 0)), 0))


def _one(distance: Floats) -> Floats:
    """Shares of one minus a gamma distribution in each bin."""
    log = (SHAPE - 1) * np.log(1 - BINS) - SHAPE * (1 - BINS) / distance
    return _shares(np.exp(log))


def _shares(density: Floats) -> Floats:
    found: Floats = (density + TINY) / (density + TINY).sum(-1, keepdims=True)
    return found
