"""Result of `adapt`, and its report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denseil.common.files import replacing
from denseil.common.text import counted
from denseil.training.adapt_criterion import Score

REPORT = "adapt.json"


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage that was tried.

    Attributes:
        name: "batch norm" or "clusters".
        kept: Whether its model is better by the criterion.
        reason: Reason that it was not kept, "" if it was.
        before: Score of the model before it; None if the tracklets do not suffice for a score.
        score: Score of its model, on the same pairs; None if it was not run.
    """

    name: str
    kept: bool
    reason: str
    before: Score | None = None
    score: Score | None = None


@dataclass(frozen=True)
class Cluster:
    """Tracklets that were learned as one person.

    Attributes:
        certainty: Smallest similarity of two of the tracklets.
        tracklets: Their positions in the given tracklets.
        similarity: Cosine similarity of each with the first.
    """

    certainty: float
    tracklets: tuple[int, ...]
    similarity: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class AdaptResult:
    """Result of `adapt`. Prints as one line per stage.

    Attributes:
        folder: The folder of the model, for `denseil.create_model(folder, pretrained=True)`.
        adapted: Whether the model differs from the given one.
        reason: Reason that it does not, "" if it does.
        stages: The stages that were tried, in order.
        before: Score of the given model; None if the tracklets do not suffice for a score.
        after: Score of the model in the folder.
        tracklets: Number of tracklets.
        learned: Number of tracklets in the clusters that were learned from.
        model_id: Identity of the model in the folder: vectors of another one must not be compared with its vectors.
        source_id: Identity of the given model.
        threshold: Lowest cosine similarity at which two tracklets count as one person; None if it could not be set.
        clusters: Clusters that were learned from in the last round that was kept, least certain first.
    """

    folder: Path
    adapted: bool
    reason: str
    stages: tuple[Stage, ...]
    before: Score | None
    after: Score | None
    tracklets: int
    learned: int
    model_id: str
    source_id: str
    threshold: float | None = None
    clusters: tuple[Cluster, ...] = ()

    def __str__(self) -> str:
        lines = [f"{counted(self.tracklets, 'tracklet')}, {self.learned:,} of them in clusters that were learned from"]
        for stage in self.stages:
            came_to = f"not kept: {stage.reason}"
            if stage.kept and stage.before is not None and stage.score is not None:
                came_to = f"kept: conflicts {stage.before.conflicts:.3f} to {stage.score.conflicts:.3f}"
            lines.append(f"{stage.name:18} {came_to}")
        if self.threshold is not None:
            lines.append(f"threshold on cosine similarity: {self.threshold:.3f}")
        what = "the adapted model" if self.adapted else f"the original model ({self.reason})"
        lines.append(f"{self.folder} holds {what}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "folder": str(self.folder),
            "adapted": self.adapted,
            "reason": self.reason,
            "before": self.before.to_dict() if self.before else None,
            "after": self.after.to_dict() if self.after else None,
            "stages": [
                {
                    "name": stage.name,
                    "kept": stage.kept,
                    "reason": stage.reason,
                    "before": stage.before.to_dict() if stage.before else None,
                    "score": stage.score.to_dict() if stage.score else None,
                }
                for stage in self.stages
            ],
            "tracklets": self.tracklets,
            "learned": self.learned,
            "model_id": self.model_id,
            "source_id": self.source_id,
            "threshold": self.threshold,
            "clusters": [list(cluster.tracklets) for cluster in self.clusters],
        }

    def save(self) -> None:
        """Write the report as adapt.json into the model's folder."""
        with replacing(self.folder / REPORT) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
