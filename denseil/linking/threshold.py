"""The threshold of linking: given, or from pairs of tracks that surely show two persons."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import shown
from denseil.common.text import counted
from denseil.common.vectors import ArrayLike
from denseil.linking.checks import Tracks, check_vectors
from denseil.linking.expected import Pairs, highest_f1, histogram
from denseil.linking.rules import Rules

Halves: TypeAlias = tuple[ArrayLike, ArrayLike]

FAR = 0.01
MEAN, SPREAD = 0.04, 0.245  # of the similarity of two rendered persons, with the packaged weights
MEASURED = (  # identities of these weights, denseil_mobilenetv2.people_v1, and people_v2, whose values differ by 0.01
    "83255db2973b5731a915ee2ba0095e0034cc9b6d",
    "d0f9d09beadf8ae3bf425445c0d137377bf62ae3",
)
PRIOR = 50  # pairs that count as much as the rendered ones
OUTLIER, TWICE = 3.0, 0.85  # spreads above the median, and similarity, above which a pair may be one person twice
MOST_PAIRS = 200_000  # pairs seen at once, and others, that are compared; of more, so many are sampled
CAP = 0.97  # no threshold is above
ROUNDING = 1e-6  # of similarities in float32: a pair that is less below the threshold reaches it
KEPT = 0.95  # share of the halves that the threshold keeps together
BLOCK = 4096  # pairs compared at a time
SURE, RESAMPLES, BISECTIONS = 0.6, 100, 30


@dataclass(frozen=True)
class Threshold:
    """Least average cosine similarity of the tracklets of one person, and what it rests on.

    Attributes:
        value: The similarity, in [-1, 1].
        how: "given", "auto", or "running", the first estimate of "auto" alone, as `OnlineLinker` computes it.
        pairs: Compared pairs of tracklets that surely show two persons, seen at once in one camera.
        halves: Pairs that surely show one person, halves of one track.
        low: Lower end of the interval that holds the value with 95 %, from resampled tracklets; NaN without pairs.
        high: Upper end.
        far: Share of pairs of two persons that reach the first of the two estimates; NaN if the value is given.
        left_out: Pairs seen at once that are not among `pairs`: so similar that a tracker may have shown one person
            twice.
    """

    value: float
    how: str = "given"
    pairs: int = 0
    halves: int = 0
    low: float = float("nan")
    high: float = float("nan")
    far: float = float("nan")
    left_out: int = 0

    def __str__(self) -> str:
        if self.how == "given":
            return f"threshold {self.value:.3f}"
        interval = "" if np.isnan(self.low) else f" (95 % interval: {self.low:.3f} to {self.high:.3f})"
        halves = f" and {counted(self.halves, 'halved track')}" * bool(self.halves)
        doubles = f" ({self.left_out:,} more left out, which may show one person twice)" * bool(self.left_out)
        false = f"{100 * self.far:g} % false links"
        rule = f" for {false}" if self.how == "running" else f", midway between {false} and the highest expected F1"
        seen = f"{counted(self.pairs, 'pair')} seen at once{doubles}{halves}"
        text = f"threshold {self.value:.3f}{interval}{rule}, from {seen}"
        return text if self.pairs >= PRIOR else f"{text}: so few that it is mostly that of the packaged weights"


def auto_threshold(tracks: Tracks, rules: Rules, *, far: float = FAR, halves: Halves | None = None) -> Threshold:
    """Choose a threshold without labels.

    It is the mean of two estimates, or less, with a probability of 60 %: the similarity that the wanted share of pairs
    of two persons reaches, and that from which on pairs are linked with the highest expected F1 (see
    `denseil.linking.expected`). The first rests on the pairs of tracklets seen at once in one camera, which surely show
    two persons, and a prior estimate with the weight of 50 pairs: a normal distribution around the median of all pairs,
    at most one standard deviation above the mean of rendered people. The second rests on all pairs. The probability is
    over resamples of the tracklets. Pairs seen at once above 0.85 and more than 3 standard deviations above the median
    (from the median absolute deviation) are left out, since a tracker may show one person twice at once. Of more than
    200,000 pairs, 200,000 are sampled over all cameras, with a fixed seed. If halves of tracks are given, the value
    keeps at least 95 % of them together.

    Args:
        tracks: Tracklets.
        rules: Their constraints; only pairs of one camera are looked at.
        far: Share of the pairs of two persons that reach the first estimate, in (0, 0.5].
        halves: Vectors (M, D) of the first and of the second half of M tracks.

    Raises:
        ValueError: If the rate is out of its range, or the halves are not two arrays of one shape.
    """
    if not 0 < far <= 0.5:
        raise ValueError(f"far={far!r}: give a rate above 0 and at most 0.5, such as 0.01")
    similar, pairs = _seen_at_once(tracks, rules)
    kept = not_twice(similar)
    left_out = int((~kept).sum())
    order = np.flatnonzero(kept)[np.argsort(similar[kept], kind="stable")]
    similar, pairs = similar[order], pairs[order]
    value, low, high = _estimate(tracks, rules, similar, pairs, far)
    count = 0
    if halves is not None:
        one, other = (check_vectors(half) for half in halves)
        if one.shape != other.shape:
            raise ValueError(f"halves have shapes {one.shape} and {other.shape}; give two vectors for each track")
        count = len(one)
        if count:
            value = min(value, float(np.quantile((one * other).sum(1), 1 - KEPT)))
            low, high = min(low, value), max(high, value)
    return Threshold(value, "auto", len(similar), count, low, high, far, left_out)


def _estimate(
    tracks: Tracks, rules: Rules, similar: NDArray[np.float32], pairs: NDArray[np.int64], far: float
) -> tuple[float, float, float]:
    """The threshold and its interval, from the similarities (P,) of pairs seen at once (P, 2), in ascending order."""
    rng, size, (other, unknown) = np.random.default_rng(0), len(tracks), _others(tracks, rules)
    mean = min(float(np.median(other)), MEAN + SPREAD) if len(other) >= PRIOR else MEAN
    spread = SPREAD * (1 - mean) / (1 - MEAN)
    reached, histograms = [], []
    for _ in range(RESAMPLES if len(similar) else 1):
        times = np.bincount(rng.integers(size, size=size), minlength=size) if len(similar) else np.ones(size, np.int64)
        known = times[pairs[:, 0]] * times[pairs[:, 1]]
        reached.append(value_of(similar, max(mean, MEAN), min(spread, SPREAD), far, known))
        rest = histogram(other, times[unknown[:, 0]] * times[unknown[:, 1]])
        histograms.append((histogram(similar, known), rest))
    two, rest = np.stack(histograms, axis=1)  # (2, R, B)
    drawn = np.minimum((highest_f1(Pairs(two, rest, size), mean, spread) + reached) / 2, CAP)
    if not len(similar):
        return float(drawn[0]), float("nan"), float("nan")
    low, value, high = np.quantile(drawn, [0.025, SURE, 0.975]).tolist()
    return value, low, high


def check_given(threshold: float | str, far: float, halves: Halves | None = None) -> None:
    """Check a threshold that is given, or "auto", and that nothing is given beside it that it has no use for.

    Raises:
        ValueError: If the threshold is neither "auto" nor in [-1, 1], or `far` or `halves` are given beside a number.
    """
    if threshold == "auto":
        return
    if isinstance(threshold, str) or not -1 <= threshold <= 1:
        raise ValueError(f"threshold={shown(threshold)}: give a cosine similarity from -1 to 1, or 'auto'")
    unused = "far" if far != FAR else "halves" if halves is not None else ""
    if unused:
        raise ValueError(f"threshold={threshold} with {unused}, which only 'auto' uses: give one of the two")


def warn_if_borrowed(threshold: Threshold, model_id: str | None, *, level: int) -> None:
    """Warn if an automatic threshold rests mostly on weights which the vectors are not known to be of.

    Args:
        threshold: The threshold.
        model_id: Identity of the model that made the vectors; None if unknown.
        level: Frames from here to the caller who is to be told.
    """
    if threshold.how != "given" and threshold.pairs < PRIOR and model_id not in MEASURED:
        whose = "not" if model_id else "not known to be"
        warnings.warn(
            f"the threshold 'auto' rests on {counted(threshold.pairs, 'pair')} seen at once, fewer than {PRIOR}, so "
            f"it is mostly that of the packaged denseil_mobilenetv2, and the vectors are {whose} of it: give a "
            "threshold, such as from denseil calibrate, or recordings in which people are seen at once",
            stacklevel=level + 1,
        )


def not_twice(similar: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find the pairs (P,) that are not so far above the others, more than people who look alike, as one person is."""
    median = np.median(similar) if len(similar) else 0.0
    spread = max(1.4826 * np.median(np.abs(similar - median)), SPREAD / 2) if len(similar) else SPREAD
    kept: NDArray[np.bool_] = similar <= max(median + OUTLIER * spread, TWICE)
    return kept


