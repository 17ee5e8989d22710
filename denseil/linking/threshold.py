"""The threshold of linking: given, or from pairs of tracks that surely show two persons."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from statistics import NormalDist
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
PRIOR = 50  # pairs that count as much as the rendered ones
OUTLIER, TWICE = 3.0, 0.85  # spreads above the median, and similarity, above which a pair may be one person twice
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
        interval = "" if np.isnan(self.low) else f" ({self.low:.3f} to {self.high:.3f})"
        doubles = f" ({self.left_out:,} more left out, which may show one person twice)" * bool(self.left_out)
        text = (
            f"threshold {self.value:.3f}{interval} for {100 * self.far:g} % false links, from {self.pairs:,} pairs "
            f"seen at once{doubles} and {self.halves:,} halved tracks"
        )
        return text if self.pairs >= PRIOR else f"{text}: so few that it is mostly that of the weights in the package"


def auto_threshold(tracks: Tracks, rules: Rules, *, far: float = FAR, halves: Halves | None = None) -> Threshold:
    """Choose a threshold without labels.

    It is the similarity that the wanted share of pairs of two persons reaches if similarities are normally distributed:
    their mean plus z spreads, with z = 2.33 for 1 %. Mean and spread are those of tracklets seen at once in one camera,
    which surely show two persons, together with 50 pairs' worth of a guess: the median of all pairs, at most one spread
    above the mean of rendered people. Pairs above 0.85 and more than 3 spreads above the median (from the median
    absolute deviation) are left out, since a tracker may show one person twice at once. If halves of tracks are given,
    the value keeps at least 95 % of them together.

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
    similar, left_out = without_doubles(_seen_at_once(tracks, rules))
    guess = _guess(tracks)
    value = value_of(similar, *guess, far)
    rng = np.random.default_rng(0)
    drawn = [value_of(rng.choice(similar, len(similar)), *guess, far) for _ in range(300 if len(similar) else 0)]
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
    return Threshold(value, "auto", len(similar), count, low, high, far, left_out)


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


def without_doubles(similar: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """Leave out pairs (P,) that are far above the others, more than people who look alike, and count them."""
    if not len(similar):
        return similar, 0
    median = np.median(similar)
    spread = max(1.4826 * np.median(np.abs(similar - median)), SPREAD / 2)
    kept = similar[similar <= max(median + OUTLIER * spread, TWICE)]
    return kept, len(similar) - len(kept)


def value_of(similar: NDArray[np.float32], mean: float, spread: float, far: float) -> float:
    """Threshold for a rate of false links, from pairs of two persons (P,) and a guess that weighs as much as `PRIOR`.

    Args:
        similar: Similarities of pairs that surely show two persons.
        mean: The guess of their mean.
        spread: And of their standard deviation.
        far: The rate, in (0, 0.5].
    """
    count = len(similar)
    own, variance = (float(similar.mean()), float(similar.var())) if count else (0.0, 0.0)
    total = count + PRIOR
    middle = (count * own + PRIOR * mean) / total
    width = np.sqrt((count * variance + PRIOR * spread**2) / total)
    return float(np.clip(middle + NormalDist().inv_cdf(1 - far) * width, -1, CAP))


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
