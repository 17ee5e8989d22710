"""The similarity from which on two tracklets are one person, from pairs whose answer the times give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

LEAST_PAIRS = 20  # of surely two persons; fewer say nothing of their own
PRIOR_WEIGHT = 100  # pairs that the weights' own threshold counts as
RESAMPLES = 200
INTERVAL = (0.05, 0.95)


@dataclass(frozen=True)
class Threshold:
    """A similarity, and what it rests on. Printed, it is a line.

    Attributes:
        value: Cosine similarity from which on two tracklets are linked.
        far: The wanted share of surely-two pairs at or above it; None for a threshold that was given.
        low: Lower end of the interval (90 %) that resampling the tracklets gives; NaN where there is none.
        high: Upper end.
        surely_two: Number of pairs that one camera shows at once.
        surely_one: Number of pairs of halves of one track.
        kept: Share of the surely-one pairs at or above the value; NaN where there are none.
        prior: The threshold of the weights that it was blended with; None where there was none.
    """

    value: float
    far: float | None = None
    low: float = math.nan
    high: float = math.nan
    surely_two: int = 0
    surely_one: int = 0
    kept: float = math.nan
    prior: float | None = None

    def __str__(self) -> str:
        if self.far is None:
            return f"threshold {self.value:.3f}, as given"
        text = f"threshold {self.value:.3f} for {100 * self.far:g} % false links"
        if self.surely_two:
            text += f", from {self.surely_two:,} pairs of tracklets seen at once"
        if not math.isnan(self.low):
            text += f" (90 % interval {self.low:.3f} to {self.high:.3f})"
        if self.prior is not None:
            text += f", and the weights' own {self.prior:.3f}"
        if self.surely_one:
            text += f"; {100 * self.kept:.0f} % of {self.surely_one:,} halves of one track are above it"
        return text


def auto_threshold(
    vectors: NDArray[np.float32],
    surely_two: NDArray[np.int64],
    *,
    far: float = 0.01,
    prior: float | None = None,
    halves: NDArray[np.float32] | None = None,
) -> Threshold:
    """Choose a threshold without labels.

    It is the similarity that a share `far` of the surely-two pairs reaches: of M sorted ones the
    ceil((1 - far)(M + 1))-th, which holds for the next pair as well (split conformal prediction); where M is too small
    for that, the quantile of a normal distribution of their mean and spread, and no less than the largest. It is then
    averaged with `prior`, which weighs as much as 100 pairs.

    Args:
        vectors: (N, D), of length 1.
        surely_two: (M, 2) pairs that are surely two persons.
        far: Wanted share of false links, between 0 and 1.
        prior: The threshold of the weights for this share.
        halves: (K, 2, D) vectors of the halves of tracks, for the report.

    Raises:
        ValueError: If `far` is not between 0 and 1, or there are neither enough pairs nor a prior.
    """
    if not 0 < far < 1:
        raise ValueError(f"far={far!r}: give a share between 0 and 1, such as 0.01")
    similar = np.einsum("md,md->m", vectors[surely_two[:, 0]], vectors[surely_two[:, 1]])
    count = len(similar)
    if count < LEAST_PAIRS and prior is None:
        raise ValueError(
            f"threshold='auto' rests on tracklets that one camera shows at once, and there are {count} such pairs; it "
            f"takes {LEAST_PAIRS}: give times to the tracklets, or a threshold"
        )
    low = high = math.nan
    own = math.nan
    if count >= LEAST_PAIRS:
        own = _quantile(np.sort(similar), far)
        low, high = _interval(similar, surely_two, far)
    weight = count / (count + PRIOR_WEIGHT) if count >= LEAST_PAIRS else 0.0
    value = own if prior is None else (prior if weight == 0 else weight * own + (1 - weight) * prior)
    one = np.empty(0) if halves is None else np.einsum("kd,kd->k", halves[:, 0], halves[:, 1])
    kept = float((one >= value).mean()) if len(one) else math.nan
    return Threshold(float(value), far, low, high, count, len(one), kept, prior)


def _quantile(similar: NDArray[np.floating], far: float) -> float:
    """The threshold that a share `far` of sorted similarities reaches."""
    place = math.ceil((1 - far) * (len(similar) + 1))
    if place < len(similar):
        return float(np.nextafter(similar[place - 1], np.float32(2)))
    spread = float(similar.std(ddof=1)) if len(similar) > 1 else 0.0
    estimate = float(similar.mean()) + NormalDist().inv_cdf(1 - far) * spread
    return min(1.0, max(estimate, float(np.nextafter(similar[-1], np.float32(2)))))


def _interval(similar: NDArray[np.floating], pairs: NDArray[np.int64], far: float) -> tuple[float, float]:
    """What other tracklets of the same kind would give: whole tracklets are drawn anew, with all of their pairs."""
    rng = np.random.default_rng(0)
    tracklets, places = np.unique(pairs, return_inverse=True)
    places = places.reshape(-1, 2)
    order = np.argsort(similar)
    values = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(rng.integers(len(tracklets), size=len(tracklets)), minlength=len(tracklets))
        times = (drawn[places[:, 0]] * drawn[places[:, 1]])[order]
        if times.sum() >= LEAST_PAIRS:
            values.append(_quantile(np.repeat(similar[order], times), far))
    if not values:
        return math.nan, math.nan
    low, high = np.quantile(values, INTERVAL)
    return float(low), float(high)