def value_of(
    similar: NDArray[np.float32], mean: float, spread: float, far: float, times: NDArray[np.int64] | None = None
) -> float:
    """Similarity that a share of pairs of two persons reaches: known ones, and `PRIOR` that are guessed.

    Args:
        similar: Similarities (P,) of pairs that surely show two persons, in ascending order.
        mean: Mean of the guessed ones, which are normally distributed.
        spread: Their standard deviation.
        far: The share, in (0, 0.5].
        times: How many times each known pair counts (P,); once by default.
    """
    times = np.ones(len(similar), np.int64) if times is None else times
    reach = np.append(np.cumsum(times[::-1])[::-1], 0)  # known pairs at each one's similarity or above
    guessed, most = NormalDist(mean, spread), far * (reach[0] + PRIOR)
    low, high = -1.0, CAP
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        known = reach[np.searchsorted(similar, middle)]
        enough = known + PRIOR * (1 - guessed.cdf(middle)) > most
        low, high = (middle, high) if enough else (low, middle)
    return high


def _others(tracks: Tracks, rules: Rules) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Similarities (P,) and rows (P, 2) of the pairs that no camera shows at once: all, or up to `MOST_PAIRS`."""
    count = len(tracks)
    if count * (count - 1) // 2 <= MOST_PAIRS:
        one, other = np.triu_indices(count, 1)
    else:
        one, other = np.random.default_rng(1).integers(0, count, (2, MOST_PAIRS))
    at_once = (rules.camids[one] == rules.camids[other]) & (rules.start[one] <= rules.end[other])
    kept = (one != other) & ~(at_once & (rules.start[other] <= rules.end[one]))
    pairs = np.stack([one[kept], other[kept]], axis=1)
    return _similarities(tracks, pairs), pairs


def _similarities(tracks: Tracks, pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    """Similarities (P,) of pairs of rows (P, 2)."""
    similar = np.empty(len(pairs), np.float32)
    for part in (slice(first, first + BLOCK) for first in range(0, len(pairs), BLOCK)):
        one, other = pairs[part].T
        similar[part] = np.einsum("pd,pd->p", tracks.vectors[one], tracks.vectors[other])
    return similar


def _seen_at_once(tracks: Tracks, rules: Rules) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Similarities (P,) and rows (P, 2) of the pairs that one camera shows at once: all, or `MOST_PAIRS` of them."""
    known = np.flatnonzero(np.isfinite(rules.start + rules.end))
    order = known[np.lexsort((rules.start[known], rules.camids[known]))]
    camera, start, end = rules.camids[order], rules.start[order], rules.end[order]
    # In this order, the partners of a tracklet that start no earlier follow it directly, up to `stop`.
    stop = np.zeros(len(order), np.int64)
    for first, after in pairwise(np.searchsorted(camera, np.arange(len(rules.names) + 1))):
        stop[first:after] = first + np.searchsorted(start[first:after], end[first:after], side="right")
    before = np.append(0, np.cumsum(stop - np.arange(len(order)) - 1))  # pairs of the tracklets before each
    count = int(before[-1])
    rng = np.random.default_rng(0)
    chosen = np.arange(count) if count <= MOST_PAIRS else rng.choice(count, MOST_PAIRS, replace=False)
    row = np.searchsorted(before, chosen, side="right") - 1
    pairs = np.stack([order[row], order[row + 1 + chosen - before[row]]], axis=1)
    return _similarities(tracks, pairs), pairs
