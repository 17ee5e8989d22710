"""Results of evaluations, with the protocol, distance and counts that they were computed under."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from denseil.common.files import replacing
from denseil.common.text import counted, plain
from denseil.metrics.figures import new_figure, save_figure
from denseil.metrics.protocols import FloatArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_RANK = 20
PER_QUERY = ("average_precision", "first_match")


@dataclass(frozen=True, eq=False)
class RankingResult:
    """Scores in [0, 1], and what they were computed under.

    Args:
        mAP: Mean average precision.
        cmc: (20,) share of queries with the first match at rank k or before, for k = 1 to 20.
        mINP: Mean inverse negative penalty, the precision at a query's last match.
        num_query: Number of queries.
        num_valid: Number of queries with a match in the gallery.
        num_gallery: Number of gallery items, including junk and distractors.
        num_junk: Number of gallery items of pid -1, which are ignored.
        num_distractors: Number of gallery items of pid 0.
        protocol: Name of the protocol, which defines the means.
        metric: Name of the distance.
        frames: Frames of a tracklet that its vector was computed from; None if unknown.
        average_precision: (num_query,) NaN for a query that is left out. Not saved.
        first_match: (num_query,) rank of the first match, 0 for a query without one. Not saved.
        rerank: Name and parameters of the re-ranking; None without.

    Raises:
        ValueError: If the CMC does not have 20 ranks.
    """

    mAP: float  # noqa: N815
    cmc: FloatArray
    mINP: float  # noqa: N815
    num_query: int
    num_valid: int
    num_gallery: int
    num_junk: int
    num_distractors: int
    protocol: str
    metric: str
    frames: str | None = None
    average_precision: FloatArray | None = None
    first_match: npt.NDArray[np.int64] | None = None
    rerank: str | None = None

    def __post_init__(self) -> None:
        cmc = np.array(self.cmc, dtype=np.float64)
        if cmc.shape != (MAX_RANK,):
            raise ValueError(f"cmc has shape {cmc.shape}; it must hold ranks 1 to {MAX_RANK}")
        object.__setattr__(self, "cmc", cmc)

    def __str__(self) -> str:
        queries, distractors = counted(self.num_query, "query", "queries"), counted(self.num_distractors, "distractor")
        return (
            f"{conditions(self)}\n{HEADER}\n{table_row(self.mAP, self.cmc, self.mINP)}\n"
            f"{queries}, {self.num_valid:,} with a match\n"
            f"{self.num_gallery:,} in the gallery, {self.num_junk:,} of them junk, {distractors}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: all fields except the arrays of single queries."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in PER_QUERY}
        return {**values, "cmc": self.cmc.tolist()}

    def to_json(self) -> str:
        """Return the result as JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RankingResult:
        """Build a result from the output of `to_dict`.

        Raises:
            ValueError: If the fields are not those of a result.
        """
        try:
            return cls(**values)
        except TypeError as error:  # a missing, unknown or misshapen field
            raise ValueError(f"this is not a ranking result: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> RankingResult:
        """Build a result from the output of `to_json`.

        Raises:
            ValueError: If the text is not JSON, or not a result.
        """
        return cls.from_dict(json.loads(text))

    def save(self, path: str | Path) -> None:
        """Write the result as JSON."""
        with replacing(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> RankingResult:
        """Read a saved result; see `from_json`."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))

    def plot(self, path: str | Path | None = None) -> Figure:
        """Plot the CMC curve, and save it if a path is given, in the format of its suffix.

        Raises:
            ModuleNotFoundError: If matplotlib is not installed.
        """
        figure = new_figure(5, 3.5)
        axes = figure.subplots()
        axes.plot(np.arange(1, MAX_RANK + 1), 100 * self.cmc, marker=".")
        axes.set(xlabel="rank", ylabel="queries with a match by this rank (%)", xticks=[1, 5, 10, 15, 20])
        way = f"{self.protocol}, {self.metric}{', re-ranked' if self.rerank else ''}"
        axes.set_title(f"{way}: mAP {self.mAP:.1%}, R-1 {self.cmc[0]:.1%}", fontsize="medium")
        axes.grid(alpha=0.3)
        if path is not None:
            save_figure(figure, path)
        return figure


HEADER = "    mAP    R-1    R-5   R-10   R-20   mINP"


def table_row(mean_ap: float, cmc: FloatArray, mean_inp: float) -> str:
    """Format the scores in percent, under `HEADER`."""
    return "".join(f"{100 * value:7.2f}" for value in (mean_ap, *cmc[[0, 4, 9, 19]], mean_inp))


def conditions(result: RankingResult) -> str:
    """Return the protocol, distance, frames and re-ranking of a result, in one line."""
    ending = f", re-ranked: {result.rerank}" if result.rerank else ""
    return plain(f"{result.protocol}, {result.metric} distance, frames: {result.frames or 'not recorded'}{ending}")
