"""The mean over random splits of one dataset, as for iLIDS-VID and PRID-2011."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from denseil.common.arguments import checked, shown
from denseil.common.files import replacing
from denseil.metrics.protocols import FloatArray
from denseil.metrics.result import HEADER, RankingResult, conditions, table_row


@dataclass(frozen=True, eq=False)
class SplitResult:
    """Mean and standard deviation of scores over splits; made by `mean_of_splits`.

    Args:
        mAP: Mean of mAP.
        cmc: Mean of the CMC (20,).
        mINP: Mean of mINP.
        mAP_std: Sample standard deviation of mAP.
        cmc_std: Sample standard deviation of the CMC (20,).
        mINP_std: Sample standard deviation of mINP.
        splits: The result of each split.
    """

    mAP: float  # noqa: N815
    cmc: FloatArray
    mINP: float  # noqa: N815
    mAP_std: float  # noqa: N815
    cmc_std: FloatArray
    mINP_std: float  # noqa: N815
    splits: tuple[RankingResult, ...]

    def __str__(self) -> str:
        return (
            f"{conditions(self.splits[0])}, {len(self.splits)} splits\n{HEADER}\n"
            f"{table_row(self.mAP, self.cmc, self.mINP)}  mean\n"
            f"{table_row(self.mAP_std, self.cmc_std, self.mINP_std)}  standard deviation"
        )

    def to_json(self) -> str:
        """Return the result, with that of each split, as JSON text."""
        values: dict[str, Any] = {**vars(self), "splits": [split.to_dict() for split in self.splits]}
        return json.dumps({**values, "cmc": self.cmc.tolist(), "cmc_std": self.cmc_std.tolist()}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> SplitResult:
        """Build a result from the output of `to_json`; the means are recomputed from the splits.

        Raises:
            ValueError: If the text is not JSON, or not a result over splits.
        """
        saved = json.loads(text)
        if not isinstance(saved, dict) or not isinstance(saved.get("splits"), list):
            raise ValueError("this JSON is not a result over splits: it has no list 'splits'")
        return mean_of_splits(RankingResult.from_dict(split) for split in saved["splits"])

    def save(self, path: str | Path) -> None:
        """Write the result as JSON."""
        with replacing(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> SplitResult:
        """Read a saved result; see `from_json`."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))


@checked
def mean_of_splits(results: Iterable[RankingResult]) -> SplitResult:
    """Average scores over splits, usually ten, each with the same weight.

    Raises:
        ValueError: If there are fewer than two splits, or they were evaluated under different protocols, distances or
            frames.
    """
    splits = tuple(results)
    wrong = next((split for split in splits if not isinstance(split, RankingResult)), None)
    if wrong is not None:
        raise TypeError(f"results hold {shown(wrong)}; they must be RankingResults, one of each split")
    if len(splits) < 2:
        raise ValueError(f"got {len(splits)} split(s); a spread needs at least two")
    ways = sorted({_way(split) for split in splits})
    if len(ways) > 1:
        raise ValueError(f"splits were evaluated in different ways ({'; '.join(ways)}); evaluate all in the same way")
    scores = np.stack([[split.mAP, *split.cmc, split.mINP] for split in splits])  # (S, 22)
    mean, std = scores.mean(0), scores.std(0, ddof=1)
    return SplitResult(
        float(mean[0]), mean[1:-1], float(mean[-1]), float(std[0]), std[1:-1], float(std[-1]), splits=splits
    )


def _way(split: RankingResult) -> str:
    """Name what a split was evaluated under."""
    ending = f", re-ranked: {split.rerank}" if split.rerank else ""
    return f"{split.protocol}, {split.metric}, frames {split.frames}{ending}"
