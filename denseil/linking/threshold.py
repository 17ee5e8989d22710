"""The threshold of linking: given, or from pairs of tracks that surely show two persons."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from denseil.common.vectors import ArrayLike
from denseil.linking.checks import Tracks, check_vectors
from denseil.linking.rules import Rules

Halves: TypeAlias = tuple[ArrayLike, ArrayLike]

FAR = 0.01
MEAN, SPREAD = 0.04, 0.245  # of the similarity of two rendered persons, with the packaged weights
MEASURED = "83255db2973b5731a915ee2ba0095e0034cc9b6d"  # identity of these weights, denseil_mobilenetv2.people_v1
# Share of pairs of two persons that average linkage joins, by (threshold - mean) / spread; on rendered walks.
RATES = (0.1, 0.05, 0.02, 0.01, 0.005, 0.001)
STEPS = (0.7, 1.2, 2.0, 2.7, 3.4, 3.75)
PRIOR = 50  # pairs that count as much as the rendered ones
MOST_PAIRS = 200_000  # co-visible pairs looked at
CAP = 0.97  # no threshold is above
KEPT = 0.95  # share of the halves that the threshold keeps together
BLOCK = 512


@dataclass(frozen=True)
class Threshold:
    """Least average cosine similarity of the tracklets of one person, and what it rests on.

    Attributes:
        value: The similarity, in [-1, 1].
        how: "given" or "auto".
        pairs: Pairs of tracklets that surely show two persons, seen at once in one camera.
        halves: Pairs that surely show one person, halves of one track.
        low: Lower end of the 95 % interval of the value, from resampled pairs; NaN without pairs.
        high: Upper end.
        far: Wanted share of pairs of two persons that are linked; NaN if the value is given.
    """

    value: float
    how: str = "given"
    pairs: int = 0
    halves: int = 0
    low: float = float("nan")
    high: float = float("nan")
    far: float = float("nan")

    def __str__(self) -> str:
        if self.how == "given":
            return f"threshold {self.value:.3f}"
        interval = "" if np.isnan(self.low) else f" ({self.low:.3f} to {self.high:.3f})"
        text = (
            f"threshold {self.value:.3f}{interval} for {100 * self.far:g} % false links, from {self.pairs:,} pairs "
            f"seen at once and {self.halves:,} halved tracks"
        )
        return text if self.pairs >= PRIOR else f"{text}: so few that it is mostly that of the weights in the package"


def auto_threshold(tracks: Tracks, rules: Rules, *, far: float = FAR, halves: Halves | None = None) -> Threshold:
    """Choose a threshold without labels.

    The value for the packaged weights, measured on rendered walks, is moved to the mean and the spread of the
    similarity of two persons in these recordings. They are those of tracklets seen at once in one camera, which surely
    show two persons, together with 50 pairs' worth of a guess: the median of all pairs, at most one spread above the
    mean of rendered people. If halves of tracks are given, the value keeps at least 95 % of them together.

    Args:
        tracks: Tracklets.
        rules: Their constraints; only pairs of one camera are looked at.
        far: Wanted share of the pairs of two persons that are linked, in (0, 0.5].
        halves: Vectors (M, D) of the first and of the second half of M tracks.

    Raises:
        ValueError: If the rate is out of its range, or the halves are not two arrays of one shape.
    """
    if not 0 < far <= 0.5:
        raise ValueError(f"far={far!r}: give a rate above 0 and at most 0.5, such as 0.01")
    similar = _seen_at_once(tracks, rules)
    guess = _guess(tracks)
    value = _value(similar, *guess, far)
    rng = np.random.default_rng(0)
    drawn = [_value(rng.choice(similar, len(similar)), *guess, far) for _ in range(300 if len(similar) else 0)]
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist() if drawn else (float("nan"),) * 2
    count = 0
    if halves is not None:
        one, other = (check_vectors(half) for half in halves)
        if one.shape != other.shape:
            raise ValueError(f"halves have shapes {one.shape} and {other.shape}; give two vectors for each track")
        count = len(one)
        if count:
            value = min(value, float(np.quantile((one * other).sum(1), 1 - KEPT)))
            low, high = min(low, value), max(high, value)
    return Threshold(value, "auto", len(similar), count, low, high, far)


def warn_if_borrowed(threshold: Threshold, model_id: str | None, *, level: int) -> None:
    """Warn if an automatic threshold rests mostly on weights which the vectors are not known to be of.

    Args:
        threshold: The threshold.
        model_id: Identity of the model that made the vectors; None if unknown.
        level: Frames from here to the caller who is to be told.
    """
    if threshold.how == "auto" and threshold.pairs < PRIOR and model_id != MEASURED:
        whose = "not" if model_id else "not known to be"
        warnings.warn(
            f"the threshold 'auto' rests on {threshold.pairs} pairs seen at once, fewer than {PRIOR}, so it is mostly "
            f"that of denseil_mobilenetv2.people_v1, and the vectors are {whose} of it: give a threshold, such as from "
            "denseil calibrate, or recordings in which people are seen at once",
            stacklevel=level + 1,
        )


def move(count: int, mean: float, variance: float, guess: float, spread: float, far: float) -> float:
    """Threshold for a rate of false links, from pairs of two persons and a guess that weighs as much as `PRIOR`."""
    step = float(np.interp(np.log(far), np.log(RATES[::-1]), STEPS[::-1]))
    total = count + PRIOR
    middle = (count * mean + PRIOR * guess) / total
    return float(np.clip(middle + step * np.sqrt((count * variance + PRIOR * spread**2) / total), -1, CAP))


def _value(similar: NDArray[np.float32], mean: float, spread: float, far: float) -> float:
    moments = (float(similar.mean()), float(similar.var())) if len(similar) else (0.0, 0.0)
    return move(len(similar), *moments, mean, spread, far)


def _guess(tracks: Tracks) -> tuple[float, float]:
    """Guess the mean and spread of two persons' similarity from all pairs."""
    if len(tracks) < 10:
        return MEAN, SPREAD
    rows = np.random.default_rng(0).integers(0, len(tracks), (2, 20_000))
    rows = rows[:, rows[0] != rows[1]]
    median = float(np.median((tracks.vectors[rows[0]] * tracks.vectors[rows[1]]).sum(1)))
    mean = float(np.clip(median, MEAN, MEAN + SPREAD))
    return mean, SPREAD * (1 - mean) / (1 - MEAN)


def _seen_at_once(tracks: Tracks, rules: Rules) -> NDArray[np.float32]:
    """Similarities (P,) of pairs that one camera shows at once."""
    found = [np.empty(0, np.float32)]
    count = 0
    for camera in range(len(rules.names)):
        own = np.flatnonzero(rules.camids == camera)
        for first in range(0, len(own), BLOCK):
            rows, columns = own[first : first + BLOCK], own[first:]
            at_once = np.minimum(rules.end[rows, None], rules.end[columns]) >= np.maximum(
                rules.start[rows, None], rules.start[columns]
            )
            at_once &= rows[:, None] < columns
            if at_once.any():
                found.append((tracks.vectors[rows] @ tracks.vectors[columns].T)[at_once])
                count += len(found[-1])
            if count > MOST_PAIRS:
                return np.concatenate(found)
    return np.concatenate(found)
