"""Cutting tracklets out of a video by a tracker's boxes: crops on disk, and a manifest."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denseil.common.extras import need
from denseil.common.text import plain
from denseil.common.track_key import TrackKey
from denseil.data.readers.manifest import COLUMNS, TIME
from denseil.data.tracks import Tracks, crop_box, read_tracks

MANIFEST, CROPS = "manifest.csv", "crops"
UNKNOWN_PID = -1  # tracks have no identity yet
JPEG_QUALITY = 95


@dataclass
class CutReport:
    """Result of `cut_tracklets`; prints as a few lines.

    Attributes:
        manifest: Path of the manifest.
        tracklets: Number of tracklets.
        crops: Number of crops.
        frames: Number of frames read from the video.
        skipped: Number of skipped boxes by reason.
        damaged: Numbers of the frames that the decoder marked as damaged.
    """

    manifest: Path
    tracklets: int = 0
    crops: int = 0
    frames: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    damaged: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"{self.crops:,} crops of {self.tracklets:,} tracklets from {self.frames:,} frames: {plain(self.manifest)}"
        ]
        lines += [f"skipped: {count:,} {plain(reason)}" for reason, count in sorted(self.skipped.items())]
        if self.damaged:
            lines.append(
                f"damaged: {len(self.damaged):,} frames, the first is {self.damaged[0]}; "
                "if the tracker read another copy of the video, boxes may not fit the frames after it"
            )
        return "\n".join(lines)


def cut_tracklets(
    video: str | Path,
    tracks: str | Path,
    output: str | Path,
    *,
    camid: int = 1,
    start: str | None = None,
    max_gap: float = math.inf,
) -> CutReport:
    """Cut the boxes of a tracks file out of a video, in one pass, with one frame in memory at a time.

    Frames are numbered in decoding order, and timed by the video's time stamps, so a variable frame rate is handled.
    Frames of a video with a rotation flag are rotated first, as OpenCV and ffmpeg do for a tracker. Boxes are
    rounded outwards to whole pixels and clipped to the picture.

    Args:
        video: A video in any format that ffmpeg decodes.
        tracks: Boxes; see `read_tracks`. Pixels are counted from 0.
        output: A folder, created if it does not exist: `manifest.csv`, and the crops as `crops/TRACK/FRAME.jpg`. The
            manifest names a tracklet by camera, video, track and start, such as `c1/clip.mp4/12@30.5`.
        camid: Camera id for the manifest.
        start: Start of the video, ISO 8601 with time zone, such as 2026-05-01T08:30:00+02:00. Times are then
            seconds since 1970, otherwise since the first frame.
        max_gap: Longest pause of a track in seconds; after a longer one it continues as a new tracklet.

    Returns:
        A report. Skipped boxes are those left out by `read_tracks`, without area, outside the picture, in damaged
        frames, or after the last frame.

    Raises:
        FileNotFoundError: If the video or the tracks file does not exist.
        FileExistsError: If the folder already has a manifest.
        ValueError: If an argument or a line of the tracks file is wrong, or the video is so damaged that the decoder
            stops. Earlier crops are kept, with a manifest.
        ModuleNotFoundError: If PyAV is not installed.
    """
    began = 0.0 if start is None else _timestamp(start)
    if not max_gap > 0:
        raise ValueError(f"max_gap is a number of seconds above 0, got {max_gap}")
    boxes = read_tracks(tracks)
    frames = _Frames(video)
    output = Path(output)
    report = CutReport(output / MANIFEST, skipped=Counter(boxes.left_out))
    if report.manifest.exists():
        raise FileExistsError(f"{report.manifest} is there already: give another folder, or remove it")
    output.mkdir(parents=True, exist_ok=True)
    partial = output / f"{MANIFEST}.partial"
    with partial.open("w", encoding="utf-8", newline="") as file:
        cutter = _Cutter(report, file, video=frames.name, camid=camid, began=began, max_gap=max_gap)
        damage = _cut_all(frames, boxes, cutter)
    if report.crops:
        partial.replace(report.manifest)
    else:
        partial.unlink()
    if damage is not None:
        kept = f"what came before is kept: {report}" if report.crops else "nothing was cut before"
        raise ValueError(
            f"{video} is damaged after frame {report.frames} ({damage}); {kept}; copy it again from the camera"
        ) from damage
    if not report.crops:
        raise ValueError(f"no box of {tracks} lies in {video}: {report}; do they belong together?")
    return report


def _cut_all(frames: _Frames, tracks: Tracks, cutter: _Cutter) -> Exception | None:
    """Cut all boxes, and return the error that stopped it early, if any."""
    report, first = cutter.report, 0  # the first box of the frame at hand
    try:
        for number, frame in enumerate(frames, start=1):
            report.frames = number
            if frame.damaged:
                report.damaged.append(number)
            last = first + int(np.searchsorted(tracks.frames[first:], number, side="right"))
            if last > first and frame.damaged:
                report.skipped["boxes of damaged frames"] += last - first
            elif last > first:
                seconds, image = frame.time, frame.image()
                for track, box in zip(tracks.ids[first:last].tolist(), tracks.boxes[first:last].tolist(), strict=True):
                    cutter.cut(image, number, seconds, track, box)
            first = last
            if first == len(tracks):
                break
    except frames.error as error:
        return error
    if first < len(tracks):
        report.skipped[f"boxes of frames after the last, {report.frames}"] += len(tracks) - first
    return None


class _Piece(NamedTuple):
    """A tracklet that is being cut: a part of a track without a long pause."""

    number: int
    name: str
    id: str
    seen: float


class _Cutter:
    """Writes crops and their rows."""

    def __init__(
        self, report: CutReport, file: TextIO, *, video: str, camid: int, began: float, max_gap: float
    ) -> None:
        self.report, self.video, self.camid, self.began, self.max_gap = report, video, camid, began, max_gap
        self.folder = report.manifest.parent / CROPS
        self.writer = csv.writer(file)
        self.writer.writerow([*COLUMNS, TIME])
        self.last: dict[int, _Piece] = {}  # by track

    def cut(self, image: NDArray[np.uint8], frame: int, seconds: float, track: int, box: list[float]) -> None:
        """Write one crop, or count the reason for skipping it."""
        left, top, width, height = box
        if width <= 0 or height <= 0:
            self.report.skipped["boxes of no area"] += 1
            return
        crop = crop_box(image, left, top, width, height)
        if not crop.size:
            self.report.skipped["boxes outside of the picture"] += 1
            return
        time = f"{self.began + seconds:.3f}"
        piece = self._piece(track, seconds, time)
        Image.fromarray(crop).save(self.folder / piece.name / f"{frame:06}.jpg", quality=JPEG_QUALITY)
        path = f"{CROPS}/{piece.name}/{frame:06}.jpg"
        self.writer.writerow([piece.id, path, UNKNOWN_PID, self.camid, "gallery", time])
        self.report.crops += 1

    def _piece(self, track: int, seconds: float, time: str) -> _Piece:
        """The tracklet that the next crop of a track belongs to: "7", after a long pause "7-2"."""
        before = self.last.get(track)
        if before is not None and seconds - before.seen <= self.max_gap:
            self.last[track] = before._replace(seen=seconds)
            return before
        number = 1 if before is None else before.number + 1
        name = f"{track}-{number}" if number > 1 else f"{track}"
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.report.tracklets += 1
        piece = _Piece(number, name, str(TrackKey(self.camid, self.video, name, float(time))), seconds)
        self.last[track] = piece
        return piece


class _Frame:
    """A decoded frame, converted on access to its pixels."""

    def __init__(self, frame: Any, time: float) -> None:
        self.frame, self.time, self.damaged = frame, time, bool(frame.is_corrupt)

    def image(self) -> NDArray[np.uint8]:
        """RGB pixels (H, W, 3), rotated by the video's flag."""
        pixels: NDArray[np.uint8] = self.frame.to_ndarray(format="rgb24")
        return np.rot90(pixels, round(self.frame.rotation / 90))


