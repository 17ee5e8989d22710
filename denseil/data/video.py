"""From a video and a tracker's boxes to tracklets: crops on disk, and a manifest of them."""

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
UNKNOWN_PID = -1  # what a tracker follows has no identity yet
JPEG_QUALITY = 95


@dataclass
class CutReport:
    """What `cut_tracklets` wrote, and what it left out. Printed, it is a few lines.

    Attributes:
        manifest: The table of the crops.
        tracklets: How many there are.
        crops: How many there are.
        frames: Of the video, as many as were read.
        skipped: Why boxes were left out, and how many.
        damaged: Numbers of the frames that the decoder could only guess at.
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
    """Cut the boxes of a tracks file out of a video, in one pass over it, one frame in memory at a time.

    Frames are counted as they are decoded, and timed by the video's own clock, so that a variable frame rate does no
    harm. A picture that the file says to show turned is turned first, as OpenCV and ffmpeg do for a tracker. Boxes are
    rounded outwards to whole pixels and clipped to the picture.

    Args:
        video: Anything that ffmpeg decodes.
        tracks: Boxes; see `read_tracks`. Pixels are counted from 0.
        output: A folder, made if it does not exist: `manifest.csv`, and the crops as `crops/TRACK/FRAME.jpg`. The
            manifest names a tracklet by camera, video, track and start, such as `c1/clip.mp4/12@30.5`.
        camid: The camera, for the manifest.
        start: When the video began, ISO 8601 with its time zone, such as 2026-05-01T08:30:00+02:00. Times are then
            seconds since 1970, else since the video's first frame.
        max_gap: Seconds that a track may pause; after a longer pause it goes on as another tracklet.

    Returns:
        What was written and what was skipped: boxes that `read_tracks` left out, boxes of no area, outside of the
        picture, of frames that the decoder marks as damaged, or after the last.

    Raises:
        FileNotFoundError: If there is no such video or tracks file.
        FileExistsError: If the folder has a manifest already.
        ValueError: If an argument or a line of the tracks file is wrong, or the video is so damaged that the decoder
            gives up. What was cut before is kept, with its manifest.
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
    """Cut all boxes; what stopped it before the end, if anything did."""
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
        """Write one crop, or count why not."""
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
    """One decoded frame, converted when its pixels are asked for."""

    def __init__(self, frame: Any, time: float) -> None:
        self.frame, self.time, self.damaged = frame, time, bool(frame.is_corrupt)

    def image(self) -> NDArray[np.uint8]:
        """RGB (H, W, 3), turned as the file says."""
        pixels: NDArray[np.uint8] = self.frame.to_ndarray(format="rgb24")
        return np.rot90(pixels, round(self.frame.rotation / 90))


class _Frames:
    """The frames of a video's first stream of pictures, with seconds since the first of them."""

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
                time = number / rate if frame.time is None else float(frame.time)  # raw streams have no clock
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
