"""Result of cutting tracklets out of a video, and signs that video and boxes do not belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denseil.common.text import counted, plain

ENOUGH = 10  # boxes; of fewer, chance could make corners
PAST = 1.02  # a box reaches past a border if it ends after this multiple of the picture's size


@dataclass
class CutReport:
    """Result of `cut_tracklets`; prints as a few lines.

    Attributes:
        manifest: Path of the manifest.
        tracklets: Number of tracklets.
        crops: Number of crops.
        frames: Number of frames read from the video.
        skipped: Number of skipped boxes by reason, such as "boxes of no area".
        damaged: Numbers of the frames that were not decoded, or that the decoder marked as damaged.
        doubts: Reasons to doubt that the boxes belong to the video, or that the video is whole: those of the
            frames' numbers, and `Fit.doubts`.
    """

    manifest: Path
    tracklets: int = 0
    crops: int = 0
    frames: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    damaged: list[int] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        crops, tracklets = counted(self.crops, "crop"), counted(self.tracklets, "tracklet")
        lines = [f"{crops} of {tracklets} from {counted(self.frames, 'frame')}: {plain(self.manifest)}"]
        lines += [
            f"skipped: {counted(count, 'box', 'boxes')}{plain(reason.removeprefix('boxes'))}"
            for reason, count in sorted(self.skipped.items())
        ]
        if self.damaged:
            lines.append(
                f"damaged: {counted(len(self.damaged), 'frame')}, the first is {self.damaged[0]}; "
                "if the tracker read another copy of the video, boxes may not fit the frames after it"
            )
        return "\n".join([*lines, *(f"check: {doubt}" for doubt in self.doubts)])


@dataclass
class Fit:
    """Counts of boxes that tell whether a tracks file fits a video.

    Attributes:
        boxes: Boxes that were compared with a picture.
        outside: Those entirely outside of it.
        past: Those that reach past its right or lower border.
        corners: Those that would lie in the picture if their last two numbers were the right and the lower edge.
        late: Boxes of frames after the last one of the video.
    """

    boxes: int = 0
    outside: int = 0
    past: int = 0
    corners: int = 0
    late: int = 0

    def count(self, image: NDArray[np.uint8], box: Sequence[float], *, outside: bool) -> None:
        """Count a box (left, top, width, height) of a picture (H, W, 3)."""
        (height, width), (left, top, third, fourth) = image.shape[:2], box
        self.boxes += 1
        self.outside += outside
        self.past += left + third > PAST * width or top + fourth > PAST * height
        self.corners += left < third <= PAST * width and top < fourth <= PAST * height

    def doubts(self) -> list[str]:
        """List the reasons to doubt that the boxes belong to the video, or that the video is whole."""
        found = []
        if self.late:
            found.append("the video ends before its boxes; is it a whole copy, and are the boxes of this video?")
        if 2 * self.outside > self.boxes:
            found.append("most boxes lie outside of the picture; are they of this video, and of its size in pixels?")
        if self.boxes >= ENOUGH and self.corners == self.boxes and 5 * self.past >= self.boxes:
            found.append(
                "many boxes reach past the picture, and none would if the last two numbers were right and bottom; "
                "they must be width and height"
            )
        return found
