"""Verbs from a video to vectors."""

from __future__ import annotations

import math
from pathlib import Path

from denseil.data import cut_tracklets


def tracklets(
    video: Path, tracks: Path, output: Path, *, camid: int = 1, start: str | None = None, max_gap: float = math.inf
) -> int:
    """Cut tracklets out of a video.

    Args:
        video: The video.
        tracks: A tracker's boxes in MOT Challenge format, frame,id,left,top,width,height a line.
        output: A folder for the crops and their manifest.csv.
        camid: The camera's number.
        start: When the video began, such as 2026-05-01T08:30:00+02:00; times are then seconds since 1970.
        max_gap: Seconds that a track may pause; after a longer pause it goes on as another tracklet.
    """
    print(cut_tracklets(video, tracks, output, camid=camid, start=start, max_gap=max_gap))
    return 0
