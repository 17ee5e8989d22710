"""Which tracklets cannot be one person: those that one camera shows at once, and those too near in time for the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

Travel = Mapping[tuple[int, int], tuple[float, float]]
"""Least and most seconds from one camera to another, both directions alike unless both are given."""
BLOCK = 1024  # rows compared at once


class Sightings:
    """Where and when each of N tracklets was seen.

    Args:
        camids: (N,) cameras.
        start: (N,) seconds; NaN where unknown.
        end: (N,) seconds; NaN where unknown.
        travel: Least and most seconds between cameras; pairs that it does not name are free.

    Raises:
        ValueError: If lengths differ, a track ends before it starts, or a travel time is no range of seconds.
    """

    def __init__(
        self, camids: npt.ArrayLike, start: npt.ArrayLike, end: npt.ArrayLike, travel: Travel | None = None
    ) -> None:
        self.camids = np.asarray(camids, dtype=np.int64)
        self.start, self.end = (np.asarray(times, dtype=np.float64) for times in (start, end))
        if not len(self.camids) == len(self.start) == len(self.end):
            raise ValueError(
                f"{len(self.camids)} camids, {len(self.start)} starts and {len(self.end)} ends: give one a tracklet"
            )
        wrong = np.flatnonzero(self.end < self.start)
        if len(wrong):
            place = int(wrong[0])
            raise ValueError(f"tracklet {place} ends at {self.end[place]}, before its start at {self.start[place]}")
        if np.isinf(self.start).any() or np.isinf(self.end).any():
            raise ValueError("start and end are seconds; give NaN where a time is unknown, not infinity")
        self.travel = _both_ways(travel or {})

    def __len__(self) -> int:
        return len(self.camids)

    def at_once(self, rows: slice) -> NDArray[np.bool_]:
        """(rows, N): whether one camera shows both at the same time; a tracklet is not compared with itself."""
        together: NDArray[np.bool_] = (
            (self.camids[rows, None] == self.camids)
            & (self.start[rows, None] <= self.end)
            & (self.start <= self.end[rows, None])
        )
        together[np.arange(len(together)), np.arange(len(self))[rows]] = False
        return together

    def cannot_link(self, rows: slice) -> NDArray[np.bool_]:
        """(rows, N): whether times forbid that both are one person."""
        forbidden = self.at_once(rows)
        if self.travel:
            # Seconds from the end of the earlier to the start of the later; below 0 where they overlap.
            gap = np.maximum(self.start[rows, None] - self.end, self.start - self.end[rows, None])
            row_cams = self.camids[rows]
            for (a, b), (least, most) in self.travel.items():
                between = (row_cams[:, None] == a) & (self.camids == b)
                forbidden |= between & ((gap < least) | (gap > most))
        return forbidden

    def reordered(self, order: NDArray[np.int64]) -> Sightings:
        """The same tracklets in another order."""
        return Sightings(self.camids[order], self.start[order], self.end[order], self.travel)

    def pairs(self, *, at_once: bool = False) -> NDArray[np.int64]:
        """(M, 2) pairs i < j that cannot be one person; `at_once` alone for those that one camera shows together."""
        found = []
        for first in range(0, len(self), BLOCK):
            rows = slice(first, min(first + BLOCK, len(self)))
            i, j = np.nonzero(self.at_once(rows) if at_once else self.cannot_link(rows))
            found.append(np.stack([i + first, j], axis=1)[j > i + first])
        return np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)


def _both_ways(travel: Travel) -> dict[tuple[int, int], tuple[float, float]]:
    table: dict[tuple[int, int], tuple[float, float]] = {}
    for (a, b), (least, most) in travel.items():
        if not least <= most or np.isnan(least):
            raise ValueError(f"travel from camera {a} to {b} takes {least} to {most} seconds: give the least first")
        table[a, b] = (float(least), float(most))
    for (a, b), times in list(table.items()):
        table.setdefault((b, a), times)
    return table


def check_pairs(pairs: Iterable[tuple[int, int]], count: int, name: str) -> NDArray[np.int64]:
    """Pairs of tracklets' numbers as an array (M, 2).

    Raises:
        ValueError: If a number is not that of a tracklet, or a pair names one tracklet twice.
    """
    table = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    for a, b in table.tolist():
        if not (0 <= a < count and 0 <= b < count) or a == b:
            raise ValueError(f"{name} holds {(a, b)}: give two different numbers from 0 to {count - 1}")
    return table
