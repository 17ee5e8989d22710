"""Vectors and times of tracklets to persons: each tracklet gets the number of a person."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from denseil.common.files import replacing
from denseil.linking.cluster import average_linkage
from denseil.linking.constraints import Sightings, Travel, check_pairs
from denseil.linking.threshold import Threshold, auto_threshold

BLOCK = 1024  # rows compared at once
Pairs = Iterable[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Links:
    """Who is who. Printed, it is a line.

    Attributes:
        person: (N,) int64, numbers from 1 in the order in which persons first appear.
        confidence: (N,) from 0 to 1: how much more similar a tracklet is to its person than to the next one or, where
            none is near, than the threshold asks; in shares of what lies between the threshold and 1.
        threshold: From which similarity on tracklets were linked, and what that rests on.
    """

    person: NDArray[np.int64]
    confidence: NDArray[np.float64]
    threshold: Threshold

    @property
    def num_persons(self) -> int:
        """How many persons were found."""
        return int(self.person.max()) if len(self.person) else 0

    def __str__(self) -> str:
        return f"{len(self.person):,} tracklets of {self.num_persons:,} persons; {self.threshold}"

    def to_csv(self, path: str | Path, columns: dict[str, Sequence[Any]] | None = None) -> None:
        """Write a row for each tracklet: the given columns, then person and confidence.

        Args:
            path: The file.
            columns: What else is known of the tracklets, such as `{"id": ids, "camid": camids}`.

        Raises:
            FileNotFoundError: If the folder does not exist.
            ValueError: If a column has not one value a tracklet.
        """
        columns = dict(columns or {"tracklet": range(len(self.person))})
        for name, values in columns.items():
            if len(values) != len(self.person):
                raise ValueError(f"column {name!r} has {len(values)} values for {len(self.person)} tracklets")
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*columns, "person", "confidence"])
            for row, (person, confidence) in enumerate(
                zip(self.person.tolist(), self.confidence.tolist(), strict=True)
            ):
                writer.writerow([*(values[row] for values in columns.values()), person, f"{confidence:.3f}"])


def link(
    vectors: npt.ArrayLike,
    *,
    camids: Sequence[int],
    start: Sequence[float],
    end: Sequence[float],
    threshold: float | Literal["auto"] = "auto",
    far: float = 0.01,
    prior: float | None = None,
    halves: npt.ArrayLike | None = None,
    travel: Travel | None = None,
    cannot_link: Pairs = (),
    must_link: Pairs = (),
) -> Links:
    """Find which tracklets show the same person, across cameras and visits.

    Tracklets are joined by average linkage while the mean similarity of two groups is at least the threshold. Two
    tracklets that one camera shows at the same time are never one person, nor are any that `travel` or `cannot_link`
    forbids. The result does not depend on the order of the tracklets.

    Args:
        vectors: (N, D), as `Embedder` makes them.
        camids: (N,) cameras.
        start: (N,) seconds, on one clock for all cameras; NaN where unknown.
        end: (N,) seconds; NaN where unknown.
        threshold: Cosine similarity; "auto" chooses it from the tracklets themselves (`auto_threshold`).
        far: For "auto": the wanted share of false links.
        prior: For "auto": the threshold of the weights for this share, where they have one.
        halves: For "auto": (K, 2, D) vectors of the halves of tracks, to report how many of them would be linked.
        travel: Least and most seconds between pairs of cameras.
        cannot_link: Pairs of tracklets' numbers that are two persons.
        must_link: Pairs that are one person.

    Raises:
        TypeError: If vectors are no numbers.
        ValueError: If lengths differ, a vector is not finite or all zeros, a track ends before it starts, a pair names
            no tracklet, pairs contradict each other, or "auto" has nothing to go by.
    """
    unit = unit_vectors(vectors)
    if len(unit) != len(camids):
        raise ValueError(f"{len(unit)} vectors for {len(camids)} camids: give one a tracklet")
    sightings = Sightings(camids, start, end, travel)
    cannot, must = (
        check_pairs(pairs, len(unit), name) for pairs, name in ((cannot_link, "cannot_link"), (must_link, "must_link"))
    )
    if not len(unit):
        return Links(np.empty(0, np.int64), np.empty(0), Threshold(float("nan")))
    order = _canonical(unit, sightings)
    place = np.argsort(order)
    unit, sightings = unit[order], sightings.reordered(order)
    if threshold == "auto":
        both = (
            None
            if halves is None
            else unit_vectors(np.asarray(halves).reshape(-1, unit.shape[1])).reshape(-1, 2, unit.shape[1])
        )
        chosen = auto_threshold(unit, sightings.pairs(at_once=True), far=far, prior=prior, halves=both)
    else:
        chosen = Threshold(_cosine(threshold))
    forbidden = np.concatenate([sightings.pairs(), place[cannot]])
    groups = average_linkage(
        unit, chosen.value, cannot=map(tuple, forbidden.tolist()), must=map(tuple, place[must].tolist())
    )
    person = _numbered(groups, sightings.start)
    confidence = _confidence(unit, person, sightings, chosen.value)
    return Links(person[place], confidence[place], chosen)


def unit_vectors(vectors: npt.ArrayLike) -> NDArray[np.float32]:
    """Vectors (N, D) of length 1, float32.

    Raises:
        TypeError: If they are no real numbers.
        ValueError: If they have another shape, or one is not finite or all zeros.
    """
    table = np.asarray(vectors)
    if table.size == 0:
        return np.empty((len(table), 0), np.float32) if len(table) == 0 else table.astype(np.float32)
    if table.dtype.kind not in "fiu":
        raise TypeError(f"vectors are {table.dtype}; they must be real numbers")
    if table.ndim != 2:
        raise ValueError(f"vectors have shape {table.shape}; they must be (N, D), one row a tracklet")
    lengths = np.linalg.norm(table.astype(np.float64), axis=1)
    wrong = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(wrong):
        raise ValueError(
            f"vector {int(wrong[0])} is not finite or all zeros ({len(wrong)} of {len(table)} are): leave it out"
        )
    unit: NDArray[np.float32] = (table / lengths[:, None]).astype(np.float32)
    return unit


def _cosine(threshold: object) -> float:
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not -1 <= threshold <= 1:
        raise ValueError(f"threshold={threshold!r}: give 'auto' or a cosine similarity from -1 to 1")
    return float(threshold)


def _canonical(unit: NDArray[np.float32], sightings: Sightings) -> NDArray[np.int64]:
    """An order of the tracklets that depends on what they are, not on where they stood."""
    times = np.stack([sightings.start, sightings.end], axis=1)
    keys = [(int(camid), times[row].tobytes(), unit[row].tobytes()) for row, camid in enumerate(sightings.camids)]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def _numbered(groups: NDArray[np.int64], start: NDArray[np.float64]) -> NDArray[np.int64]:
    """Persons from 1, in the order in which they first appear; those without a time come last."""
    first: dict[int, float] = {}
    for group, seconds in zip(groups.tolist(), np.nan_to_num(start, nan=np.inf).tolist(), strict=True):
        first[group] = min(first.get(group, np.inf), seconds)
    numbers = {group: number for number, group in enumerate(sorted(first, key=lambda g: (first[g], g)), start=1)}
    return np.array([numbers[group] for group in groups.tolist()], dtype=np.int64)


def _confidence(
    unit: NDArray[np.float32], person: NDArray[np.int64], sightings: Sightings, threshold: float
) -> NDArray[np.float64]:
    """Margins over the next person or the threshold, as shares of 1 - threshold."""
    count = int(person.max())
    sizes = np.bincount(person, minlength=count + 1)[1:]
    sums = np.zeros((count, unit.shape[1]), np.float32)
    np.add.at(sums, person - 1, unit)
    margins = np.empty(len(unit))
    for begin in range(0, len(unit), BLOCK):
        rows = slice(begin, min(begin + BLOCK, len(unit)))
        own = person[rows] - 1
        line = np.arange(len(own))
        similar = unit[rows] @ (sums / sizes[:, None]).T  # (rows, persons), the mean similarity to each person
        to_own = np.where(sizes[own] > 1, (similar[line, own] * sizes[own] - 1) / np.maximum(sizes[own] - 1, 1), np.nan)
        forbidden = np.zeros_like(similar, dtype=np.bool_)
        i, j = np.nonzero(sightings.cannot_link(rows))
        forbidden[i, person[j] - 1] = True
        forbidden[line, own] = True
        similar[forbidden] = -1
        other = similar.max(axis=1) if count > 1 else np.full(len(own), -1.0)
        margins[rows] = np.where(np.isnan(to_own), threshold - other, to_own - np.maximum(other, threshold))
    return np.clip(margins / max(1 - threshold, 1e-6), 0, 1)
