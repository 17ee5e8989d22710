"""Re-association on a video and a tracker's boxes: vectors of windows of tracks, in one pass over the video."""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denseil.common.arguments import checked
from denseil.data import Tracks, crop_box
from denseil.data.frame import Frame
from denseil.data.video_frames import open_frames
from denseil.embedding.online import TrackletEmbedder
from denseil.metrics import Reassociation, Sightings, reassociate

logger = logging.getLogger(__name__)


@checked
def evaluate_reassociation(
    embedder: TrackletEmbedder,
    video: str | Path,
    tracks: Tracks,
    *,
    gaps: Sequence[int] = (30,),
    stride: int = 60,
    windows: Sequence[int] = (1, 8),
    fps: float | None = None,
) -> list[Reassociation]:
    """Measure whether a search finds tracks again `gap` frames later, among all tracks then in view.

    A query is a track's last frames up to a frame divisible by `stride`; a candidate is a track's first frames from
    `gap` frames later on; both at most `window` frames. Queries and candidates are the same for all windows. With
    `window=1`, single crops, this is the protocol of roboflow's `reid`. Each crop is encoded once.

    Args:
        embedder: Embedder of tracks; frames are RGB.
        video: The video; see `denseil.data.cut_tracklets`.
        tracks: Its boxes, from `denseil.data.read_tracks`. Boxes without a pixel in the picture are left out. Those in
            frames that are damaged or missing are too, with a warning; results count them in `missing_boxes`.
        gaps: Frames from a query to its candidates.
        stride: Queries are at frames divisible by this number.
        windows: Maximum number of frames of a vector.
        fps: Frames per second of a sequence of images; it changes no score.

    Returns:
        A result for each gap and window, by gap.

    Raises:
        FileNotFoundError: If there is no such video.
        ValueError: If a number is below 1, the video cannot be read, or no query can be scored.
        ModuleNotFoundError: If PyAV is not installed.
    """
    if min([*gaps, *windows, stride], default=0) < 1 or not gaps or not windows:
        raise ValueError(f"gaps={list(gaps)}, windows={list(windows)}, stride={stride}: give numbers of at least 1")
    newest = int(tracks.frames.max(initial=0))
    query_frames = range(stride, newest + 1, stride)
    candidate_frames = {frame + gap for frame in query_frames for gap in gaps}
    plan = _Plan(embedder, set(query_frames), candidate_frames, sorted(set(windows)))
    frames, last, intact = open_frames(video, fps=fps), 0, []
    try:
        for frame in frames:
            if frame.number > newest:
                break
            last = frame.number
            intact += [last] * plan.add(frame, tracks)
    except frames.error as error:
        raise ValueError(f"{video} is damaged after frame {last} ({error}): copy it again from the camera") from error
    if last < newest:
        logger.warning(
            "%s ends at frame %d, its boxes at %d: is it a whole copy, and are they of it?", video, last, newest
        )
    plan.finish()
    if missing := int((~np.isin(tracks.frames, intact)).sum()):
        logger.warning(
            "%s: %d of %d boxes are left out: their frames are damaged or missing", video, missing, len(tracks)
        )
    results = (
        reassociate(plan.queries(window), plan.candidates(window), gap=gap, stride=stride, window=window)
        for gap in gaps
        for window in windows
    )
    return [replace(result, missing_boxes=missing) for result in results]


class _Plan:
    """Tokens of the last frames of each track, and the vectors made of them so far."""

    def __init__(
        self, embedder: TrackletEmbedder, queries: set[int], candidates: set[int], windows: Sequence[int]
    ) -> None:
        self.embedder, self.windows = embedder, windows
        self.query_frames, self.candidate_frames = queries, candidates
        self.recent: dict[int, deque[tuple[int, Tensor]]] = defaultdict(lambda: deque(maxlen=windows[-1]))
        self.waiting: deque[tuple[int, list[int]]] = deque()  # frames of candidates, and who was in them
        self.rows: dict[bool, list[tuple[int, int]]] = {True: [], False: []}  # frame and track, of queries or not
        self.vectors: dict[tuple[bool, int], list[Tensor]] = defaultdict(list)  # of queries or not, by window

    def add(self, frame: Frame, tracks: Tracks) -> bool:
        """Encode the crops of a frame, and decode the windows that it completes; return whether it could be read."""
        number = frame.number
        start, stop = np.searchsorted(tracks.frames, [number, number + 1])
        needed = stop > start and self._needed(number)
        image = _image(frame) if needed else None
        if image is not None:
            boxes = zip(tracks.ids[start:stop].tolist(), tracks.boxes[start:stop].tolist(), strict=True)
            crops = {track: crop_box(image, *box) for track, box in boxes}
            crops = {track: crop for track, crop in crops.items() if crop.size}
            for track, tokens in zip(crops, self.embedder.encode(list(crops.values())), strict=True):
                self.recent[track].append((number, tokens.clone()))
            if number in self.query_frames:
                self._decode(number, list(crops), query=True)
            if number in self.candidate_frames:
                self.waiting.append((number, list(crops)))
        while self.waiting and self.waiting[0][0] <= number + 1 - self.windows[-1]:
            self._decode(*self.waiting.popleft(), query=False)
        return not frame.damaged and (image is not None or not needed)

    def finish(self) -> None:
        """Decode the windows that the end of the video cuts short."""
        while self.waiting:
            self._decode(*self.waiting.popleft(), query=False)

    def queries(self, window: int) -> Sightings:
        """Vectors of queries."""
        return self._sightings(True, window)

    def candidates(self, window: int) -> Sightings:
        """Vectors of candidates."""
        return self._sightings(False, window)

    def _needed(self, number: int) -> bool:
        longest = self.windows[-1]
        return any(number + ahead in self.query_frames for ahead in range(longest)) or any(
            number - behind in self.candidate_frames for behind in range(longest)
        )

    def _decode(self, number: int, tracks: list[int], *, query: bool) -> None:
        """Decode all windows of some tracks at a frame."""
        self.rows[query] += [(number, track) for track in tracks]
        for window in self.windows:
            span = (number - window, number) if query else (number - 1, number + window - 1)
            tokens = [torch.stack(list(self._window(track, *span))) for track in tracks]
            if tokens:
                self.vectors[query, window].append(self.embedder.decode(tokens))

    def _window(self, track: int, after: int, last: int) -> Iterator[Tensor]:
        return (tokens for number, tokens in self.recent[track] if after < number <= last)

    def _sightings(self, query: bool, window: int) -> Sightings:
        parts = self.vectors[query, window]
        vectors = torch.cat(parts) if parts else torch.empty(0, self.embedder.encoder.num_features)
        rows = np.array(self.rows[query], dtype=np.int64).reshape(-1, 2)
        return Sightings(vectors.numpy(), rows[:, 0], rows[:, 1])


def _image(frame: Frame) -> NDArray[np.uint8] | None:
    """Pixels of a frame; None if it is damaged, with a warning for an image file."""
    if frame.damaged:
        return None
    try:
        return frame.image()
    except (FileNotFoundError, ValueError) as error:
        logger.warning("%s; its boxes are left out", error)
        return None
