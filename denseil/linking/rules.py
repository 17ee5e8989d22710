"""Rules for tracklets that cannot show one person: seen at once, too far apart in too little time, or told so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import shown

Travel: TypeAlias = Mapping[tuple[int, int], tuple[float, float]]
Pairs: TypeAlias = Sequence[tuple[int, int]]


class ConflictError(ValueError):
    """Two tracklets must be linked, but a rule bars it.

    Attributes:
        pair: Rows of the tracklets to link.
        barred: Rows of the tracklets, one of each person, that the rule is about.
        why: The rule, as "are ...".
    """

    def __init__(self, pair: tuple[int, int], barred: tuple[int, int], why: str) -> None:
        self.pair, self.barred, self.why = pair, barred, why
        super().__init__(self.told(lambda row: f"row {row}"))

    def of_rows(self, rows: NDArray[np.int64]) -> ConflictError:
        """Return the error of an input whose row `rows[i]` is row i here."""
        one, other, first, second = rows[[*self.pair, *self.barred]].tolist()
        return ConflictError((one, other), (first, second), self.why)

    def told(self, name: Callable[[int], str]) -> str:
        """Return the message, with a name for each row."""
        one, other = map(name, self.pair)
        first, second = map(name, self.barred)
        return f"{one} and {other} must be linked, but {first} and {second} {self.why}: take back one of the two"


def _two(values: object, kind: type) -> bool:
    return isinstance(values, (tuple, list)) and len(values) == 2 and all(isinstance(one, kind) for one in values)


class Rules:
    """Pairs of tracklets that cannot show one person.

    Two tracklets of one camera whose times overlap, if only in one instant, show two persons. A pair of cameras in
    `travel` bars tracklets between which there is less time than the least, or more than the most. Unknown times (NaN)
    bar nothing.

    Args:
        camids: Camera of each tracklet (N,).
        start: Time of its first frame (N,), seconds; NaN if unknown.
        end: Time of its last frame (N,).
        cannot_link: Pairs of rows that show two persons.
        travel: Least and most seconds from the end in one camera to the start in another, by (from, to); the way back
            takes as long unless it is given, too.
    """

    def __init__(
        self,
        camids: NDArray[np.int64],
        start: NDArray[np.float64],
        end: NDArray[np.float64],
        cannot_link: Pairs = (),
        travel: Travel | None = None,
    ) -> None:
        self.names, self.camids = np.unique(camids, return_inverse=True)
        self.start, self.end = start, end
        self.cannot: dict[int, NDArray[np.int64]] = {}
        for one, other in [*cannot_link, *[(b, a) for a, b in cannot_link]]:
            self.cannot[one] = np.append(self.cannot.get(one, np.empty(0, np.int64)), other)
        self.limits = self._limits(travel) if travel else None

    def _limits(self, travel: Travel) -> NDArray[np.float64]:
        """Least and most seconds (2, cameras, cameras)."""
        place = {int(name): row for row, name in enumerate(self.names)}
        for way, span in travel.items():
            if not (_two(way, Integral) and _two(span, Real)):
                raise ValueError(
                    f"travel holds {shown(way)}: {shown(span)}; give (camera, camera): (least, most), the limits in "
                    "seconds"
                )
        limits = np.stack([np.full((len(place),) * 2, value) for value in (-np.inf, np.inf)])
        for (one, other), (least, most) in travel.items():
            if not 0 <= least <= most:
                raise ValueError(f"travel from {one} to {other}: {least}, {most}; give 0 <= least <= most, in seconds")
        for (one, other), (least, most) in ({(b, a): way for (a, b), way in travel.items()} | dict(travel)).items():
            if one in place and other in place:
                limits[:, place[one], place[other]] = least, most
        return limits

    def why(self, one: int, other: int) -> str:
        """Say which rule bars a pair."""
        if other in self.cannot.get(one, ()):
            return "were told to be two persons"
        cameras = [int(self.names[self.camids[row]]) for row in (one, other)]
        if cameras[0] == cameras[1] and max(self.start[[one, other]]) <= min(self.end[[one, other]]):
            return f"are seen at once by camera {cameras[0]}"
        return f"are barred by the travel times of cameras {cameras[0]} and {cameras[1]}"

    def barred(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of some tracklets (R,) cannot show the person of each of others (C,), (R, C)."""
        start, end, camera = self.start[rows, None], self.end[rows, None], self.camids[rows, None]
        after = self.start[columns] - end  # (R, C): from the row's end to the column's start
        before = start - self.end[columns]
        barred: NDArray[np.bool_] = (camera == self.camids[columns]) & (after <= 0) & (before <= 0)
        if self.limits is not None:
            for gap, least, most in (
                (after, *self.limits[:, camera, self.camids[columns]]),
                (before, *self.limits[:, self.camids[columns], camera]),
            ):
                barred |= (gap >= 0) & ((gap < least) | (gap > most))
                barred |= (after < 0) & (before < 0) & (least > 0)  # seen in both at once
        if self.cannot:
            for place, row in enumerate(rows.tolist()):
                if row in self.cannot:
                    barred[place] |= np.isin(columns, self.cannot[row])
        return barred
