"""Checks of the arguments of `link`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import check_seconds, shown
from denseil.common.vectors import ArrayLike, check_steps, unit_vectors, whole_numbers


@dataclass(frozen=True)
class Tracks:
    """Tracklets as arrays: unit vectors (N, D), cameras (N,), times in seconds (N,), NaN where unknown."""

    vectors: NDArray[np.float32]
    camids: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: NDArray[np.int64]) -> Tracks:
        return Tracks(self.vectors[rows], self.camids[rows], self.start[rows], self.end[rows])

    def order(self) -> NDArray[np.int64]:
        """Return the rows in an order that does not depend on the order in which the tracklets are given."""
        some = self.vectors[:, :ORDERING].T
        order: NDArray[np.int64] = np.lexsort((self._hash(), *some[::-1], self.camids, self.end, self.start))
        return order

    def _hash(self) -> NDArray[np.uint64]:
        """Compute a hash of each vector (N,), to order those whose first components are equal, such as zeros."""
        found = np.zeros(len(self), np.uint64)
        for column in (self.vectors[:, ORDERING:] + 0.0).view(np.uint32).T:  # -0 as 0
            found = found * PRIME ^ column
        return found


NO_SECONDS = (str, bytes, np.datetime64, np.timedelta64)  # which numpy converts to numbers of some unit
ORDERING = 16  # components of the vectors that break ties of cameras and times
PRIME = np.uint64(0x9E3779B97F4A7C15)  # spreads bits; odd


def check_tracks(vectors: ArrayLike, camids: ArrayLike, start: ArrayLike | None, end: ArrayLike | None) -> Tracks:
    """Check tracklets, and scale their vectors to length 1.

    Raises:
        ValueError: If lengths differ, a vector is not finite or zero, a camera is not a whole number below 2^63,
            a time is infinite or no number, such as a date, or an end is before its start.
    """
    matrix = check_vectors(vectors)
    count = len(matrix)
    cameras = whole_numbers("camids", camids)
    if cameras.shape != (count,):
        raise ValueError(f"camids has shape {cameras.shape} for {count} vectors; give one camera for each")
    first, last = times("start", start, count), times("end", start if end is None else end, count)
    wrong = np.flatnonzero(last < first)
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"tracklet {row} ends at {last[row]:g}, before it starts at {first[row]:g}; swap or correct it"
        )
    return Tracks(matrix, cameras, first, last)


def check_vectors(vectors: ArrayLike) -> NDArray[np.float32]:
    """Check vectors (N, D), of which there may be none, and scale them to length 1; see `unit_vectors`."""
    shape = np.shape(vectors)
    if shape[:1] == (0,):
        return np.empty((0, *(shape[1:] or (1,))), np.float32)
    if len(shape) == 1:
        raise ValueError(f"vectors has shape {shape}; give (N, D), a row each")
    return unit_vectors(vectors)


def times(name: str, values: ArrayLike | None, count: int) -> NDArray[np.float64]:
    """Times (N,) in seconds; NaN for all if None.

    Raises:
        ValueError: If they are not one number for each, such as dates or text, or infinite, or in milliseconds, or of a
            type that is too coarse for them.
    """
    if values is None:
        return np.full(count, np.nan)
    try:
        given = np.asarray(values)
        if given.dtype.kind in "mMUS" or any(isinstance(time, NO_SECONDS) for time in given.flat if given.dtype == "O"):
            raise TypeError
        found = given.astype(np.float64)  # None becomes NaN
    except (TypeError, ValueError):
        raise ValueError(f"{name} holds other things than numbers; give seconds as numbers, NaN if unknown") from None
    check_steps(name, given)
    if found.shape != (count,):
        raise ValueError(f"{name} has shape {found.shape} for {count} vectors; give one time for each")
    if np.isinf(found).any():
        raise ValueError(f"{name} is infinite in row {int(np.flatnonzero(np.isinf(found))[0])}; give NaN where unknown")
    check_seconds(f"the largest {name}", float(np.nanmax(found, initial=-np.inf)))
    return found


def check_pairs(name: str, pairs: Sequence[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """Check pairs of rows.

    Raises:
        ValueError: If a pair is not two different rows.
    """
    found = []
    for pair in pairs:
        if not isinstance(pair, Iterable):
            raise TypeError(f"{name} holds {shown(pair)}; give pairs of two different rows")
        rows = tuple(pair)
        if len(rows) != 2 or not all(_is_row(row, count) for row in rows) or rows[0] == rows[1]:
            raise ValueError(f"{name} holds {shown(pair)}; give pairs of two different rows from 0 to {count - 1}")
        found.append((int(rows[0]), int(rows[1])))
    return found


def _is_row(row: object, count: int) -> bool:
    return isinstance(row, (int, np.integer)) and not isinstance(row, bool) and bool(0 <= row < count)