class _Frames:
    """The frames of a video's first video stream, with seconds since the first frame."""

    def __init__(self, path: str | Path) -> None:
        self.av = need("av", to="read video")
        self.error: type[Exception] = self.av.error.FFmpegError
        self.path = Path(path)
        self.name = self.path.name  # for ids
        if not self.path.is_file():
            raise FileNotFoundError(f"no video {path}")
        try:
            with self.av.open(str(path)) as container:
                found = len(container.streams.video)
        except self.error as error:
            raise ValueError(f"{path} cannot be read as video ({error}): copy it again from the camera") from error
        if not found:
            raise ValueError(f"{path} has no pictures: give a video file")

    def __iter__(self) -> Iterator[_Frame]:
        with self.av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            first: float | None = None
            for number, frame in enumerate(container.decode(stream)):
                time = number / rate if frame.time is None else float(frame.time)  # raw streams have no time stamps
                first = time if first is None else first
                yield _Frame(frame, time - first)


def _timestamp(text: str) -> float:
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise ValueError(f"start is a time such as 2026-05-01T08:30:00+02:00, got {text!r}") from error
    if time.tzinfo is None:
        raise ValueError(f"start {text!r} has no time zone: add it, such as {text}+02:00, or {text}Z")
    return time.timestamp()
