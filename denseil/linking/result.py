"""Result of linking: a person for each tracklet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import checked
from denseil.common.files import replacing
from denseil.linking.threshold import Threshold

COLUMNS = ("tracklet", "camid", "start", "end", "person", "confidence")


@dataclass(frozen=True, eq=False)
class Links:
    """A person for each tracklet.

    Attributes:
        person: Number of the person (N,), from 1, in the order of their first tracklet in time.
        confidence: Of each tracklet (N,), in [0, 1]: 0.5 if another person, or a person of its own, would fit as well.
        threshold: The threshold used, and what it rests on.
        camids: Cameras as given (N,).
        start: Times as given (N,).
        end: Times as given (N,).
        centred: Whether what a camera's vectors have in common was taken out before they were compared; see `link`.
    """

    person: NDArray[np.int64]
    confidence: NDArray[np.float32]
    threshold: Threshold
    camids: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    centred: bool = False

    @property
    def num_persons(self) -> int:
        """Number of persons."""
        return int(self.person.max(initial=0))

    def __len__(self) -> int:
        return len(self.person)

    def __str__(self) -> str:
        several = int((np.bincount(self.person) > 1).sum()) if len(self) else 0
        return (
            f"{len(self):,} tracklets: {self.num_persons:,} persons, {several:,} of them with several tracklets; "
            f"{self.threshold}{'; each camera centred' * self.centred}"
        )

    @checked
    def to_csv(self, path: str | Path, names: Sequence[str] | None = None) -> None:
        """Write a row per tracklet: its name, camera, times, person and confidence.

        Args:
            path: The file; it is replaced as a whole.
            names: Names of the tracklets; their rows by default.

        Raises:
            FileNotFoundError: If the folder does not exist.
            ValueError: If there is not one name for each tracklet.
        """
        if names is not None and len(names) != len(self):
            raise ValueError(f"{len(names)} names for {len(self)} tracklets; give one for each")
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in range(len(self)):
                times = ["" if np.isnan(t) else f"{t:.3f}" for t in (self.start[row], self.end[row])]
                name = row if names is None else names[row]
                writer.writerow(
                    (name, self.camids[row], *times, self.person[row], f"{float(self.confidence[row]):.3f}")
                )
