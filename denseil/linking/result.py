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
from denseil.common.text import counted
from denseil.linking.names import csv_names
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
        tracklets, persons = counted(len(self), "tracklet"), counted(self.num_persons, "person")
        return (
            f"{tracklets}: {persons}, {several:,} of them with several tracklets; "
            f"{self.threshold}{'; each camera centred' * self.centred}"
        )

    @checked
    def to_csv(self, path: str | Path, names: Sequence[str] | None = None) -> None:
        r"""Write a row per tracklet: its name, camera, times, person and confidence.

        Characters of a name that control a terminal are escaped, line breaks too: `\x1b`. A `'` goes before a name
        that a spreadsheet would take for a formula, such as `=1+1`. Ids that denseil makes stay as they are.

        Args:
            path: The file; it is replaced as a whole.
            names: Names of the tracklets; their rows by default.

        Raises:
            FileNotFoundError: If the folder does not exist.
            ValueError: If there is not one name for each tracklet, or two different names would be written the same.
        """
        if names is not None and len(names) != len(self):
            raise ValueError(f"{len(names)} names for {len(self)} tracklets; give one for each")
        written = csv_names(range(len(self)) if names is None else names)
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in range(len(self)):
                times = ["" if np.isnan(t) else f"{t:.3f}" for t in (self.start[row], self.end[row])]
                confidence = f"{float(self.confidence[row]):.3f}"
                writer.writerow((written[row], self.camids[row], *times, self.person[row], confidence))
